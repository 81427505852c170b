"""The story of an item: what each fact caused, in the log's order, whatever order it is read in."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from streams import codec, events
from streams.cli.replay import history
from streams.events import Event
from streams.keys import item_key, partition_of
from streams.processors.items import Items
from streams.projects import Projects
from streams.replay.past import Logged
from streams.replay.story import Step, story
from streams.transport.batch import Batch, MemoryRows
from tests.unit.facts import ITEM, PROJECT, fact, label, verdict
from tests.unit.test_items import Fetched

PARTITIONS = 4
KEY = item_key(PROJECT, ITEM)
HOME = partition_of(KEY, PARTITIONS)


def log(*facts: tuple[str, Event], start: int = 1_000) -> list[Logged]:
    """Return facts as the log holds them, one a second."""
    offsets = dict[str, int]()
    found = []
    for n, (topic, event) in enumerate(facts):
        offsets[topic] = offsets.get(topic, -1) + 1
        found.append(Logged(topic, HOME, offsets[topic], start + 1_000 * n, KEY, codec.encode(topic, event)))
    return found


def told(records: Iterable[Logged], projects: Projects | None = None) -> list[Step]:
    return story(PROJECT, ITEM, records, projects or Projects(), PARTITIONS)


def settings(**fields: Any) -> Event:
    event = fact("projects", "lena", kind="lead", **fields)
    return event | {"item_id": ""}


def test_a_verdict_closes_the_task_and_a_flag_opens_it_again() -> None:
    flag = fact("flags", "ben", text="two birds")
    records = log(
        ("labels", label("anna", "wren")),
        ("labels", label("ben", "robin")),
        ("corrections", verdict("ria", "corrected", "wren", reason="white eye-stripe", caused_by="task-1")),
        ("flags", flag),
        ("corrections", verdict("ria", "confirmed", "wren", caused_by=flag["event_id"])),
    )
    steps = told(records)
    assert [(step.actor, step.role, step.says, step.caused) for step in steps] == [
        ("anna", "annotator", "labelled it wren", ("opened the task",)),
        ("ben", "annotator", "labelled it robin", ()),
        ("ria", "reviewer", "corrected wren", ("closed the task",)),
        ("ben", "annotator", "flagged it wrong: two birds", ("re-opened the task",)),
        ("ria", "reviewer", "confirmed wren", ("closed the task",)),
    ]
    assert (steps[2].reason, steps[2].caused_by) == ("white eye-stripe", "task-1")
    assert steps[4].caused_by == flag["event_id"]


def test_the_order_of_reading_does_not_matter() -> None:
    records = log(
        *(("labels", label(f"a{n}", "cat")) for n in range(5)),
        ("claims", fact("claims", "ria", kind="reviewer")),
        ("corrections", verdict("ria", "confirmed", "cat")),
        ("comments", fact("comments", "a1")),
    )
    shuffled = [*records]
    random.Random(7).shuffle(shuffled)
    assert shuffled != records
    assert told(shuffled) == told(records)
    assert len(told(records)) == len(records)


def test_offsets_come_before_times_where_the_clock_was_set_back() -> None:
    first, second = log(("labels", label("anna", "cat")), ("labels", label("ben", "dog")))
    steps = told([first._replace(timestamp=9_000), second._replace(timestamp=1_000)])
    assert [step.actor for step in steps] == ["anna", "ben"]


def test_a_lost_claim_says_who_holds_it() -> None:
    claims = [fact("claims", name, kind="reviewer", lease_ms=1_500) for name in ("ria", "tom", "kim")]
    steps = told(log(*(("claims", claim) for claim in claims)))
    assert [step.caused for step in steps] == [
        ("holds it until 1970-01-01 00:00:02",),
        ("ria holds it until 1970-01-01 00:00:02",),
        ("holds it until 1970-01-01 00:00:04",),
    ]


def test_what_is_refused_and_what_is_a_copy_changes_nothing() -> None:
    projects = Projects()
    projects.apply(settings(classes=["cat"]), 0)
    wrong, right = label("anna", "dog"), label("ben", "cat")
    records = log(("labels", wrong), ("labels", right), ("labels", right))
    records.append(Logged("labels", HOME, 9, 9_000, KEY, b"garbage"))
    steps = told(records, projects)
    assert steps[0].caused[0].startswith("dead letter, unknown_class: 'dog'")
    assert steps[1].caused == ("opened the task",)
    assert steps[2].caused == ("nothing: a further copy",)
    assert (steps[3].says, steps[3].actor) == ("cannot be read", None)
    assert steps[3].caused[0].startswith("dead letter, undecodable")


def test_a_dead_letter_given_back_counts_from_its_own_time() -> None:
    (refused,) = log(("labels", label("anna", "cat")))
    action = {
        "action": "redrive",
        "by": "lena",
        "text": "the class is declared",
        "consumer": "items",
        "topic": "labelloop.labels",
        "partition": HOME,
        "offset": 0,
        "log_time": refused.timestamp,
        "attempt": 1,
        "reason": "bug",
        "key": KEY,
        "value": refused.value,
    }
    again = Logged("dead-letters.actions", HOME, 0, 5_000, KEY, codec.encode("dead_letter_actions", action))
    (step,) = told([again])
    assert (step.actor, step.reason, step.caused) == ("lena", "the class is declared", ("opened the task",))
    other = codec.encode("dead_letter_actions", action | {"consumer": "sink"})
    assert told([again._replace(value=other)]) == []


def test_a_guideline_that_opens_the_task_is_part_of_the_story() -> None:
    projects = Projects()
    projects.apply(settings(classes=["cat", "dog"]), 0)
    projects.apply(settings(guideline={"version": "g2", "classes": ["cat"]}), 10_000)
    projects.apply(settings(guideline={"version": "g3", "classes": ["dog"]}), 11_000)
    steps = told(log(("labels", label("anna", "cat")), ("corrections", verdict("ria", "confirmed", "cat"))), projects)
    assert [(step.topic, step.says, step.caused) for step in steps[2:]] == [
        ("projects", "changed guideline g2", ("re-opened the task",))
    ]


def test_a_receipt_is_told_beside_what_it_answers() -> None:
    right = verdict("ria", "corrected", "cat")
    receipt = {
        "event_id": events.event_id("receipt"),
        "project": PROJECT,
        "item_id": ITEM,
        "recipient": "ria",
        "caused_by": right["event_id"],
        "stage": "promoted",
        "snapshot": "s-1",
        "model_version": "m-2",
        "at": 5_000,
    }
    records = log(("labels", label("anna", "dog")), ("corrections", right))
    records.append(Logged("feedback", HOME, 0, 5_000, KEY, codec.encode("feedback", receipt)))
    assert [step.caused for step in told(records)] == [
        ("opened the task",),
        ("closed the task", "receipt to ria: snapshot s-1 took it, model m-2 promoted"),
    ]


def test_other_items_are_passed_over() -> None:
    other = label("anna", "cat", item_id="other")
    assert told([Logged("labels", HOME, 0, 1_000, item_key(PROJECT, "other"), codec.encode("labels", other))]) == []


_MOVES = {
    "opened the task": "open",
    "re-opened the task": "open",
    "closed the task": "closed",
    "no label stands": "unlabelled",
    "withdrew the item": "removed",
}
_PEOPLE = st.sampled_from(["anna", "ben", "ria"])
_LABELS = st.sampled_from(["cat", "dog"])
_FACTS = st.one_of(
    st.builds(lambda who, what: ("labels", label(who, what)), _PEOPLE, _LABELS),
    st.builds(lambda who: ("labels", label(who, "cat", retracted=True)), _PEOPLE),
    st.builds(lambda who, what: ("corrections", verdict(who, "corrected", what)), _PEOPLE, _LABELS),
    st.builds(lambda who: ("corrections", verdict(who, "unsure")), _PEOPLE),
    st.builds(lambda who: ("flags", fact("flags", who)), _PEOPLE),
    st.builds(lambda who, removed: ("items", fact("items", who, removed=removed)), _PEOPLE, st.booleans()),
    st.builds(lambda who: ("claims", fact("claims", who, kind="reviewer")), _PEOPLE),
)


@given(st.lists(_FACTS, min_size=1, max_size=12))
def test_what_moved_leads_to_the_state_that_the_processor_tells(facts: list[tuple[str, Event]]) -> None:
    records, rows, live = log(*facts), MemoryRows(), "unlabelled"
    items = Items("x", PARTITIONS, Projects())
    for record in records:
        fetched = Fetched(record.value, KEY, record.offset, record.timestamp)
        effects = items.handle(Batch(f"x.{record.topic}", HOME, [fetched], record.offset, record.offset + 1), rows)
        rows.update(effects.rows)
        for out in effects.records:
            if out.topic == "x.review.state":
                live = codec.decode(out.value)[1]["status"]
    moves = [_MOVES[text] for step in told(records) for text in step.caused if text in _MOVES]
    assert (moves or ["unlabelled"])[-1] == live


def test_the_table_says_who_what_why_and_what_it_caused(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = told(log(("labels", label("anna", "[red]")), ("corrections", verdict("ria", "rejected", reason="blurred"))))
    monkeypatch.setattr("streams.cli.replay.read_story", lambda *_: steps)
    monkeypatch.setenv("LABELLOOP_KAFKA", "nowhere:1")
    monkeypatch.setenv("COLUMNS", "200")
    out = CliRunner().invoke(history, [ITEM, "--project", PROJECT], catch_exceptions=False).output
    assert "1970-01-01 00:00:01  anna (annotator)  labels: labelled it [red]" in out
    assert [word in out for word in ("ria (reviewer)", "blurred", "closed the task")] == [True] * 3
