"""What makes a fact valid, and that ids depend on nothing but what is said."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codec, contract, events
from streams.errors import Poison

NOW = 1_777_888_800_000
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


def example(schema: str, name: str = "minimal", **fields: Any) -> events.Event:
    event = codec.decode(codec.encode(schema, contract.examples()[schema][name]))[1]
    return {**event, **fields}


def region(**fields: object) -> dict[str, object]:
    return {"label": "x", "x": 0.1, "y": 0.1, "width": 0.5, "height": 0.5, "rotation": 0.0, "id": None, **fields}


@pytest.mark.parametrize(
    ("schema", "fields", "said"),
    [
        ("labels", {"event_id": ""}, "event_id has 0 characters"),
        ("labels", {"project": "p" * 201}, "project has 201 characters"),
        ("labels", {"item_id": ""}, "item_id has 0 characters"),
        ("labels", {"actor": {"id": "anna", "kind": "robot"}}, "actor.kind is 'robot'"),
        ("labels", {"occurred_at": NOW + events.MAX_AHEAD_MS + 1}, "after the log's timestamp"),
        ("labels", {"occurred_at": -1}, "occurred_at is -1"),
        ("labels", {"value": None}, "value is missing"),
        ("labels", {"duration_ms": -5}, "duration_ms is -5"),
        ("labels", {"value": events.choice("")}, "value.choice has 0 characters"),
        ("labels", {"value": events.value_of("number", math.nan)}, "finite"),
        ("labels", {"value": events.value_of("choices", ["a", "a"])}, "twice"),
        ("labels", {"value": events.value_of("spans", [{"label": "x", "start": 4, "end": 4}])}, "span 4-4"),
        ("labels", {"value": events.value_of("boxes", [region(x=math.inf)])}, "no fraction"),
        ("labels", {"value": events.value_of("polygons", [{"label": "x", "points": []}])}, "3 points"),
        ("labels", {"value": events.value_of("text", None)}, "value.text is missing"),
        ("flags", {"severity": 1.5}, "severity is 1.5"),
        ("corrections", {"verdict": "corrected"}, "value is missing"),
        ("corrections", {"verdict": "rejected", "value": events.choice("a")}, "carries no value"),
        ("corrections", {"verdict": "undone"}, "undoes"),
        ("predictions", {"probabilities": {"a": 1.1}}, "probabilities"),
        ("predictions", {"probabilities": {}}, "needs a value or probabilities"),
        ("gold", {"use": "fun"}, "use is 'fun'"),
        ("claims", {"lease_ms": 0}, "lease_ms is 0"),
        ("projects", {"classes": ["a", "a"]}, "names one twice"),
        ("projects", {"members": {"anna": "boss"}}, "members"),
    ],
)
def test_an_invalid_fact_is_poison_that_names_the_field(schema: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Poison, match=said) as caught:
        events.validate(schema, example(schema, **fields), NOW)
    assert caught.value.reason == "invalid"


def test_a_fact_may_be_a_little_ahead_of_the_log() -> None:
    events.validate("labels", example("labels", occurred_at=NOW + events.MAX_AHEAD_MS), NOW)


@given(json_values, json_values)
def test_equal_parts_equal_id(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (events.event_id("x", one) == events.event_id("x", other)) == same


def test_an_id_never_changes() -> None:
    assert events.event_id("labels", "birds", "img-7", {"b": 1, "a": None}) == "9826198f-3d67-5e53-827a-057943901910"


def test_a_digest_does_not_count_what_is_unset() -> None:
    event = example("labels")
    assert events.digest(event) == events.digest({**event, "a_later_field": None})
    assert events.digest(event) != events.digest({**event, "duration_ms": 1})


def test_a_later_kind_of_value_changes_no_id_and_no_digest() -> None:
    now: events.Event = {"event_id": "1", "source_seq": None, "value": {"kind": "choice", "choice": "x", "spans": None}}
    later = {**now, "value": {**now["value"], "keypoints": None}, "score": None}
    assert events.said(now) == events.said(later) == {"event_id": "1", "value": {"kind": "choice", "choice": "x"}}
    assert events.digest(now) == events.digest(later)


def track(*frames: int) -> dict[str, object]:
    return {"label": "x", "id": None, "frames": [{"frame": n, "visible": True, **region()} for n in frames]}


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("choices", [""], "0 characters"),
        ("choices", ["x" * 501], "501 characters"),
        ("choices", ["a", "a"], "twice"),
        ("spans", [{"label": "", "start": 0, "end": 2}], "0 characters"),
        ("spans", [{"label": "x", "start": 2, "end": 2}], "end after the start"),
        ("boxes", [region(x=120.0)], "divide pixels"),
        ("boxes", [region(x=float("nan"))], "no fraction"),
        ("boxes", [region(width=0.0)], "above 0"),
        ("boxes", [region(rotation=float("inf"))], "give degrees"),
        ("polygons", [{"label": "x", "points": [{"x": 0.0, "y": 0.0}] * 2}], "at least 3"),
        ("polygons", [{"label": "x", "points": [{"x": 0.0, "y": 9.0}] * 3}], "divide pixels"),
        ("tracks", [track()], "keyframes"),
        ("tracks", [track(-1, 0)], "keyframes"),
        ("tracks", [track(3, 3)], "keyframes"),
        ("tracks", [track(0, 600_000)] * 2, "1,200,002 frames"),
        ("boxes", [region()] * 1001, "at most 1,000"),
        ("number", float("inf"), "finite"),
        ("keypoints", [], "use one of"),
    ],
)
def test_a_value_that_cannot_be_is_refused(kind: str, content: object, said: str) -> None:
    value = {**events.choice("x"), "choice": None, "kind": kind, kind: content}
    with pytest.raises(Poison, match=said):
        events.check_value("value", value)


@pytest.mark.parametrize(
    ("kind", "content"),
    [("boxes", [region(x=-0.1)]), ("tracks", [track(0, 5)]), ("spans", []), ("choices", ["a", "b"])],
)
def test_a_value_that_can_be_passes(kind: str, content: object) -> None:
    events.check_value("value", events.value_of(kind, content))
