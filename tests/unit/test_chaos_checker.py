"""The checker of the chaos runs: silent over a log that the product's own functions wrote, and loud for each fault."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from streams import codec
from streams.catalogue import ITEM_FACTS
from streams.keys import make_key, partition_of
from streams.processors.fits import Skills, proposals
from streams.processors.items import Items
from streams.producers import facts
from streams.producers.wire import key_of
from streams.projects import Projects
from streams.quality.project import Project
from streams.transport.batch import Batch, Effects, MemoryRows
from tests.chaos.checker import check
from tests.chaos.evidence import Evidence, Record, Table
from tests.chaos.journal import Hold, Journal
from tests.chaos.offline import PREFIX, possible_owners
from workers.registry import About, fact

PARTITIONS = 2
T0 = 1_700_000_000_000
P = "crowd"


class Log:
    """A log in memory, written as the workers write it."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[Record]] = {}
        self.now = T0

    def add(self, topic: str, key: bytes | None, value: bytes, partition: int = -1) -> Record:
        """Append a record; every record is a second later than the one before."""
        self.now += 1000
        home = partition_of(key or b"", PARTITIONS) if partition < 0 else partition
        records = self.records.setdefault((topic, home), [])
        record = Record(records[-1].offset + 1 if records else 0, self.now, key, value)
        records.append(record)
        return record

    def effects(self, effects: Effects, partition: int) -> None:
        """Append what a handler returned."""
        for key, row in effects.rows.items():
            self.add("items-state-changelog", key, orjson.dumps(row), partition)
        for topic, key, value, home in effects.records:
            self.add(topic.removeprefix(f"{PREFIX}."), key, value, home)
        for letter in effects.dead:
            self.add("dead-letters", letter.record_key, letter.encode(), 0)


def said() -> list[facts.Fact]:
    """Return facts of a project: labels, a class that is not there, claims, verdicts, a flag after a verdict."""
    told = [
        facts.project(P, "lea", classes=["cat", "dog"], members={"ria": "reviewer", "rob": "reviewer", "lea": "lead"})
    ]
    for n in range(6):
        for who in ("anna", "ben", "cleo"):
            told.append(facts.label(P, f"i{n}", who, "dog" if (n + len(who)) % 3 else "cat", source="live"))
    told.append(facts.label(P, "i0", "dora", "unicorn", source="live"))
    told.append(facts.claim(P, "i1", "ria", source="review", lease_ms=60_000))
    told.append(facts.claim(P, "i1", "rob", source="review", lease_ms=60_000))
    told.append(facts.correction(P, "i1", "ria", "corrected", "cat", source="review"))
    told.append(facts.claim(P, "i1", "ria", "release", source="review"))
    told.append(facts.correction(P, "i2", "rob", "confirmed", "dog", source="review"))
    told.append(facts.flag(P, "i2", "anna", "wrong", source="live"))
    return told


def clean() -> Evidence:
    """Return the evidence of a run in which nothing went wrong."""
    log, journal, projects, skills = Log(), Journal(), Projects(), Skills()
    items, rows = Items(PREFIX, PARTITIONS, projects, skills), [MemoryRows() for _ in range(PARTITIONS)]

    def handle(topic: str, partition: int, record: Record) -> None:
        batch = Batch(f"{PREFIX}.{topic}", partition, [record], record.offset, record.offset + 1)
        effects = items.handle(batch, rows[partition])
        rows[partition].update(effects.rows)
        log.effects(effects, partition)

    for one in said():
        journal.sent[one.topic].add(one.event["event_id"])
        journal.acknowledged[one.topic].add(one.event["event_id"])
        record = log.add(one.topic, key_of(one), codec.encode(*one), 0 if one.topic == "projects" else -1)
        if one.topic == "projects":
            projects.learn(record.value, record.timestamp)
        else:
            handle(one.topic, partition_of(record.key or b"", PARTITIONS), record)
    labels = Project()
    for partition in range(PARTITIONS):
        for record in log.records.get(("judgements", partition), ()):
            labels.apply(codec.decode(record.value)[1])
    view = projects.latest(P)
    for proposal in proposals(P, labels, labels.fit(view.classes or ()), view, 7, "settle"):
        if proposal.topic == "annotators":
            skills.learn(proposal.value, 0)
        if proposal.topic != "rescores":
            log.add(proposal.topic, proposal.key, proposal.value, 0)
            continue
        for partition in range(PARTITIONS):
            handle("rescores", partition, log.add("rescores", proposal.key, proposal.value, partition))
    ends = {place: records[-1].offset + 1 for place, records in log.records.items()}
    committed = {"items": {place: end for place, end in ends.items() if place[0] in (*ITEM_FACTS, "rescores")}}
    journal.holds.append(Hold(P, "i1", "ria", T0, T0 + 500))
    return Evidence(PARTITIONS, log.records, ends, committed, journal=journal)


@pytest.fixture
def run() -> Evidence:
    return clean()


def rules(evidence: Evidence) -> set[str]:
    return {violation.rule for violation in check(evidence)}


def newest(run: Evidence, topic: str, item: str) -> tuple[list[Record], Record]:
    """Return the newest record of an item in a topic, and the list it is in."""
    key = make_key(P, item)
    return next(
        (of, record) for (name, _), of in run.log.items() if name == topic for record in of[::-1] if record.key == key
    )  # type: ignore[return-value]


def test_a_clean_run_breaks_no_rule(run: Evidence) -> None:
    assert check(run) == []
    topics = {topic for (topic, _), records in run.log.items() if records}
    assert {"review.state", "disagreement", "judgements", "labels.corrected", "skill", "dead-letters"} <= topics
    assert any(topic.startswith("review.p") for topic in topics)


def lose_a_fact(run: Evidence) -> None:
    records, record = newest(run, "labels", "i3")
    records.remove(record)


def invent_a_fact(run: Evidence) -> None:
    run.journal.sent["labels"].pop()


def differ_in_a_copy(run: Evidence) -> None:
    records, record = newest(run, "labels", "i3")
    event = codec.decode(record.value)[1] | {"duration_ms": 1}
    records.append(record._replace(offset=record.offset + 50, value=codec.encode("labels", event)))


def regress_a_state(run: Evidence) -> None:
    records, record = newest(run, "items-state-changelog", "i3")
    earlier = next(one for one in records if one.key == record.key)
    records.append(earlier._replace(offset=record.offset + 50))


def lose_a_dead_letter(run: Evidence) -> None:
    run.log["dead-letters", 0].clear()  # type: ignore[attr-defined]


def double_a_dead_letter(run: Evidence) -> None:
    records: Any = run.log["dead-letters", 0]
    records.append(records[0]._replace(offset=50))


def stop_before_the_end(run: Evidence) -> None:
    positions: Any = run.committed["items"]
    positions[next(iter(positions))] -= 1


def derive_something_else(run: Evidence) -> None:
    records, record = newest(run, "labels.corrected", "i1")
    content = codec.decode(record.value)[1] | {"weight_ppm": 1}
    records.append(record._replace(offset=record.offset + 50, value=codec.encode("labels_corrected", content)))


def lose_a_task(run: Evidence) -> None:
    records: Any = next(of for (topic, _), of in run.log.items() if topic.startswith("review.p") and of)
    records.pop()


def double_a_task(run: Evidence) -> None:
    records: Any = next(of for (topic, _), of in run.log.items() if topic.startswith("review.p") and of)
    records.append(records[-1]._replace(offset=50))


def open_a_closed_task(run: Evidence) -> None:
    records, record = newest(run, "review.state", "i1")
    task = codec.decode(record.value)[1]
    assert task["status"] == "closed"
    opened = codec.encode("review_task", task | {"status": "open", "tier": "p0"})
    records += [record._replace(offset=record.offset + 50, value=opened)]
    records += [record._replace(offset=record.offset + 51)]


def give_an_item_to_the_second(run: Evidence) -> None:
    records, record = newest(run, "items-state-changelog", "i1")
    state = orjson.loads(record.value or b"")
    state["claims"] |= {"owner": "rob", "until": T0 + 10**6}
    records.append(record._replace(offset=record.offset + 50, value=orjson.dumps(state)))


def hold_an_item_twice(run: Evidence) -> None:
    run.journal.holds.append(Hold(P, "i1", "rob", T0 + 400, T0 + 900))


def test_a_hold_ends_where_its_reviewer_takes_the_item_again() -> None:
    run = clean()
    run.journal.holds = [
        Hold(P, "i1", "ria", T0, T0 + 900),  # walked away from
        Hold(P, "i1", "ria", T0 + 300, T0 + 300),  # taken again and given back at once
        Hold(P, "i1", "rob", T0 + 400, T0 + 800),
    ]
    assert not rules(run)
    run.journal.holds.pop(1)
    assert rules(run) == {"claims"}


def train_a_snapshot_twice(run: Evidence) -> None:
    log: Any = run.log
    for n, version in enumerate(("m1", "m2")):
        event = fact(P, "trained", About(version, "s1"), caused_by="c")
        log.setdefault(("models", 0), []).append(Record(n, T0, make_key(P), codec.encode("models", event)))


def predict_by_no_champion(run: Evidence) -> None:
    told = facts.prediction(P, "i1", "m1", probabilities={"cat": 0.9, "dog": 0.1})
    log: Any = run.log
    record = Record(0, T0, key_of(told), codec.encode(*told))
    log["predictions", partition_of(record.key or b"", PARTITIONS)] = [record]


def give_up(run: Evidence) -> None:
    run.failures = ["sink-0 ended with 78"]


def miss_a_row(run: Evidence) -> None:
    run.tables = {"labels": Table(["event_id", "p"], [("a", 0.1)], [("a", 0.1 + 1e-15), ("b", 0.5)])}


def insert_a_row_twice(run: Evidence) -> None:
    run.twice = {"labels": [("labels", 0, 7, 2)]}


FAULTS: Mapping[Callable[[Evidence], None], set[str]] = {
    lose_a_fact: {"facts", "item state"},
    invent_a_fact: {"facts"},
    differ_in_a_copy: {"facts"},
    regress_a_state: {"item state", "unprocessed"},
    lose_a_dead_letter: {"dead letters"},
    double_a_dead_letter: {"dead letters"},
    stop_before_the_end: {"passed"},
    derive_something_else: {"derived"},
    lose_a_task: {"queue"},
    double_a_task: {"queue"},
    open_a_closed_task: {"queue"},
    give_an_item_to_the_second: {"claims"},
    hold_an_item_twice: {"claims"},
    train_a_snapshot_twice: {"models"},
    predict_by_no_champion: {"models"},
    give_up: {"processes"},
    miss_a_row: {"tables"},
    insert_a_row_twice: {"tables"},
}


@pytest.mark.parametrize("break_it", FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_found(run: Evidence, break_it: Callable[[Evidence], None]) -> None:
    break_it(run)
    assert FAULTS[break_it] <= rules(run)


def claim(who: str, action: str = "claim", number: int = 0) -> dict[str, Any]:
    return {"event_id": f"{who} {action} {number}", "actor": {"id": who}, "action": action, "lease_ms": 100}


def test_the_first_claim_holds_until_its_lease_ends() -> None:
    race = [(10, claim("ria")), (20, claim("rob")), (105, claim("rob", number=1)), (111, claim("rob", number=2))]
    assert [next(iter(possible_owners(race[:n], [frozenset()]))).owner for n in (1, 2, 3, 4)] == [
        "ria",
        "ria",
        "ria",
        "rob",
    ]


def test_a_verdict_that_lies_in_another_topic_may_come_before_or_after_a_claim() -> None:
    race = [(10, claim("ria")), (20, claim("rob"))]
    owners = {owner.owner for owner in possible_owners(race, [frozenset(), frozenset({"ria"})])}
    assert owners == {"ria", "rob"}
    assert {owner.owner for owner in possible_owners(race, [frozenset()])} == {"ria"}


def test_a_plan_is_made_by_its_seed_alone() -> None:
    from tests.chaos.plan import MUTANTS, draw

    assert draw(5, 60) == draw(5, 60)
    assert draw(5, 60).faults != draw(6, 60).faults
    assert {fault.kind for fault in draw(1, 400).faults} == {
        *("kill", "stop", "starve", "drop", "delay", "late", "half-open", "full", "clock")
    }
    for mutant in MUTANTS:
        assert draw(5, 60, mutant).operations == replace(draw(5, 60), mutant=mutant).operations
