"""The checker of the chaos runs: silent over a log that the product's own functions wrote, and loud for each fault."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest

from streams import codec
from streams.dead_letters import DeadLetter
from streams.errors import Reason
from streams.keys import make_key, partition_of
from tests.chaos.evidence import Evidence, Record, Table
from tests.chaos.journal import Hold
from tests.chaos.offline import PREFIX, possible_owners
from tests.unit.chaos_logs import PARTITIONS, T0, P, append, clean, first, newest, texts


@pytest.fixture
def run() -> Evidence:
    return clean()


def test_a_clean_run_breaks_no_rule(run: Evidence) -> None:
    assert texts(run) == []
    topics = {topic for (topic, _), records in run.log.items() if records}
    assert {"review.state", "disagreement", "judgements", "labels.corrected", "skill", "dead-letters"} <= topics
    assert {"snapshots", "models", "predictions", "feedback"} <= topics
    assert any(topic.startswith("review.p") for topic in topics)
    last = {f"i{n}": codec.decode(newest(run, "review.state", f"i{n}")[1].value)[1] for n in range(10)}
    opened = {name for name, task in last.items() if task["status"] == "open" and task["verdict"]}
    assert opened == {"i2", "i4", "i5", "i7", "i8"}
    assert {name for name, task in last.items() if task["status"] == "closed"} == {"i1", "i9"}


# What may go wrong


def lose_a_fact(run: Evidence) -> None:
    records, record = newest(run, "labels", "i3")
    records.remove(record)


def invent_a_fact(run: Evidence) -> None:
    run.journal.sent["labels"].pop()


def differ_in_a_copy(run: Evidence) -> None:
    _, record = newest(run, "labels", "i3")
    append(run, "labels", record, codec.encode("labels", codec.decode(record.value)[1] | {"duration_ms": 1}))


def regress_a_state(run: Evidence) -> None:
    records, record = newest(run, "items-state-changelog", "i3")
    append(run, "items-state-changelog", record, next(one for one in records if one.key == record.key).value)


def restate(run: Evidence, item: str, **fields: Any) -> None:
    _, record = newest(run, "items-state-changelog", item)
    append(run, "items-state-changelog", record, orjson.dumps(orjson.loads(record.value or b"") | fields))


def count_a_state_wrong(run: Evidence) -> None:
    restate(run, "i3", bytes=1)


def alter_a_fact_in_a_state(run: Evidence) -> None:
    _, record = newest(run, "items-state-changelog", "i3")
    kept = orjson.loads(record.value or b"")["facts"]
    for one in kept["labels"].values():
        one["logged"] += 1
    restate(run, "i3", facts=kept)


def lose_a_state(run: Evidence) -> None:
    records, record = newest(run, "items-state-changelog", "i3")
    records[:] = [one for one in records if one.key != record.key]


def invent_a_state(run: Evidence) -> None:
    _, record = newest(run, "items-state-changelog", "i3")
    append(run, "items-state-changelog", record, record.value, make_key(P, "i33"))


def forget_a_claim(run: Evidence) -> None:
    _, record = newest(run, "items-state-changelog", "i1")
    held = orjson.loads(record.value or b"")["claims"]
    restate(run, "i1", claims=held | {"recent": held["recent"][1:]})


def give_an_item_to_the_second(run: Evidence) -> None:
    _, record = newest(run, "items-state-changelog", "i1")
    held = orjson.loads(record.value or b"")["claims"]
    restate(run, "i1", claims=held | {"owner": "rob", "until": T0 + 10**6})


def lose_a_dead_letter(run: Evidence) -> None:
    first(run, "dead-letters")[0].clear()


def double_a_dead_letter(run: Evidence) -> None:
    _, letter = first(run, "dead-letters")
    append(run, "dead-letters", letter, letter.value)


def write_a_letter(run: Evidence, consumer: str, topic: str, reason: Reason, detail: str = "") -> None:
    letter = DeadLetter(consumer, f"{PREFIX}.{topic}", 0, 0, T0, b"", b"", reason, detail)
    append(run, "dead-letters", first(run, "dead-letters")[1], letter.encode())


def refuse_what_is_no_poison(run: Evidence) -> None:
    write_a_letter(run, "items", "labels", "invalid")


def refuse_a_row_that_fits(run: Evidence) -> None:
    write_a_letter(run, "sink", "labels", "invalid")


def store_what_no_table_holds(run: Evidence) -> None:
    run.refused = {("labels", 0, 7, "undecodable")}


def fail_by_a_bug(run: Evidence) -> None:
    write_a_letter(run, "retrain", "labels.corrected", "bug", "KeyError: 'value'")


def meet_a_refusal(run: Evidence) -> None:
    run.refused = {("labels", 0, 0, "refused")}
    write_a_letter(run, "sink", "labels", "refused", "ClickHouse: no")


def stop_before_the_end(run: Evidence) -> None:
    positions: Any = run.committed["items"]
    positions[next(iter(positions))] -= 1


def derive_something_else(run: Evidence) -> None:
    _, record = newest(run, "labels.corrected", "i1")
    content = codec.decode(record.value)[1] | {"weight_ppm": 1}
    append(run, "labels.corrected", record, codec.encode("labels_corrected", content))


def tell_of_somebody_who_is_not_there(run: Evidence) -> None:
    _, record = first(run, "skill")
    content = codec.decode(record.value)[1] | {"annotator": "nobody"}
    append(run, "skill", record, codec.encode("skill", content), make_key(P, "nobody", "annotator"))


def tell_a_part_of_another_fit(run: Evidence) -> None:
    _, record = first(run, "skill")
    append(run, "skill", record, codec.encode("skill", codec.decode(record.value)[1] | {"refit": 6}))


def tell_other_skill(run: Evidence) -> None:
    _, record = first(run, "skill")
    append(run, "skill", record, codec.encode("skill", codec.decode(record.value)[1] | {"judged": 99}))


def of_a_tier(run: Evidence) -> Any:
    return next(of for (topic, _), of in run.log.items() if topic.startswith("review.p") and of)


def lose_a_task(run: Evidence) -> None:
    of_a_tier(run).pop()


def double_a_task(run: Evidence) -> None:
    records = of_a_tier(run)
    records.append(records[-1]._replace(offset=50))


def open_(run: Evidence, item: str, **fields: Any) -> None:
    """Open a task and put it back as it was, each time in its state and, where it is open, in its tier."""
    _, record = newest(run, "review.state", item)
    task, tiers = codec.decode(record.value)[1], run.log
    for told in (task | {"status": "open", "tier": "p0", "revision": "another"} | fields, task):
        value = codec.encode("review_task", told)
        append(run, "review.state", record, value)
        if told["status"] == "open":
            place = f"review.{told['tier']}", partition_of(record.key or b"", PARTITIONS)
            tiers.setdefault(place, []).append(Record(90, T0, record.key, value))  # type: ignore[attr-defined]


def open_a_closed_task(run: Evidence) -> None:
    open_(run, "i1")  # what came after the verdict: a release, a copy, evaluation gold, a prediction


def open_after_the_guideline(run: Evidence) -> None:
    open_(run, "i9")


def open_by_a_verdict_that_nobody_gave(run: Evidence) -> None:
    task = codec.decode(newest(run, "review.state", "i1")[1].value)[1]
    open_(run, "i1", verdict=task["verdict"] | {"event_id": "e1"})


def open_as_if_the_verdict_was_taken_back(run: Evidence) -> None:
    open_(run, "i1", verdict=None)


def open_before_the_verdict_was_taken_back(run: Evidence) -> None:
    records, record = newest(run, "review.state", "i6")
    history = (one for one in records if one.key == record.key)
    next(one for one in history if codec.decode(one.value)[1]["status"] == "closed")
    opened = next(history)
    task = codec.decode(opened.value)[1] | {"updated_at": 0}
    records[records.index(opened)] = opened._replace(value=codec.encode("review_task", task))


def open_before(run: Evidence, item: str) -> None:
    """Open a task no later than its verdict, whatever opened it afterwards."""
    task = codec.decode(newest(run, "review.state", item)[1].value)[1]
    open_(run, item, updated_at=task["verdict"]["at"])


def open_before_the_flag(run: Evidence) -> None:
    open_before(run, "i2")


def open_before_the_other_label(run: Evidence) -> None:
    open_before(run, "i4")


def open_before_the_comment(run: Evidence) -> None:
    open_before(run, "i5")


def open_before_the_guideline(run: Evidence) -> None:
    records, record = newest(run, "review.state", "i8")
    opened = next(one for one in records if one.key == record.key and codec.decode(one.value)[1]["tier"])
    records[records.index(record)] = record._replace(timestamp=opened.timestamp)


def hold_an_item_twice(run: Evidence) -> None:
    run.journal.holds.append(Hold(P, "i1", "rob", T0 + 400, T0 + 900))


def give_up(run: Evidence) -> None:
    run.failures = ["sink-0 ended with 78"]


def grow_while_it_is_read(run: Evidence) -> None:
    run.moved = ["labels-0 grew"]


def miss_a_row(run: Evidence) -> None:
    run.tables = {"labels": Table(["event_id", "p"], [("a", 0.1)], [("a", 0.1 + 1e-15), ("b", 0.5)])}


def have_a_row_too_many(run: Evidence) -> None:
    run.tables = {"labels": Table(["event_id", "p"], [("a", 0.1), ("b", 0.5)], [("b", 0.5)])}


def insert_a_row_twice(run: Evidence) -> None:
    run.twice = {"labels": [("labels", 0, 7, 2)]}


OPENED = "and nothing opened it"

FAULTS: Mapping[Callable[[Evidence], None], str] = {
    lose_a_fact: "was acknowledged and is not in the log",
    invent_a_fact: "is in the log and nobody sent it",
    differ_in_a_copy: "has copies of 2 contents",
    regress_a_state: "is in no state",
    count_a_state_wrong: "item state: b'crowd/i3': bytes differs",
    alter_a_fact_in_a_state: "item state: b'crowd/i3': labels ",
    lose_a_state: "item state: b'crowd/i3' has facts and no state",
    invent_a_state: "item state: b'crowd/i33' has a state and no fact",
    forget_a_claim: "the claims that were applied differ",
    give_an_item_to_the_second: "claims: b'crowd/i1' is held as Owner(owner='rob'",
    lose_a_dead_letter: "dead letters: none for ('items', 'labels', ",
    double_a_dead_letter: "dead letters: 2 for ('items', 'labels', ",
    refuse_what_is_no_poison: "one for ('items', 'labels', 0, 0, 'invalid'), which is no poison",
    refuse_a_row_that_fits: "one for ('sink', 'labels', 0, 0, 'invalid'), which is no poison",
    store_what_no_table_holds: "none for ('sink', 'labels', 0, 7, 'undecodable')",
    fail_by_a_bug: "('retrain', 'labels.corrected', 0, 0) is given up by a fault of ours: KeyError: 'value'",
    meet_a_refusal: "('sink', 'labels', 0, 0) is given up by a fault of ours: ClickHouse: no",
    stop_before_the_end: "passed: items stands at",
    derive_something_else: "derived: labels.corrected b'crowd/i1': weight_ppm is 1, not 1000000",
    tell_of_somebody_who_is_not_there: "derived: skill b'crowd/nobody/annotator': surplus",
    tell_a_part_of_another_fit: "is of another fit than the last one told",
    tell_other_skill: "judged is 99, not",
    lose_a_task: "is missing in review.p",
    double_a_task: "is resurrected or doubled in review.p",
    open_a_closed_task: OPENED,
    open_after_the_guideline: OPENED,
    open_by_a_verdict_that_nobody_gave: OPENED,
    open_as_if_the_verdict_was_taken_back: OPENED,
    open_before_the_verdict_was_taken_back: OPENED,
    open_before_the_flag: OPENED,
    open_before_the_other_label: OPENED,
    open_before_the_comment: OPENED,
    open_before_the_guideline: OPENED,
    hold_an_item_twice: "was held by two at once",
    give_up: "processes: sink-0 ended with 78",
    grow_while_it_is_read: "processes: labels-0 grew",
    miss_a_row: "tables: labels lacks ('b', 0.5)",
    have_a_row_too_many: "tables: labels has ('a', 0.1)",
    insert_a_row_twice: "tables: labels was given ('labels', 0, 7, 2) more than once",
}
"""What is said of each fault; each is something that no other rule says."""


@pytest.mark.parametrize("break_it", FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_found(run: Evidence, break_it: Callable[[Evidence], None]) -> None:
    break_it(run)
    found = texts(run)
    assert any(FAULTS[break_it] in text for text in found), found


def test_the_sink_may_tell_of_a_record_twice_and_a_part_of_an_earlier_fit_may_stay(run: Evidence) -> None:
    run.refused = {("labels", 0, 0, "undecodable")}
    write_a_letter(run, "sink", "labels", "undecodable")
    write_a_letter(run, "sink", "labels", "undecodable")
    _, record = first(run, "skill")
    content = codec.decode(record.value)[1] | {"annotator": "gone", "refit": 6}
    append(run, "skill", record, codec.encode("skill", content), make_key(P, "gone", "annotator"))
    assert texts(run) == []


def test_a_hold_ends_where_its_reviewer_takes_the_item_again(run: Evidence) -> None:
    run.journal.holds = [
        Hold(P, "i1", "ria", T0, T0 + 900),  # walked away from
        Hold(P, "i1", "ria", T0 + 300, T0 + 300),  # taken again and given back at once
        Hold(P, "i1", "rob", T0 + 400, T0 + 800),
    ]
    assert texts(run) == []
    run.journal.holds.pop(1)
    assert any("was held by two at once" in text for text in texts(run))


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
