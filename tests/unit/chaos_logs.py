"""The evidence of a run in which nothing went wrong: a log that the product's own functions wrote."""

from collections.abc import Iterator
from typing import Any

import orjson

from streams import codec
from streams.catalogue import ITEM_FACTS
from streams.events import Actor, Event, event_id
from streams.keys import item_key, make_key, partition_of
from streams.processors.fits import Skills, proposals
from streams.processors.items import Items
from streams.producers import facts
from streams.producers.wire import key_of
from streams.projects import Projects
from streams.quality.project import Project
from streams.transport.batch import Batch, Effects, MemoryRows
from tests.chaos.checker import check
from tests.chaos.evidence import Evidence, Record
from tests.chaos.journal import Hold, Journal
from tests.chaos.offline import PREFIX
from workers.dataset import PLACED, Logged, build
from workers.fold import KEPT
from workers.history import WORKER
from workers.receipts import Lesson, receipts
from workers.registry import About, fact
from workers.snapshot import Position, snapshot_event

PARTITIONS = 2
T0 = 1_700_000_000_000
P = "crowd"


class Run:
    """A log in memory, written as the workers write it, and what the workload knows of it."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[Record]] = {}
        self.journal, self._now = Journal(), T0
        self._projects, self._skills = Projects(), Skills()
        self._items = Items(PREFIX, PARTITIONS, self._projects, self._skills)
        self._rows = [MemoryRows() for _ in range(PARTITIONS)]

    def add(self, topic: str, key: bytes | None, value: bytes, partition: int = -1) -> Record:
        """Append a record; every record is a second later than the one before."""
        self._now += 1000
        home = partition_of(key or b"", PARTITIONS) if partition < 0 else partition
        records = self.records.setdefault((topic, home), [])
        record = Record(records[-1].offset + 1 if records else 0, self._now, key, value)
        records.append(record)
        return record

    def say(self, one: facts.Fact) -> None:
        """Publish a fact, and process it."""
        self.journal.sent[one.topic].add(one.event["event_id"])
        self.journal.acknowledged[one.topic].add(one.event["event_id"])
        record = self.add(one.topic, key_of(one), codec.encode(*one), 0 if one.topic == "projects" else -1)
        if one.topic == "projects":
            self._projects.learn(record.value, record.timestamp)
        else:
            self._handle(one.topic, partition_of(record.key or b"", PARTITIONS), record)

    def _handle(self, topic: str, partition: int, record: Record) -> None:
        batch = Batch(f"{PREFIX}.{topic}", partition, [record], record.offset, record.offset + 1)
        effects: Effects = self._items.handle(batch, self._rows[partition])
        self._rows[partition].update(effects.rows)
        for key, row in effects.rows.items():
            self.add("items-state-changelog", key, orjson.dumps(row), partition)
        for name, target, value, home in effects.records:
            self.add(name.removeprefix(f"{PREFIX}."), target, value, home)
        for letter in effects.dead:
            self.add("dead-letters", letter.record_key, letter.encode(), 0)

    def learn(self, version: str = "m1") -> None:
        """Make a model and the champion of it: snapshot, training, predictions, receipts."""
        upto = [Position("projects", 0, len(self.records["projects", 0]), 1)]
        upto += [Position(t, n, len(self.records.get((t, n), ())), 1) for t in KEPT for n in range(PARTITIONS)]
        dataset = build(P, self._kept(), self._projects, PARTITIONS)
        actor = Actor(id=WORKER, kind="system")
        made = snapshot_event(dataset, upto, "corrections", actor=actor, code_version="1").event
        name = made["snapshot"]
        self.add("snapshots", make_key(P), codec.encode("snapshots", made), 0)
        trained = fact(P, "trained", About(version, name), caused_by=made["event_id"])
        promoted = fact(P, "promoted", About(version, name), caused_by=trained["event_id"])
        self._tell(trained, promoted)
        cause = promoted["event_id"]
        for item in dataset.items:
            known = {"cat": 0.6, "dog": 0.4}
            self.say(
                facts.prediction(
                    *(P, item, version),
                    probabilities=known,
                    out_of_sample=True,
                    caused_by=cause,
                    source="retrain",
                    event_id=event_id("predictions", cause, item),
                )
            )
        self._tell(fact(P, "scored", About(version, name, items=len(dataset.items)), caused_by=cause))
        new = {id_ for state in dataset.states.values() for topic in PLACED for id_ in state["facts"].get(topic, ())}
        told = receipts(dataset, Lesson(version, name, None, {}), new, {}, 20)
        for one in told:
            self.add("feedback", item_key(P, one["item_id"]), codec.encode("feedback", one))
        self._tell(fact(P, "told", About(version, name, items=len(told)), caused_by=cause))

    def _kept(self) -> Iterator[Logged]:
        for (topic, partition), records in self.records.items():
            for record in records if topic in KEPT else ():
                value = record.value or b""
                event: Event = codec.decode(value)[1]
                yield Logged(topic, partition, record.offset, record.timestamp, event, len(value))

    def _tell(self, *told: Event) -> None:
        for event in told:
            self.add("models", make_key(P), codec.encode("models", event), 0)

    def settle(self) -> None:
        """Fit, and score all items again."""
        labels = Project()
        for partition in range(PARTITIONS):
            for record in self.records.get(("judgements", partition), ()):
                labels.apply(codec.decode(record.value)[1])
        view = self._projects.latest(P)
        for proposal in proposals(P, labels, labels.fit(view.classes or ()), view, 7, "settle"):
            if proposal.topic == "annotators":
                self._skills.learn(proposal.value, 0)
            if proposal.topic != "rescores":
                self.add(proposal.topic, proposal.key, proposal.value, 0)
                continue
            for partition in range(PARTITIONS):
                self._handle("rescores", partition, self.add("rescores", proposal.key, proposal.value, partition))

    def evidence(self) -> Evidence:
        """Return it as the checker is given it."""
        ends = {place: records[-1].offset + 1 for place, records in self.records.items()}
        committed = {"items": {place: end for place, end in ends.items() if place[0] in (*ITEM_FACTS, "rescores")}}
        return Evidence(PARTITIONS, self.records, ends, committed, journal=self.journal)


def clean() -> Evidence:
    """Return the evidence of a run in which nothing went wrong."""
    run = Run()
    for one in said():
        run.say(one)
    run.learn()
    run.say(facts.label(P, "i3", "dora", "cat", source="live"))
    run.say(facts.project(P, "lea", policy={"lease_ms": 60_000}, source="live"))
    run.settle()
    run.journal.holds.append(Hold(P, "i1", "ria", T0, T0 + 500))
    return run.evidence()


def said() -> Iterator[facts.Fact]:
    """Yield facts: labels, a class that is not there, claims, verdicts, and after them all that opens a task again."""
    members = {"ria": "reviewer", "rob": "reviewer", "lea": "lead"}
    yield facts.project(P, "lea", classes=["cat", "dog"], members=members)
    for n in range(10):
        for who in ("anna", "ben", "cleo"):
            yield facts.label(P, f"i{n}", who, "dog" if (n + len(who)) % 3 else "cat", source="live")
    yield facts.label(P, "i0", "dora", "unicorn", source="live")
    yield facts.claim(P, "i1", "ria", source="review", lease_ms=60_000)
    yield facts.claim(P, "i1", "rob", source="review", lease_ms=60_000)
    yield _verdict("i1", "ria", "cat")
    yield facts.claim(P, "i1", "ria", "release", source="review")  # neither this nor what follows of it opens it
    yield facts.label(P, "i1", "anna", "dog", source="live")
    yield facts.label(P, "i1", "dora", "cat", source="live")
    yield facts.flag(P, "i1", "anna", "wrong", resolves="another", source="live")
    yield facts.comment(P, "i1", "anna", "t", "well", resolved=True, source="live")
    yield facts.gold(P, "i1", "dog", by="lea", source="live")
    yield facts.correction(P, "i2", "rob", "confirmed", "cat", source="review")
    yield facts.flag(P, "i2", "anna", "wrong", source="live")
    yield _verdict("i4", "ria", "cat")
    yield facts.label(P, "i4", "dora", "dog", source="live")
    yield _verdict("i5", "ria", "cat")
    yield facts.comment(P, "i5", "anna", "t", "why?", source="live")
    undone = _verdict("i6", "rob", "cat")
    yield undone
    yield facts.correction(P, "i6", "rob", "undone", undoes=undone.event["event_id"], source="review")
    yield facts.correction(P, "i7", "ria", "unsure", source="review")
    yield _verdict("i8", "ria", "dog")
    yield facts.project(P, "lea", guideline={"version": "v2", "classes": ["dog"]}, source="live")
    yield _verdict("i9", "ria", "dog")


def _verdict(item: str, reviewer: str, label: str) -> facts.Fact:
    return facts.correction(P, item, reviewer, "corrected", label, source="review")


def newest(run: Evidence, topic: str, item: str) -> tuple[list[Record], Record]:
    """Return the newest record of an item in a topic, and the list it is in."""
    key = make_key(P, item)
    places: Any = run.log.items()
    of: list[Record] = next(of for (name, _), of in places if name == topic and any(one.key == key for one in of))
    return of, next(record for record in of[::-1] if record.key == key)


def first(run: Evidence, topic: str) -> tuple[list[Record], Record]:
    """Return a partition of a topic that has records, and the first of these."""
    places: Any = run.log.items()
    of: list[Record] = next(of for (name, _), of in places if name == topic and of)
    return of, of[0]


def append(run: Evidence, topic: str, record: Record, value: bytes | None, key: bytes | None = None) -> None:
    """Append a record to the partition that another one is in; with its key unless another one is given."""
    places: Any = run.log.items()
    of: list[Record] = next(of for (name, _), of in places if name == topic and record in of)
    of.append(Record(of[-1].offset + 1, of[-1].timestamp + 1000, key or record.key, value))


def texts(evidence: Evidence) -> list[str]:
    """Return what the checker says."""
    return [f"{violation.rule}: {violation.text}" for violation in check(evidence)]
