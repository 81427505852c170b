"""Records decoded at once are what they are one by one: every table, every version of its schema, sound and broken."""

import json
import random
import re
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import codec, contract, events
from streams.catalogue import TOPICS
from streams.sinks import bodies, rows
from streams.sinks.rows import Raw, Rows, build
from streams.sinks.suspects import suspects
from streams.sinks.tables import TABLES
from tests.unit.facts import label

LOGGED = 1_800_000_000_000
SCHEMAS = sorted({str(TOPICS[topic].schema) for topic in TABLES})
TOPIC = {str(TOPICS[topic].schema): topic for topic in TABLES}
VERSIONS = [entry for entry in contract.read_lock() if entry["name"] in SCHEMAS]


def one_by_one(topic: str, values: Sequence[bytes | None], monkeypatch: pytest.MonkeyPatch) -> Rows:
    with monkeypatch.context() as patched:
        patched.setattr(rows, "_MANY", 1 << 60)
        return build(topic, f"x.{topic}", 3, 1, raws(values))


def at_once(topic: str, values: Sequence[bytes | None], monkeypatch: pytest.MonkeyPatch) -> Rows:
    with monkeypatch.context() as patched:
        patched.setattr(rows, "_MANY", 1)
        return build(topic, f"x.{topic}", 3, 1, raws(values))


def raws(values: Sequence[bytes | None]) -> list[Raw]:
    return [Raw(n, LOGGED + n, b"k", value) for n, value in enumerate(values)]


def written(id_: int, schema: Any, record: dict[str, Any]) -> bytes:
    out = BytesIO(b"\0" + id_.to_bytes(4, "big"))
    out.seek(codec.HEADER_BYTES)
    schemaless_writer(out, schema, record)
    return out.getvalue()


def of_schema(schema: Any, names: dict[str, Any], dice: random.Random) -> Any:
    """Return an arbitrary value of a schema, a small one."""
    if isinstance(schema, list):
        return None if dice.random() < 0.5 else of_schema(schema[1], names, dice)
    if isinstance(schema, str):
        return _PLAIN[schema](dice) if schema in _PLAIN else of_schema(names[schema], names, dice)
    if schema["type"] == "record":
        return {f["name"]: of_schema(f["type"], names, dice) for f in schema["fields"]}
    length = dice.choice([0, 0, 1, 2, 3, 10])
    if schema["type"] == "map":
        return {_text(dice): of_schema(schema["values"], names, dice) for _ in range(length)}
    return [of_schema(schema["items"], names, dice) for _ in range(length)]


def _text(dice: random.Random) -> str:
    return dice.choice(["", "annotator", "choice", "number", "ä" * 3, "日本", "\x7f", "a" * 201])


_PLAIN: dict[str, Callable[[random.Random], Any]] = {
    "string": _text,
    "bytes": lambda dice: dice.randbytes(dice.randrange(9)),
    "long": lambda dice: dice.choice([0, -1, 63, 64, 2**62, -(2**62) - 1, 2**63 - 1, -(2**63), dice.getrandbits(41)]),
    "int": lambda dice: dice.randint(-(2**31), 2**31 - 1),
    "double": lambda dice: dice.choice([0.0, -0.5, 1e300, float("inf"), float("nan"), dice.random()]),
    "boolean": lambda dice: dice.random() < 0.5,
}


def spoilt(dice: random.Random, raw: bytes) -> bytes | None:
    """Return a record as it is, most often, or broken in some way."""
    at, changed = dice.randrange(len(raw)), bytearray(raw)
    changed[dice.randrange(codec.HEADER_BYTES, len(raw))] = dice.randrange(256)
    return dice.choice([raw, raw, raw, raw, raw[:at], raw + b"\0", None, bytes(changed), bytes(changed)])


@pytest.mark.parametrize("entry", VERSIONS, ids=lambda entry: f"{entry['name']}-{entry['id']}")
@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_records_at_once_are_what_they_are_one_by_one(entry: contract.Entry, seed: int) -> None:
    name, dice, schema = entry["name"], random.Random(seed), parse_schema(entry["schema"])
    names: dict[str, Any] = {}
    bodies._collect(entry["schema"], names)
    sound = [codec.encode(name, one) for one in contract.examples()[name].values()]
    sound += [written(entry["id"], schema, of_schema(entry["schema"], names, dice)) for _ in range(5)]
    values = [spoilt(dice, dice.choice(sound)) for _ in range(20)]
    with pytest.MonkeyPatch.context() as patched:
        expected, found = one_by_one(TOPIC[name], values, patched), at_once(TOPIC[name], values, patched)
    assert _told(found) == _told(expected)


def _told(found: Rows) -> str:
    """Return rows as text, for a NaN is not equal to itself; where an object lay in memory is left out."""
    return re.sub("0x[0-9a-f]{6,}", "", repr(found))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_example_is_taken_at_once_or_is_too_long_for_that(name: str) -> None:
    examples = contract.examples()[name]
    values = [codec.encode(name, record) for record in examples.values()]
    fields, taken = bodies.decode(name, values)
    longest = {example: max(map(_longest, record.values())) for example, record in examples.items()}
    assert [n for n, example in enumerate(examples) if longest[example] <= 8] == [
        n for n in taken if longest[[*examples][n]] <= 8
    ]
    for place, n in enumerate(taken):
        assert {field: column[place] for field, column in fields.items()} == codec.decode(values[n])[1]


def _longest(part: Any) -> int:
    if isinstance(part, dict):
        return max([len(part), *map(_longest, part.values())]) if part else 0
    return max([len(part), *map(_longest, part)]) if isinstance(part, list) and part else 0


def _labels() -> list[dict[str, Any]]:
    """Return labels of which nearly every one is invalid in a way of its own."""
    good = label("anna", "x")
    over: list[dict[str, Any]] = [
        {"event_id": ""},
        {"event_id": "e" * 201},
        {"project": "p" * 201},
        {"item_id": ""},
        {"item_id": "i" * 501},
        {"actor": {"id": "", "kind": "annotator"}},
        {"actor": {"id": "anna", "kind": "robot"}},
        {"occurred_at": -1},
        {"occurred_at": LOGGED + 10 * 60_000},
        {"value": None},
        {"value": events.choice("")},
        {"value": events.value_of("number", float("nan"))},
        {"value": events.value_of("choices", ["a", "a"])},
        {"duration_ms": -5},
        {"value": None, "retracted": True},
        {"duration_ms": 0, "occurred_at": 0},
        {"event_id": "ä" * 200},
        {"attributes": {"ä": "ß"}, "source_ref": "日本", "source_seq": -(2**63)},
    ]
    return [field for one in over for field in ({**good, **one}, good)]


def test_the_same_facts_are_refused_at_once_and_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values: list[bytes | None] = [codec.encode("labels", one) for one in _labels()]
    random.Random(1).shuffle(values)
    found = at_once("labels", values, monkeypatch)
    assert found == one_by_one("labels", values, monkeypatch)
    assert len(found.dead) == 14
    assert [letter.reason for letter in found.dead] == ["invalid"] * 14


def test_no_invalid_fact_escapes_suspicion_and_no_valid_one_is_under_it() -> None:
    facts = [codec.decode(codec.encode("labels", one))[1] for one in _labels()]
    fields = {name: [one[name] for one in facts] for name in facts[0]}
    assert suspects("labels", fields, [LOGGED] * len(facts)) == set(range(0, 28, 2))


def test_a_body_that_names_more_than_there_is_takes_no_memory() -> None:
    header, _ = codec.newest("labels")
    huge = header + b"\xfe\xff\xff\x0f" + b"x" * 100  # a text of 16 MB
    assert bodies.decode("labels", [huge] * 5000)[1] == []


def test_equal_values_are_made_to_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values: list[bytes | None] = [codec.encode("labels", label("anna", f"{n % 2}")) for n in range(1000)]
    fields, taken = bodies.decode("labels", values)
    assert len(taken) == 1000
    assert len({id(value) for value in fields["value"]}) == 2
    whole = at_once("labels", values, monkeypatch)
    assert json.loads(whole.columns[whole.names.index("value")][1]) == {"kind": "choice", "choice": "1"}
