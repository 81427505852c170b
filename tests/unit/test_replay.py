"""Past states, settled answers and stories, from facts as the log holds them."""

import random
from collections.abc import Iterable
from typing import Any

import pytest

from streams import codec
from streams.events import Event
from streams.keys import item_key, partition_of
from streams.processors.items import Items
from streams.projects import Policy, Projects, ProjectView
from streams.replay.compare import difference
from streams.replay.past import Logged, Past, past
from streams.replay.settled import settled
from streams.transport.batch import Batch, MemoryRows
from tests.unit.facts import PROJECT, fact, label, verdict

PARTITIONS = 4
START = 1_000_000


def logged(facts: Iterable[tuple[str, Event]]) -> list[Logged]:
    """Return facts as a log that got one a second, each topic and partition with offsets of its own."""
    ends: dict[tuple[str, int], int] = {}
    found = []
    for n, (topic, event) in enumerate(facts):
        key = item_key(event["project"], event["item_id"])
        place = topic, partition_of(key, PARTITIONS)
        ends[place] = ends.get(place, -1) + 1
        found.append(Logged(*place, ends[place], START + 1000 * n, key, codec.encode(topic, event)))
    return found


def crowd(seed: int, items: int = 30) -> list[tuple[str, Event]]:
    """Return labels of a few annotators, verdicts, gold and claims, in some order."""
    draw = random.Random(seed)
    facts: list[tuple[str, Event]] = []
    for n in range(items):
        item, right = f"i{n}", draw.choice(("cat", "dog"))
        for who in ("anna", "ben", "cleo"):
            said = right if draw.random() < 0.7 else draw.choice(("cat", "dog"))
            facts.append(("labels", label(who, said, item_id=item)))
        if n % 3 == 0:
            facts.append(("corrections", verdict("rita", "corrected", right, item_id=item)))
        if n % 4 == 0:
            facts.append(("claims", fact("claims", "rob", kind="reviewer", item_id=item)))
        if n % 5 == 0:
            facts.append(("flags", fact("flags", "anna", item_id=item)))
    draw.shuffle(facts)
    return facts


def live(records: Iterable[Logged]) -> dict[bytes, Any]:
    """Return the rows that the processor keeps, fed topic by topic in small batches."""
    items, rows = Items("labelloop", PARTITIONS, Projects()), [MemoryRows() for _ in range(PARTITIONS)]
    for one in records:
        batch = Batch(f"labelloop.{one.topic}", one.partition, [one], one.offset, one.offset + 1)
        rows[one.partition].update(items.handle(batch, rows[one.partition]).rows)
    return {key: row for mine in rows for key, row in mine.items()}


@pytest.mark.parametrize("seed", range(3))
def test_a_past_state_is_what_the_processor_had_then(seed: int) -> None:
    records = logged(crowd(seed))
    for cut in (1, len(records) // 3, len(records)):
        found, had = past(records[:cut], Projects(), PARTITIONS), live(records[:cut])
        assert found.states.keys() == had.keys()
        for key, state in found.states.items():
            assert {**state, "sent": None} == {**had[key], "sent": None}
        assert found.as_of == START + 1000 * (cut - 1)


def test_what_settles_does_not_depend_on_the_order_of_arrival() -> None:
    facts = crowd(7)
    one = past(logged(facts), Projects(), PARTITIONS)
    first = settled(PROJECT, one.states.values(), ProjectView()).records
    tasks = [codec.decode(value)[1] for value in first["review.state"].values()]
    assert len(tasks) == 30
    assert {task["consensus_source"] for task in tasks} == {"verdict", "posterior"}  # so a fit took part
    again = settled(PROJECT, one.states.values(), ProjectView()).records
    assert again == first  # and the states stayed as they were
    for n in range(2):
        random.Random(n).shuffle(facts)
        other = past(logged(facts), Projects(), PARTITIONS)
        skill = settled(PROJECT, other.states.values(), ProjectView()).records["annotators"]
        assert skill == first["annotators"]


def test_what_cannot_count_is_counted_by_reason() -> None:
    records = logged([("labels", label("anna", "cat", event_id="a")), ("labels", label("anna", "dog", event_id="a"))])
    foreign = records[0]._replace(partition=(records[0].partition + 1) % PARTITIONS)
    assert past([*records, records[0]._replace(value=b"x")], Projects(), PARTITIONS).refused == {
        "id_conflict": 1,
        "undecodable": 1,
    }
    assert past([foreign], Projects(), PARTITIONS) == Past({}, {"foreign_partitioner": 1}, 0)


def tasks_under(policy: Policy) -> list[dict[str, Any]]:
    states = past(logged(crowd(3, 60)), Projects(), PARTITIONS).states.values()
    found = settled(PROJECT, states, ProjectView(policy=policy)).records["review.state"]
    return [codec.decode(value)[1] for _, value in sorted(found.items())]


def test_the_same_policy_changes_nothing() -> None:
    assert difference(tasks_under(Policy()), tasks_under(Policy())).is_none


def test_another_policy_moves_tiers_and_order() -> None:
    before = tasks_under(Policy())
    strict = difference(before, tasks_under(Policy(p0=0.01, p1=0.005, p2=0.001)))
    assert not strict.is_none
    assert strict.open_before == strict.open_after == sum(task["status"] == "open" for task in before)
    assert {after for _, after in strict.tiers} == {"p0", "p1"}
    assert strict.tau == 1.0  # tiers are cut otherwise, the order stays
    ageing = difference(before, tasks_under(Policy(ageing_per_day=50_000.0)))
    assert ageing.tau is not None
    assert ageing.tau < 0.9
    assert ageing.overlap[10] < 1
