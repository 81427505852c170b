"""The processor "items": a batch of facts of one partition becomes state rows, snapshots and dead letters.

Pure apart from the rows it is given: no Kafka, no clock. Every record stands alone: what is poison goes to the
dead-letter topic, its neighbours are folded, and each item is emitted once per batch.
"""

from collections.abc import Iterable
from typing import Any, cast

from streams import codec
from streams.catalogue import TOPICS
from streams.dead_letters import DeadLetter
from streams.errors import LabelloopError, NotNow, Poison
from streams.events import Event
from streams.keys import project_partition
from streams.processors.admission import check_home
from streams.processors.fits import Skills
from streams.processors.item_state import FORMAT, ItemState, new_state
from streams.processors.rescoring import LISTING, Slices
from streams.processors.snapshots import Snapshot, snapshots
from streams.processors.taking import take
from streams.projects import Projects
from streams.transport.batch import Batch, Effects, Outgoing, Record, Row, Rows

CONSUMER = "items"

LEAST_MOVE = 0.01
"""Change of priority below which a refit alone is not told of; settling tells of every one."""


class FitMissing(NotNow):
    """Items are to be scored by a fit that this worker has not heard of yet."""


class Items:
    """Folds batches.

    Args:
        prefix: First part of every topic's name.
        partitions: Partitions of every item-keyed topic.
        projects: Settings of all projects, read up to the batch's log time before each call.
        skills: The newest fit of each project, read as far as it is known.
    """

    def __init__(self, prefix: str, partitions: int, projects: Projects, skills: Skills | None = None) -> None:
        self._skills = skills or Skills()
        self._slices = Slices()
        self._prefix = prefix
        self._topics = {name: f"{prefix}.{name}" for name in TOPICS}
        self._partitions = partitions
        self._projects = projects

    def handle(self, batch: Batch, rows: Rows) -> Effects:
        """Return what a batch causes: state rows, snapshots, dead letters.

        Raises:
            LabelloopError: a state row has another format and must be built again.
            FitMissing: the fit to score items with is not here yet.
        """
        topic = batch.topic.removeprefix(f"{self._prefix}.")
        if topic == "rescores":
            return self._rescore(batch, rows)
        self._slices.interrupt(batch.partition)
        touched: dict[bytes, ItemState] = {}
        changed: dict[bytes, tuple[ItemState, int]] = {}  # with the log time of the last fact that changed it
        dead: list[DeadLetter] = []

        def state_of(key: bytes, event: Event) -> ItemState:
            return touched.get(key) or self._state(key, event, batch.partition, rows)

        for record in batch.records:
            try:
                key, state, moved, _ = take(topic, record, self._projects, state_of)
            except Poison as poison:
                dead.append(_dead_letter(batch, record, poison))
                continue
            touched[key] = state
            if moved:
                changed[key] = state, record.timestamp
        return Effects(
            rows={key: cast(Row, state) for key, (state, _) in changed.items()},
            # as of the item's own time, so that it does not matter what else is in the batch; what comes back after
            # long is told as everything is that was told since: by the newest settings
            records=[
                out
                for state, log_time in changed.values()
                for out in self.emit(state, None if batch.redriven else log_time)
            ],
            dead=dead,
        )

    def emit(self, state: ItemState, log_time: int | None) -> Iterable[Outgoing]:
        """Return the records for what changed of an item, scored by its project's settings as of `log_time`, or now."""
        project = state["project"]
        view = self._projects.latest(project) if log_time is None else self._projects.at(project, log_time)
        scorer, signals = self._skills.scorer(project), self._skills.signals(project)
        return [self._outgoing(snapshot, project) for snapshot in snapshots(state, view, scorer, signals)]

    def _rescore(self, batch: Batch, rows: Rows) -> Effects:
        """Return what new skill or settings make of the items that were there: a slice for each record that counts."""
        effects, room = Effects(), self._slices.size(batch.partition)
        for key, rescore in self._standing(batch):
            project = rescore["project"]
            if room <= 0 or self._slices.waits(rescore, batch.partition):  # its turn comes again
                effects.records.append(self._again(batch, key, rescore))
                continue
            slice_, more = self._slices.next(rescore, batch.partition, rows, room)
            room -= max(len(slice_), LISTING)
            view, scorer = self._projects.latest(project), self._skills.scorer(project)
            signals = self._skills.signals(project)
            for item in slice_:
                row = effects.rows.get(item) or rows.get(item)
                if row is not None:
                    _check_format(cast(ItemState, row))
                if row is None or not (rescore["all"] or row["sent"]["task"]):
                    continue
                least = 0.0 if rescore["all"] else LEAST_MOVE
                if moved := [*snapshots(cast(ItemState, row), view, scorer, signals, least)]:
                    effects.rows[item] = row
                    effects.records += [self._outgoing(snapshot, project) for snapshot in moved]
            if more is not None:
                effects.records.append(self._again(batch, key, more))
        return effects

    def _standing(self, batch: Batch) -> list[tuple[bytes, dict[str, Any]]]:
        """Return the records of a batch that no later one makes needless, each with its key."""
        standing: list[tuple[bytes, dict[str, Any]]] = []
        for record in batch.records:
            name, rescore = codec.decode_own(record.value)
            if name != "rescores":
                continue
            project, known = rescore["project"], self._skills.refit(rescore["project"])
            if known < rescore["refit"]:
                raise FitMissing(f"refit {rescore['refit']} of {project!r} is not here yet")
            begins = rescore["after"] is None
            if begins and rescore["refit"] and known > rescore["refit"] and not rescore["all"]:
                continue  # a newer one follows
            if begins:
                standing = [
                    (key, one)
                    for key, one in standing
                    if one["project"] != project or (not rescore["all"] and (one["all"] or one["after"] is not None))
                ]
            standing.append((record.key or b"", rescore))
        return standing

    def _again(self, batch: Batch, key: bytes, rescore: dict[str, Any]) -> Outgoing:
        return Outgoing(self._topics["rescores"], key, codec.encode("rescores", rescore), batch.partition)

    def _outgoing(self, snapshot: Snapshot, project: str) -> Outgoing:
        partition = project_partition(project, self._partitions) if snapshot.by_project else -1
        return Outgoing(self._topics[snapshot.topic], snapshot.key, snapshot.value, partition)

    def _state(self, key: bytes, event: Event, partition: int, rows: Rows) -> ItemState:
        row = rows.get(key)
        if row is not None:
            state = cast(ItemState, row)
            _check_format(state)
            return state
        check_home(key, partition, self._partitions)  # a key that has a row was checked when the row was made
        return new_state(event["project"], event["item_id"])


def _check_format(state: ItemState) -> None:
    if state["format"] != FORMAT:
        raise LabelloopError(
            f"the state rows of {CONSUMER!r} have format {state['format']}, and this labelloop writes {FORMAT}: "
            "stop all its workers, run `labelloop refold`, and start them again (docs/upgrades.md)"
        )


def _dead_letter(batch: Batch, record: Record, poison: Poison) -> DeadLetter:
    return DeadLetter(
        CONSUMER,
        batch.topic,
        batch.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        poison.reason,
        poison.detail,
    )
