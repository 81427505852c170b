"""Runs the plan's operations, each actor in a thread of its own, and writes down what came of them."""

import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import confluent_kafka
from confluent_kafka import KafkaException

from streams.clock import SystemClock
from streams.errors import LabelloopError
from streams.keys import item_key
from streams.producers.facts import Fact
from streams.producers.import_file import import_file
from streams.producers.producer import DeliveryError, Producer
from streams.producers.values import InvalidFact
from streams.query.review import ReviewQueue
from streams.query.tasks import Task
from streams.settings import Settings
from tests.chaos.journal import Hold, Writer
from tests.chaos.plan import CLASSES, CROWD, LEASE_MS, PHOTOS, Call, Operation

_PAUSE_S = 0.3
RAW = b"no fact"
"""What is published where a fact should be."""


class MovedClock:
    """A clock that is wrong by what a file says.

    Args:
        file: Tells the milliseconds.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._right = file, SystemClock()

    def now_ms(self) -> int:
        """Return the time that this clock shows, ms."""
        return self._right.now_ms() + int(self._file.read_text() or 0)


class JournalingProducer(Producer):
    """A producer that writes down what it sends and what the broker has acknowledged; of one thread."""

    def __init__(self, settings: Settings, journal: Writer, clock: MovedClock, source: str) -> None:
        super().__init__(settings, source=source, clock=clock)
        self._journal = journal
        self._waiting: list[tuple[str, str]] = []

    def send(self, fact: Fact, partition: int = -1) -> str:
        """Queue a fact, written down before."""
        event_id = str(fact.event["event_id"])
        self._journal.sent(fact.topic, event_id)
        super().send(fact, partition)
        self._waiting.append((fact.topic, event_id))
        return event_id

    def flush(self) -> None:
        """Wait until the broker has everything, and write down what it has."""
        failed = set[str]()
        try:
            super().flush()
        except DeliveryError as error:
            failed = {event_id for _, event_id, _ in error.failed}
            raise
        finally:
            waiting, self._waiting = self._waiting, []
            self._journal.acknowledged(one for one in waiting if one[1] not in failed)


class JournalingQueue(ReviewQueue):
    """A reviewer's queue that writes down what it sends."""

    def __init__(self, project: str, reviewer: str, settings: Settings, journal: Writer, clock: MovedClock) -> None:
        super().__init__(project, reviewer=reviewer, settings=settings, clock=clock)
        self._producer = JournalingProducer(settings, journal, clock, "review")


class Workload:
    """All actors of a run.

    Args:
        settings: Where the servers are, behind the workload's proxies.
        home: Folder for the files that are imported.
        journal: Where it is written down.
        clock_file: Tells by how much the actors' clock is wrong.
    """

    def __init__(self, settings: Settings, home: Path, journal: Writer, clock_file: Path) -> None:
        self._settings, self._home, self._journal = settings, home, journal
        self._clock, self._right = MovedClock(clock_file), SystemClock()
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self._held: dict[str, str] = {}  # item that each reviewer holds
        self._have_held = set[str]()
        self.bugs: list[str] = []
        """What no actor expects: it is a failure of the run."""

    def prepare(self, calls: Iterable[Call]) -> None:
        """Publish what must be there before anything else."""
        self._publish(calls)

    def start(self, operations: Iterable[Operation], seconds: float) -> None:
        """Let every actor begin; reviewers who have held something stop after so many seconds."""
        began = time.monotonic()
        by_actor: dict[str, list[Operation]] = {}
        for operation in operations:
            by_actor.setdefault(operation.actor, []).append(operation)
        for actor, mine in by_actor.items():
            thread = threading.Thread(
                target=self._run, args=[actor, mine, began, began + seconds], name=actor, daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def is_done(self) -> bool:
        """Return whether every actor has done all."""
        return not self.busy()

    def busy(self) -> list[str]:
        """Return the actors that have not done all yet."""
        return [thread.name for thread in self._threads if thread.is_alive()]

    def stop(self) -> None:
        """Let no actor begin anything more."""
        self._stop.set()

    def _run(self, actor: str, operations: Iterable[Operation], began: float, end: float) -> None:
        queues = dict[str, JournalingQueue]()
        try:
            for operation in operations:
                if self._stop.wait(max(0.0, began + operation.at - time.monotonic())):
                    return
                match operation.kind:
                    case "publish":
                        self._publish(operation.calls)
                    case "import":
                        self._import(actor, operation)
                    case "raw":
                        self._publish_raw(operation)
                    case "review" if time.monotonic() < end or actor not in self._have_held:
                        self._review(actor, operation, queues)
        except Exception as error:
            self.bugs.append(f"{actor}: {error!r}")
        finally:
            for queue in queues.values():
                with suppress(LabelloopError):
                    queue.close()

    def _patiently(self, act: Callable[[], None]) -> None:
        """Do something again until it succeeds: a fact that is sent twice counts once.

        Raises:
            InvalidFact: it never will.
        """
        while True:
            try:
                act()
                return
            except InvalidFact:
                raise
            except (LabelloopError, KafkaException):
                if self._stop.wait(_PAUSE_S):
                    return

    def _publish(self, calls: Iterable[Call]) -> None:
        at = self._clock.now_ms()
        calls = [*calls]

        def act() -> None:
            producer = JournalingProducer(self._settings, self._journal, self._clock, "live")
            for n, call in enumerate(calls):
                getattr(producer, call.method)(*call.args, **call.options, occurred_at=at, source_seq=n)
            producer.flush()

        with suppress(InvalidFact):  # of a clock that was an hour fast, and is right again before the broker has it
            self._patiently(act)

    def _publish_raw(self, operation: Operation) -> None:
        key = item_key(CROWD, f"i{round(operation.at):04}")
        topic = self._settings.topic("labels")
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": self._settings.kafka, "partitioner": "murmur2_random"}
        )
        with suppress(KafkaException):
            producer.produce(topic, RAW, key)
            producer.flush(10)

    def _import(self, actor: str, operation: Operation) -> None:
        file = self._home / f"{actor}.jsonl"
        rows = (dict(zip(("item_id", "annotator_id", "label"), line, strict=True)) for line in operation.file)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

        def whole() -> None:
            producer = JournalingProducer(self._settings, self._journal, self._clock, "import")
            summary = import_file(file, "labels", CROWD, producer.send)
            producer.flush()
            if summary.bad:
                raise ValueError(f"an import refused {summary.problems}")

        def broken_off() -> None:
            left = operation.break_off
            producer = JournalingProducer(self._settings, self._journal, self._clock, "import")

            def send(fact: Fact) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise LabelloopError("the importer dies")
                producer.send(fact)

            import_file(file, "labels", CROWD, send)

        if operation.break_off:
            with suppress(LabelloopError, KafkaException):
                broken_off()
        self._patiently(whole)

    def _review(self, reviewer: str, operation: Operation, queues: dict[str, JournalingQueue]) -> None:
        """Take one task; where the log does not decide in time, or a server is away, leave it."""
        project = PHOTOS if operation.rank else CROWD
        try:
            if project not in queues:
                queues[project] = JournalingQueue(project, reviewer, self._settings, self._journal, self._clock)
            queue = queues[project]
            head = queue.head(operation.rank + 1)
            if not head:
                return
            task = head[-1]
            if operation.behaviour == "undo":
                self._undo(queue, task)
            elif operation.behaviour == "grab":
                self._grab(queue)
            elif queue.claim(task):
                self._hold(queue, queue.get(task["item_id"]), operation.behaviour)
        except (LabelloopError, KafkaException):
            queues.pop(project, None)

    def _hold(self, queue: JournalingQueue, task: Task, behaviour: str) -> None:
        """Do what is to be done with a claimed task, and write down how long it was ours."""
        start, until, item = self._right.now_ms(), int(task["lease_until"] or 0), str(task["item_id"])
        self._held[queue.reviewer] = item
        self._have_held.add(queue.reviewer)

        def let_go() -> None:
            nonlocal until
            until = min(until, self._right.now_ms())

        try:
            if task["owner"] != queue.reviewer:
                until = 0  # it was taken between two looks
                return
            match behaviour:
                case "verdict":
                    shown = task["consensus"]
                    right = CLASSES[int(item[1:]) % 2]
                    confirmed = shown is not None and shown["choice"] == right
                    queue.verdict(task, "confirmed" if confirmed else "corrected", None if confirmed else right)
                    let_go()
                    queue.release(task)
                case "hold":
                    self._stop.wait(LEASE_MS / 2000)
                    if queue.renew(task):
                        until = int(queue.get(item)["lease_until"] or 0)
                        self._stop.wait(LEASE_MS / 2000)
                    let_go()
                    queue.release(task)
                case "release":
                    let_go()
                    queue.release(task)
                case "skip":
                    let_go()
                    queue.skip(task)
                case "unsure":
                    let_go()
                    queue.verdict(task, "unsure")
        finally:
            del self._held[queue.reviewer]
            if until >= start:  # also of no length: it ends what the reviewer had walked away from
                self._journal.held(Hold(queue.project, item, queue.reviewer, start, until))

    def _grab(self, queue: JournalingQueue) -> None:
        """Claim what another reviewer holds, which must fail."""
        others = sorted(item for reviewer, item in {**self._held}.items() if reviewer != queue.reviewer)
        if others and queue.claim(task := queue.get(others[0])):
            self._hold(queue, queue.get(task["item_id"]), "forget")

    def _undo(self, queue: JournalingQueue, task: Task) -> None:
        if queue.get(task["item_id"])["verdict"] is not None:
            queue.undo(task["item_id"])
