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
        ("labels", {"value": events.value_of("boxes", [{"label": "x", "x": math.inf}])}, "not finite"),
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
