"""The retraining worker: watches the corrected labels, and has a child process do what a project is due for.

An ordinary consumer group divides the projects: whoever holds a project's partition of `labels.corrected` owns it. What
is done and what comes next is in the facts `snapshots` and `models`; nothing else is kept.

All that it reads it reads from the beginning at every start. So of a record it cannot read it tells once, when the
position passes it; and to redrive one is to ask whether it is read by now, as it was at the start if that was mended.
"""

import logging
import os
import signal
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams import codec, metrics, rights
from streams.catalogue import ACTIONS
from streams.clients import CLIENT_LOG, heed, kafka, said
from streams.clock import Clock
from streams.dead_letters import MAX_DETAIL, DeadLetter, given_back
from streams.errors import LabelloopError, NotNow, Poison, Reason
from streams.keys import project_partition
from streams.projects import Projects
from streams.query.lag import LagReader
from streams.settings import Settings
from streams.transport.guards import STOP, TOO_MANY, BugLimit, TooManyBugs, leave
from streams.transport.plain import Follower, Read
from workers.child import NOT_NOW, Begun, Child, Ended, Publish
from workers.history import History
from workers.outbox import Message, Outbox
from workers.registry import failed, no_snapshot
from workers.triggers import DAY_MS, Corrections, cause, is_quiet

_TURN_S = 0.1
_COMMIT_S = 0.5
_LIMIT_S = 30.0
_ATTEMPTS = 3
"""How often a child may die in a stage that is no training until the project is left to a person."""

CORRECTED, SKILL = "labels.corrected", "skill"
_BROADCAST = ("projects", "snapshots", "models")
CONSUMER = "retrain"

log = logging.getLogger("labelloop.retrain")


class Retrain:
    """One worker.

    Args:
        settings: Where the servers are.
        slot: The worker's place among those of this data directory.
        clock: Wall time.
    """

    def __init__(self, settings: Settings, slot: int, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._names = {settings.topic(name): name for name in (CORRECTED, SKILL, *_BROADCAST, ACTIONS)}
        self._follower = Follower(settings, self._names)
        self._outbox = Outbox(settings, slot)
        self._corrected = settings.topic(CORRECTED)
        self._consumer = Consumer(
            {
                **kafka(settings),
                "group.id": settings.topic("retrain"),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "session.timeout.ms": 10_000,
                "allow.auto.create.topics": False,
            },
            logger=CLIENT_LOG,
        )
        self._owned: tuple[int, ...] = ()
        self._group: Any = None
        self._committed: dict[tuple[str, int], int] = {}
        self._told: dict[int, int] = {}  # position up to which dead letters are told, by partition
        self._commit_at = 0.0
        self._ends: dict[tuple[str, int], int] = {}
        self._child: Child | None = None
        self._began: Begun | None = None
        self._limit = float("inf")
        self._deaths: Counter[str] = Counter()
        self._stopping = False
        self._bugs = BugLimit()
        self._forget()

    def _forget(self) -> None:
        self._projects, self._history = Projects(), History()
        self._corrections: dict[str, Corrections] = {}
        self._drift: dict[str, int] = {}
        self._refused: dict[tuple[int, int], DeadLetter] = {}  # by partition and offset in the corrected labels
        self._asked: dict[tuple[int, int], int] = {}  # attempt by the same, of those given back
        self._letters: list[DeadLetter] = []  # what is to be told

    def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises:
            KafkaException, NotNow: the broker refuses or is away for long: start again.
            TooManyBugs: too many records cannot be read by a fault of ours.
            LabelloopError: a newer labelloop runs: upgrade this worker too.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._consumer.subscribe([self._corrected], on_assign=self._assigned, on_revoke=self._lost, on_lost=self._lost)
        try:
            while not self._stopping:
                message = self._consumer.poll(0)  # the partitions are paused: it serves the group
                if message is not None and (failure := message.error()) is not None:
                    heed(failure, self._settings)
                for read in self._follower.read(_TURN_S):
                    self._learn(read)
                if self._owned and self._is_read():
                    self._attend()
                    self._commit()
        finally:
            if self._child is not None:
                self._child.kill()
            self._consumer.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _assigned(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        consumer.assign([*partitions])
        consumer.pause([*partitions])
        self._owned = tuple(sorted(partition.partition for partition in partitions))
        self._group = consumer.consumer_group_metadata()
        self._committed = {}
        self._forget()
        told = consumer.committed([*partitions], timeout=_LIMIT_S)
        self._told = {position.partition: max(0, position.offset) for position in told}
        # with what is in open transactions: they end before the next step is chosen
        with LagReader(self._settings) as reader:
            ends = reader.end_offsets(self._names.values())
        self._ends = {(self._settings.topic(topic), number): end for (topic, number), end in ends.items()}
        self._follower.assign(self._ends)
        log.info("owns the projects of partitions %s", ", ".join(map(str, self._owned)) or "none")

    def _lost(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._owned, self._group = (), None
        if self._child is not None:  # its successor does it again
            self._child.kill()
            self._child = None
        consumer.unassign()

    def _is_read(self) -> bool:
        """Return whether all that was there at the assignment is known; the log may be compacted below an end."""
        if self._ends:
            self._ends = {at: end for at, end in self._ends.items() if self._follower.position(*at) < end}
        return not self._ends

    def _learn(self, read: Read) -> None:
        name = self._names[read.topic]
        if name == "projects":
            self._projects.learn(read.value, read.log_time)
        elif name in ("snapshots", "models"):
            self._history.learn(read.value, read.log_time)
        elif name == ACTIONS:
            self._ask_again(read)
        elif name == CORRECTED:
            self._take(read)
        elif name == SKILL:
            self._follow_skill(read)

    def _take(self, read: Read) -> None:
        """Follow the corrected labels; what cannot be read is a dead letter.

        Raises:
            TooManyBugs: that is so of too many, by a fault of ours.
            LabelloopError: a newer labelloop wrote it.
        """
        # all is read at every start, and compaction leaves the bad ones: only what was not told of before is weighed
        is_new = read.partition in self._owned and read.offset >= self._told[read.partition]
        try:
            self._follow_corrected(read)
        except Poison as poison:
            reason: Reason = poison.reason
            detail = poison.detail
        except (LabelloopError, MemoryError):
            raise
        except Exception:
            if is_new and self._bugs.bug():
                self._send([], {(self._corrected, number): position for number, position in self._told.items()})
                raise TooManyBugs from None
            reason, detail = "bug", traceback.format_exc()[-MAX_DETAIL:]
        else:
            if is_new:
                self._bugs.passed(1)
            return
        if read.partition not in self._owned:
            return  # whoever owns it tells
        coordinates = (read.topic, read.partition, read.offset, read.log_time)
        letter = DeadLetter(CONSUMER, *coordinates, read.key, read.value, reason, detail)
        self._refused[read.partition, read.offset] = letter
        if is_new:
            self._letters.append(letter)

    def _ask_again(self, read: Read) -> None:
        original = given_back(read.value, CONSUMER)
        if original is not None and original.topic == self._corrected:
            self._asked[original.partition, original.offset] = original.attempt

    def _still_refused(self) -> None:
        """Tell of what was given back and cannot be read yet; the same letter again changes nothing."""
        for at, attempt in self._asked.items():
            if at in self._refused:
                self._letters.append(replace(self._refused[at], attempt=attempt))
        self._asked.clear()

    def _follow_skill(self, read: Read) -> None:
        try:
            name, record = codec.decode_own(read.value)
        except Poison:
            return
        if name == "skill" and record["drift_at"] is not None and self._is_mine(record["project"]):
            self._drift[record["project"]] = max(self._drift.get(record["project"], 0), record["drift_at"])

    def _follow_corrected(self, read: Read) -> None:
        if read.value is None:
            return  # a rebuild found that the facts know of no such item: that is no correction
        name, record = codec.decode_own(read.value)
        if name != "labels_corrected":
            raise Poison("invalid", f"a {name} record lies in topic {CORRECTED}: publish it to the topic of its schema")
        project, mine = record["project"], self._is_mine(record["project"])
        corrections = self._corrections.setdefault(project, Corrections()) if mine else Corrections()
        corrections.apply(record, time.monotonic())  # for another worker's project only to see whether it can be done

    def _attend(self) -> None:
        """Go on with the child, or find a project that is due for one."""
        if self._child is None:
            due = self._due()
            if due is not None:
                project, why = due
                log.info("%s: %s", project, why or "goes on")
                memory_mb = self._projects.latest(project).training.max_memory_mb
                self._child, self._began = Child(self._settings, project, why, memory_mb), None
                self._limit = float("inf")
            return
        told = self._child.told()
        match told:
            case None:
                if time.monotonic() > self._limit and self._began is not None:
                    self._child.kill()
                    self._ended(f"it took longer than {self._began.limit_s:g} s: see max_seconds of the policy")
            case Begun():
                log.info("%s: %s %s", self._child.project, told.stage, told.snapshot)
                self._began, self._limit = told, time.monotonic() + told.limit_s
            case Publish():
                self._publish(told.messages)
                self._child.published()
            case Ended():
                trouble = f"its process ended with status {told.status}" if told.status else None
                self._ended(trouble, again=told.status == NOT_NOW)

    def _due(self) -> tuple[str, str] | None:
        """Return a project that there is something to do for and the cause, empty where something was begun."""
        for project in self._history.projects():
            begun = self._is_mine(project) and self._history.loop(project).next_step() is not None
            if begun and self._deaths[project] < _ATTEMPTS:
                return project, ""
        now, now_ms = time.monotonic(), self._clock.now_ms()
        for project, corrections in self._corrections.items():
            view, loop = self._projects.latest(project), self._history.loop(project)
            today = sum(
                made.log_time // DAY_MS == now_ms // DAY_MS
                for made in loop.mine.values()
                if made.event["cause"] != "by_hand"
            )
            last = loop.last
            as_of = None if last is None else last.event["as_of"]
            why = cause(view, corrections, as_of, self._drift.get(project), today, now_ms)
            if why is None:
                corrections.due_since = None
            elif corrections.due_since is None:
                corrections.due_since = now
            if why is not None and is_quiet(view, corrections, now) and self._deaths[project] < _ATTEMPTS:
                return project, why
        return None

    def _is_mine(self, project: str) -> bool:
        return project_partition(project, self._settings.partitions) in self._owned

    def _ended(self, trouble: str | None, *, again: bool = False) -> None:
        """Take the end of the child; a training that failed is a fact, so that it is not tried for ever.

        Args:
            trouble: Why it ended; None: it has done all there was to do.
            again: A server was away: nothing is wrong with what was tried.
        """
        assert self._child is not None
        project, began = self._child.project, self._began
        self._child = self._began = None
        if trouble is None:
            del self._deaths[project]
        elif began is not None and began.stage == "train" and not again:
            log.warning("%s: training on %s failed: %s", project, began.snapshot, trouble)
            event = self._history.loop(project).snapshots[began.snapshot].event
            self._publish([failed(project, event, trouble)])
        else:
            self._deaths[project] += 1
            log.error("%s: %s; attempt %d of %d", project, trouble, self._deaths[project], _ATTEMPTS)
            step = self._history.loop(project).next_step()
            if self._deaths[project] >= _ATTEMPTS and step is not None and step.stage == "snapshot":
                self._publish([no_snapshot(project, f"no snapshot: {trouble}; see the worker's log", step.caused_by)])
                del self._deaths[project]

    def _publish(self, messages: Sequence[Message]) -> None:
        positions = self._positions()
        self._send(messages, positions)
        self._committed = positions
        now_ms = self._clock.now_ms()
        for message in messages:
            self._history.learn(message.value, now_ms)  # the log may show it a moment later

    def _send(self, messages: Sequence[Message], positions: Mapping[tuple[str, int], int]) -> None:
        """Publish messages and the dead letters there are, and commit positions."""
        letters = [Message("dead-letters", letter.record_key, letter.encode()) for letter in self._letters]
        self._outbox.publish([*letters, *messages], positions, self._group)
        for letter in self._letters:
            metrics.DEAD_LETTERS.labels(CONSUMER, letter.reason).inc()
        self._letters = []

    def _positions(self) -> dict[tuple[str, int], int]:
        return {(self._corrected, number): self._follower.position(self._corrected, number) for number in self._owned}

    def _commit(self) -> None:
        """Commit how far the corrected labels are read: what they ask for follows from them, whatever is committed."""
        self._still_refused()
        if self._letters:
            self._publish([])
        positions = self._positions()
        if positions == self._committed or time.monotonic() < self._commit_at:
            return
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()]
        self._consumer.commit(offsets=offsets, asynchronous=False)
        self._committed, self._commit_at = positions, time.monotonic() + _COMMIT_S


def main(settings: Settings, slot: int | None) -> None:
    """Run a worker until SIGTERM.

    Raises:
        LabelloopError: the slot is taken.
    """
    from streams.clock import SystemClock
    from streams.transport.worker import take_slot

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    number, lock = take_slot(settings.home, f"{settings.prefix}.retrain", slot)
    with lock:
        try:
            rights.check(settings, CONSUMER)
            Retrain(settings, number, SystemClock()).run()
        except KafkaException as error:
            heed(error, settings)
            leave(f"the retraining worker cannot go on: {said(error, settings)}")
        except NotNow as error:
            leave(f"the retraining worker cannot go on: {error}")
        except LabelloopError as error:
            leave(f"the retraining worker cannot go on: {error}", STOP)
        except TooManyBugs:
            leave(TOO_MANY, STOP)
    os._exit(0)
