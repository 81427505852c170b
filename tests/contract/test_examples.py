"""Every schema has examples, and each survives the trip through the wire format."""

from typing import Any

import pytest

from streams import codec, contract, events
from streams.catalogue import TOPICS

EXAMPLES = contract.examples()
FACTS = {topic.schema for topic in TOPICS.values() if topic.kind == "fact"}
CASES = [(schema, name) for schema, found in EXAMPLES.items() for name in found]


def given(part: Any, whole: Any) -> bool:
    """Return whether everything in `part` is in `whole`, which may say more."""
    if isinstance(part, dict):
        return all(name in whole and given(value, whole[name]) for name, value in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(given, part, whole))
    return bool(part == whole)


def test_every_schema_has_an_example_and_every_fact_a_full_and_a_minimal_one() -> None:
    assert {*EXAMPLES} == {*contract.schema_files()}
    assert all({"full", "minimal"} <= {*EXAMPLES[fact]} for fact in FACTS if fact)


@pytest.mark.parametrize(("schema", "name"), CASES)
def test_an_example_survives_encoding(schema: str, name: str) -> None:
    example = EXAMPLES[schema][name]
    raw = codec.encode(schema, example)
    decoded_schema, decoded = codec.decode(raw)
    assert decoded_schema == schema
    assert given(example, decoded)
    assert codec.encode(schema, decoded) == raw


@pytest.mark.parametrize(("schema", "name"), [(schema, name) for schema, name in CASES if schema in FACTS])
def test_the_example_of_a_fact_is_valid(schema: str, name: str) -> None:
    event = codec.decode(codec.encode(schema, EXAMPLES[schema][name]))[1]
    events.validate(schema, event, 1_777_888_800_000)


def test_full_examples_name_every_field() -> None:
    for schema, definition in contract.schema_files().items():
        if schema in FACTS:
            assert {*EXAMPLES[schema]["full"]} == {field["name"] for field in definition["fields"]}, schema


def test_every_kind_of_label_value_has_an_example() -> None:
    kinds = {example["value"]["kind"] for example in EXAMPLES["labels"].values() if example.get("value")}
    assert kinds == {*events.VALUE_KINDS}
