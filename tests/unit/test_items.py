"""A batch becomes rows, snapshots and dead letters; one bad record never touches its neighbours."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codec, events
from streams.errors import LabelloopError
from streams.events import Event
from streams.keys import item_key, partition_of
from streams.processors.items import Items
from streams.projects import Projects
from streams.transport.batch import Batch, Effects, MemoryRows
from tests.unit.facts import ITEM, PROJECT, fact, label, verdict

PARTITIONS = 4
HOME = partition_of(item_key(PROJECT, ITEM), PARTITIONS)


@dataclass
class Fetched:
    """A record as fetched."""

    value: bytes | None
    key: bytes | None = item_key(PROJECT, ITEM)
    offset: int = 0
    timestamp: int = 1_000_000


def handle(
    topic: str,
    *records: Fetched,
    rows: MemoryRows | None = None,
    projects: Projects | None = None,
    at: int = HOME,
) -> Effects:
    for offset, record in enumerate(records):
        record.offset = offset
    batch = Batch(f"x.{topic}", at, records, 0, len(records))
    state = MemoryRows() if rows is None else rows
    effects = Items("x", PARTITIONS, projects or Projects()).handle(batch, state)
    state.update(effects.rows)
    return effects


def raw(topic: str, event: Event) -> Fetched:
    return Fetched(codec.encode(topic, event), item_key(event["project"], event["item_id"]))


def topics_of(effects: Effects) -> list[str]:
    return sorted(out.topic.removeprefix("x.") for out in effects.records)


def members(**roles: str) -> Projects:
    projects = Projects()
    projects.apply(fact("projects", "lead", kind="lead", item_id="", members=roles, classes=["cat", "dog"]), 0)
    return projects


GOOD = raw("labels", label("good", "cat"))

BAD: dict[str, tuple[str, Fetched]] = {
    "undecodable": ("undecodable", Fetched(b"\0\0\0\0\x0dnonsense")),
    "no wire format": ("undecodable", Fetched(b"{}")),
    "empty": ("undecodable", Fetched(None)),
    "unknown schema": ("unknown_schema", Fetched(b"\0\0\1\0\0abc")),
    "other schema": ("invalid", raw("flags", fact("flags", "a"))),
    "oversized": ("too_large", raw("labels", label("a", "cat", attributes={"x": "y" * 300_000}))),
    "wrong key": ("invalid", Fetched(codec.encode("labels", label("a", "cat")), key=b"p/other")),
    "from the future": ("invalid", raw("labels", label("a", "cat", occurred_at=10_000_000))),
    "no value": ("invalid", raw("labels", fact("labels", "a", value=None))),
    "unknown class": ("unknown_class", raw("labels", label("a", "cow"))),
    "unknown class of many": (
        "unknown_class",
        raw("labels", fact("labels", "a", value=events.value_of("choices", ["cat", "cow"]))),
    ),
    "unknown class of a region": (
        "unknown_class",
        raw("labels", fact("labels", "a", value=events.value_of("spans", [{"label": "cow", "start": 0, "end": 1}]))),
    ),
    "unknown kind": (
        "invalid",
        raw("labels", fact("labels", "a", value={**events.choice("cat"), "kind": "keypoints"})),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_poison_is_named_and_its_neighbours_are_folded(name: str) -> None:
    reason, bad = BAD[name]
    effects = handle("labels", GOOD, bad, raw("labels", label("later", "dog")), projects=members())
    (letter,) = effects.dead
    assert (letter.reason, letter.topic, letter.partition, letter.offset) == (reason, "x.labels", HOME, 1)
    assert letter.value == bad.value
    assert len(effects.rows[item_key(PROJECT, ITEM)]["facts"]["labels"]) == 2


def test_foreign_partitioner_is_poison() -> None:
    (letter,) = handle("labels", GOOD, at=(HOME + 1) % PARTITIONS).dead
    assert letter.reason == "foreign_partitioner"
    assert "murmur2_random" in letter.detail


def test_reused_id_with_other_content_is_poison_and_the_first_counts() -> None:
    effects = handle(
        "labels", raw("labels", label("a", "cat", event_id="1")), raw("labels", label("a", "dog", event_id="1"))
    )
    assert [letter.reason for letter in effects.dead] == ["id_conflict"]
    (row,) = effects.rows.values()
    assert row["facts"]["labels"]["1"]["value"]["choice"] == "cat"


def test_too_many_facts_are_poison() -> None:
    big = {"x": "y" * 200_000}
    many = [raw("labels", label(f"a{n}", "cat", attributes=big)) for n in range(5)]
    effects = handle("labels", *many)
    assert [letter.reason for letter in effects.dead] == ["item_too_large"] * 2


@pytest.mark.parametrize(
    ("topic", "event"),
    [
        ("corrections", verdict("nobody", "confirmed", "cat")),
        ("claims", fact("claims", "nobody", kind="reviewer")),
        ("gold", fact("gold", "nobody", use="truth", value=events.choice("cat"))),
    ],
)
def test_roles_are_judged_once_members_are_named(topic: str, event: Event) -> None:
    assert [d.reason for d in handle(topic, raw(topic, event), projects=members(ria="reviewer")).dead] == [
        "not_allowed"
    ]
    assert not handle(topic, raw(topic, event), projects=members(nobody="reviewer")).dead
    assert not handle(topic, raw(topic, event)).dead  # nobody is named: everybody may


def test_settings_are_judged_as_of_the_log_time() -> None:
    projects = Projects()
    projects.apply(fact("projects", "lead", kind="lead", item_id="", classes=["dog"]), 500)
    early, late = Fetched(GOOD.value, timestamp=499), raw("labels", label("b", "cat"))
    late.timestamp = 500
    assert [letter.offset for letter in handle("labels", early, late, projects=projects).dead] == [1]


def test_a_copy_changes_nothing_and_emits_nothing() -> None:
    rows = MemoryRows()
    first = handle("labels", GOOD, rows=rows)
    assert topics_of(first) == ["disagreement", "judgements", "labels.corrected", "review.p2", "review.state"]
    copy = handle("labels", Fetched(GOOD.value, timestamp=GOOD.timestamp + 5), rows=rows)
    assert (copy.rows, copy.records, copy.dead) == ({}, [], [])


def test_a_verdict_judges_every_label_and_resolves_the_item() -> None:
    rows = MemoryRows()
    handle("labels", GOOD, raw("labels", label("b", "dog")), rows=rows)
    effects = handle("corrections", raw("corrections", verdict("r", "corrected", "dog")), rows=rows)
    assert topics_of(effects) == ["judgements", "judgements", "labels.corrected", "review.state"]
    judged = {
        codec.decode(out.value)[1]["annotator"]: codec.decode(out.value)[1]["reference"]["choice"]
        for out in effects.records
        if out.topic == "x.judgements"
    }
    assert judged == {"good": "dog", "b": "dog"}


@pytest.mark.parametrize("order", [("items", "labels"), ("labels", "items")])
def test_the_last_judgement_tells_the_item_s_group_whichever_came_first(order: tuple[str, str]) -> None:
    facts = {"items": raw("items", fact("items", "tool", kind="system", group="night")), "labels": GOOD}
    rows = MemoryRows()
    told = [
        codec.decode(out.value)[1]["group"]
        for topic in order
        for out in handle(topic, facts[topic], rows=rows).records
        if out.topic == "x.judgements"
    ]
    assert told[-1] == "night"


def test_judgements_of_a_project_share_a_partition() -> None:
    effects = handle("labels", GOOD)
    (judgement,) = [out for out in effects.records if out.topic == "x.judgements"]
    assert judgement.partition == partition_of(b"p", PARTITIONS)


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=4), st.integers(1, 5))
def test_any_order_copies_and_cut_give_the_same_facts(order: list[int], copies: list[int], cut: int) -> None:
    facts: list[tuple[str, Event]] = [
        ("labels", label("a", "cat", source_seq=1)),
        ("labels", label("a", "dog", source_seq=2)),
        ("labels", label("b", "cat")),
        ("corrections", verdict("r", "corrected", "cat")),
        ("flags", fact("flags", "b")),
        ("gold", fact("gold", "l", value=events.choice("dog"))),
    ]

    def state_after(indexes: list[int], size: int) -> Any:
        rows = MemoryRows()
        for start in range(0, len(indexes), size):
            for n in indexes[start : start + size]:
                topic, event = facts[n]
                handle(topic, Fetched(codec.encode(topic, event), timestamp=1_000_000 + n), rows=rows)
        (row,) = rows.values()
        return row["facts"]

    assert state_after([*order, *copies], cut) == state_after(list(range(6)), 6)


def test_rows_of_another_format_stop_the_worker_and_lose_no_fact() -> None:
    rows = MemoryRows()
    handle("labels", GOOD, rows=rows)
    for row in rows.values():
        row["format"] = 0
    with pytest.raises(LabelloopError, match="run `labelloop refold`"):
        handle("labels", raw("labels", label("later", "dog")), rows=rows)


def test_a_retraction_that_repeats_the_label_takes_it_back() -> None:
    rows = MemoryRows()
    handle("labels", GOOD, rows=rows)
    effects = handle("labels", raw("labels", label("good", "cat", retracted=True, source_seq=5)), rows=rows)
    state = next(codec.decode(out.value)[1] for out in effects.records if out.topic == "x.review.state")
    assert (state["n_labels"], state["status"]) == (0, "unlabelled")


def test_an_item_is_scored_by_the_settings_of_its_own_time_whatever_else_is_in_the_batch() -> None:
    projects = Projects()
    projects.apply(fact("projects", "lead", kind="lead", item_id="", guideline={"version": "2", "classes": []}), 1500)
    closing = raw("corrections", verdict("r", "confirmed", "cat"))
    closing.timestamp = 1000
    other = next(f"other-{n}" for n in range(99) if partition_of(item_key(PROJECT, f"other-{n}"), PARTITIONS) == HOME)
    late = raw("corrections", verdict("r", "confirmed", "cat", item_id=other))
    late.timestamp = 2000
    rows = MemoryRows()
    handle("labels", GOOD, raw("labels", label("a", "cat", item_id=other)), rows=rows, projects=projects)
    together = handle("corrections", closing, late, rows=rows, projects=projects)
    states = [codec.decode(out.value)[1] for out in together.records if out.topic == "x.review.state"]
    assert [(state["item_id"], state["status"]) for state in states] == [(ITEM, "closed"), (other, "closed")]


def test_the_evidence_of_a_consensus_is_its_labels() -> None:
    given = [label(annotator, "cat") for annotator in ("a", "b", "c", "d")] + [label("e", "dog")]
    effects = handle("labels", *(raw("labels", one) for one in given))
    (record,) = (out for out in effects.records if out.topic == "x.labels.corrected")
    told = codec.decode(record.value)[1]
    assert (told["source"], told["evidence"]) == ("consensus", sorted(one["event_id"] for one in given[:4]))
