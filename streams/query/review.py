"""The reviewer's side: take the next most useful item, and correct, confirm or give it back."""

import getpass
import os
import time
from collections.abc import Collection, Iterator, Mapping
from types import TracebackType
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams import codec
from streams.catalogue import TIERS
from streams.clients import CLIENT_LOG, heed, reading, said
from streams.clock import Clock, SystemClock
from streams.errors import LabelloopError
from streams.events import Value, choice
from streams.keys import split_key
from streams.producers.producer import Producer
from streams.query.groups import Settled, confirm
from streams.query.lag import LagReader
from streams.query.tasks import Task, Tasks
from streams.settings import Settings

CLAIM_LIMIT_S = 15.0
"""How long to wait until the log has decided a claim."""

_READ_LIMIT_S = 30.0
_CLAIM_WAIT_S = 0.05  # between two looks at the limit; what comes ends it at once


class ReviewQueue:
    """Current tasks of a project in priority order, read from the topics themselves.

    Args:
        project: The project.
        tiers: Tiers to hand out.
        reviewer: Who asks; default `$LABELLOOP_REVIEWER`, else the login name.
        settings: Where the servers are; default: as every command finds it.
        clock: Judges leases.

    Example:
        with ReviewQueue("birds", ["p0", "p1"], reviewer="ria") as queue:
            for task in queue:
                if queue.claim(task):
                    queue.verdict(task, "corrected", "wren")
    """

    def __init__(
        self,
        project: str,
        tiers: Collection[str] = TIERS,
        *,
        reviewer: str | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.project = project
        self.reviewer = reviewer or os.environ.get("LABELLOOP_REVIEWER") or getpass.getuser()
        self._settings = settings or Settings.load()
        self._clock = clock or SystemClock()
        self._tasks = Tasks(project, tiers, self.reviewer)
        self._producer: Producer | None = None
        self._consumer = _reader(self._settings)
        self._ends = LagReader(self._settings)
        self._partitions = _assign(self._consumer, self._settings)

    def __enter__(self) -> "ReviewQueue":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Send what waits and give the connections back."""
        if self._producer is not None:
            self._producer.flush()
        self._consumer.close()

    def __iter__(self) -> Iterator[Task]:
        """Yield free tasks, the most urgent first, as they stand at that moment; each task once."""
        given: set[str] = set()
        while True:
            self.refresh()
            task = next((t for t in self._tasks.queue(self._clock.now_ms()) if t["revision"] not in given), None)
            if task is None:
                return
            given.add(task["revision"])
            yield task

    def head(self, limit: int) -> list[Task]:
        """Return the first `limit` free tasks, the most urgent first."""
        self.refresh()
        return [task for task, _ in zip(self._tasks.queue(self._clock.now_ms()), range(limit), strict=False)]

    def held(self) -> int:
        """Return how many open tasks the project's budget holds back until the next day, as of the last look."""
        return self._tasks.held(self._clock.now_ms())

    def get(self, item_id: str) -> Task:
        """Return an item's present task and answer.

        Raises:
            LabelloopError: the item is unknown.
        """
        self.refresh()
        task = self._tasks.get(item_id)
        if task is None:
            raise LabelloopError(f"project {self.project!r} has no item {item_id!r} yet: see `labelloop wait`")
        return task

    def group(self, name: str) -> list[Task]:
        """Return the open tasks of a group, the most urgent first."""
        self.refresh()
        return self._tasks.group(name)

    def similar(self, task: Task) -> dict[str, list[str]]:
        """Return the other open items of each of a task's groups that has any."""
        return self._tasks.similar(task)

    def confirm_group(self, name: str, seen: Mapping[str, str], *, reason: str | None = None) -> Settled:
        """Confirm the shown answers of a group with one verdict, published as one fact an item.

        What changed since it was seen, is claimed by others or is not for this reviewer is left out. A change that the
        log gets after this look is not noticed; the facts are kept, and a later one opens its task again.

        Args:
            name: The group.
            seen: Revision by item of the tasks that were shown.
            reason: Why, in the reviewer's words.

        Raises:
            LabelloopError: a verdict was not delivered.
        """
        settled = confirm(name, self.group(name), seen, self.reviewer, self._clock.now_ms(), reason)
        for fact in settled.verdicts:
            self._send().send(fact)
        self._send().flush()
        return settled

    def claim(self, task: Task, lease_ms: int | None = None) -> bool:
        """Ask for an item and wait until the log has decided; return whether it is ours.

        Who could not decide on it is not given it again: another reviewer is asked for.

        Raises:
            LabelloopError: no decision came in `CLAIM_LIMIT_S`.
        """
        return self._hold(task, "claim", lease_ms)

    def renew(self, task: Task, lease_ms: int | None = None) -> bool:
        """Keep a claimed item for another lease; return whether it is still ours.

        Raises:
            LabelloopError: no decision came in `CLAIM_LIMIT_S`.
        """
        return self._hold(task, "renew", lease_ms)

    def release(self, task: Task) -> None:
        """Give an item back."""
        self._send().claim(self.project, task["item_id"], self.reviewer, "release")
        self._send().flush()

    def skip(self, task: Task) -> None:
        """Give an item back and never be given it again."""
        self._send().claim(self.project, task["item_id"], self.reviewer, "skip")
        self._send().flush()

    def verdict(self, task: Task, verdict: str, value: str | Value | None = None, *, reason: str | None = None) -> str:
        """Publish a verdict on a task and return its event_id.

        Args:
            task: The task that was shown.
            verdict: corrected, confirmed, rejected or unsure.
            value: The right answer of a correction; a confirmation takes the shown one.
            reason: Why, in the reviewer's words.

        Raises:
            LabelloopError: the verdict breaks the contract, or was not delivered.
        """
        if verdict == "confirmed" and value is None:
            value = task["consensus"]
        fields: dict[str, Any] = {"reason": reason, "task_revision": task["revision"]}
        answer = choice(value) if isinstance(value, str) else value
        event_id = self._send().correction(self.project, task["item_id"], self.reviewer, verdict, answer, **fields)
        self._send().flush()
        return event_id

    def undo(self, item_id: str) -> str:
        """Take back the standing verdict of an item and return the event_id.

        Raises:
            LabelloopError: the item has no verdict.
        """
        standing = self.get(item_id)["verdict"]
        if standing is None:
            raise LabelloopError(f"item {item_id!r} has no verdict to undo")
        event_id = self._send().correction(
            self.project, item_id, self.reviewer, "undone", None, undoes=standing["event_id"]
        )
        self._send().flush()
        return event_id

    def refresh(self) -> None:
        """Read `review.state` up to its present end.

        Raises:
            LabelloopError: Kafka does not answer.
        """
        # The end may have been announced before: ask for it rather than wait for the next announcement, over another
        # connection, for on the consumer's the answer waits until a fetch has ended.
        waiting, limit = set(self._partitions), time.monotonic() + _READ_LIMIT_S
        ends = self._ends.readable_ends("review.state", waiting)
        while waiting := {p for p in waiting if self._partitions[p] < ends[p]}:
            if time.monotonic() > limit:
                raise LabelloopError(f"Kafka at {self._settings.kafka} does not deliver the review queue")
            self._read(0.02)

    def _read(self, seconds: float) -> None:
        """Apply what has come; if nothing has, wait for so long that something comes."""
        first = self._consumer.poll(seconds)  # `consume` would wait for as many as it may bring
        for message in [] if first is None else [first, *self._consumer.consume(10_000, timeout=0)]:
            partition, error = int(message.partition() or 0), message.error()
            if error is None:
                if message.value() is None:  # a rebuild found that the facts know of no such item
                    self._tasks.forget(split_key(message.key() or b""))
                else:
                    self._tasks.apply(codec.decode_own(message.value())[1])
                self._partitions[partition] = int(message.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                self._partitions[partition] = max(self._partitions[partition], int(message.offset() or 0))

    def _hold(self, task: Task, action: str, lease_ms: int | None) -> bool:
        before = self.get(task["item_id"])
        if self.reviewer in before["unsure_by"] or (action == "renew" and not self._holds(before)):
            return False
        self._send().claim(
            self.project, task["item_id"], self.reviewer, action, lease_ms=lease_ms, task_revision=task["revision"]
        )
        self._send().flush()
        limit = time.monotonic() + CLAIM_LIMIT_S
        while time.monotonic() < limit:
            now = self._tasks.get(task["item_id"]) or before
            if (now["owner"], now["lease_until"]) != (before["owner"], before["lease_until"]):
                return bool(now["owner"] == self.reviewer)
            if now["owner"] not in (None, self.reviewer) and (now["lease_until"] or 0) > self._clock.now_ms():
                return False  # somebody else's claim stands
            self._read(_CLAIM_WAIT_S)
        raise LabelloopError(
            f"no decision on the claim of {task['item_id']!r} within {CLAIM_LIMIT_S:.0f} s: see in `labelloop status` "
            f"that the items worker runs, and in `labelloop project show` that {self.reviewer!r} may review"
        )

    def _holds(self, task: Task) -> bool:
        return bool(task["owner"] == self.reviewer and (task["lease_until"] or 0) > self._clock.now_ms())

    def _send(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._settings, source="review")
        return self._producer


def _reader(settings: Settings) -> Consumer:
    return Consumer(
        {
            **reading(settings),
            "fetch.wait.max.ms": 20,
        },
        logger=CLIENT_LOG,
    )


def _assign(consumer: Consumer, settings: Settings) -> dict[int, int]:
    """Read every partition of the queue from its beginning; return the position of each."""
    topic = settings.topic("review.state")
    try:
        found = consumer.list_topics(topic, timeout=10).topics[topic]
    except KafkaException as error:
        raise LabelloopError(f"Kafka does not answer ({said(error, settings)}): see `labelloop status`") from error
    if found.error is not None:
        heed(found.error, settings)
        raise LabelloopError(f"topic {topic} does not exist: run `labelloop up`")
    consumer.assign([TopicPartition(topic, partition, 0) for partition in found.partitions])
    return dict.fromkeys(found.partitions, 0)
