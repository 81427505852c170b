"""An edit of a schema that would break a reader, or a stored fact, is refused; the locked contract holds."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from streams import contract
from streams.catalogue import TOPICS

FACTS = sorted({topic.schema for topic in TOPICS.values() if topic.kind == "fact" and topic.schema})
Schema = dict[str, Any]


def edited(name: str, edit: Callable[[Schema], None]) -> list[str]:
    """Return the problems of the contract after one edit."""
    files = deepcopy(contract.schema_files())
    edit(files[name])
    return contract.problems(files, contract.read_lock())


def field(schema: Schema, name: str) -> Schema:
    return next(part for part in schema["fields"] if part["name"] == name)


def remove(name: str) -> Callable[[Schema], None]:
    return lambda schema: schema["fields"].remove(field(schema, name))


def retype(name: str, type_: Any) -> Callable[[Schema], None]:
    return lambda schema: field(schema, name).update(type=type_)


def rename(name: str) -> Callable[[Schema], None]:
    return lambda schema: field(schema, name).update(name="renamed")


def in_value(edit: Callable[[Schema], None]) -> Callable[[Schema], None]:
    """Edit the record of label values instead."""
    return lambda schema: edit(field(schema, "value")["type"][1])


def add(**parts: Any) -> Callable[[Schema], None]:
    return lambda schema: schema["fields"].append({"name": "new", "type": "string", "doc": "New.", **parts})


def test_the_contract_as_it_stands_holds() -> None:
    assert contract.problems(contract.schema_files(), contract.read_lock()) == []


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (remove("event_id"), "cannot read it"),
        (retype("project", "long"), "cannot read version"),
        (retype("occurred_at", ["null", "string"]), "cannot read version"),
        (add(), "cannot read version"),
        (add(doc="", default=""), "has no doc"),
        (retype("source", "nonsense"), "not an Avro schema"),
        (remove("duration_ms"), "duration_ms is gone"),
        (rename("duration_ms"), "duration_ms is gone"),
        (rename("value"), "value.choice is gone"),
        (in_value(rename("choice")), "value.choice is gone"),
        (in_value(retype("choice", ["null", "bytes"])), "value.choice changes between string and bytes"),
    ],
    ids=[
        *("required field removed", "type changed", "union changed", "no default", "no doc", "no schema"),
        *("optional field removed", "field renamed", "value renamed", "kind of value renamed", "string to bytes"),
    ],
)
def test_a_breaking_edit_of_a_fact_is_refused(edit: Callable[[Schema], None], said: str) -> None:
    assert any(said in problem for problem in edited("labels", edit))


def test_a_new_field_with_a_default_only_wants_a_new_id() -> None:
    assert [problem.partition(":")[2] for problem in edited("labels", add(default=""))] == [
        " not in the lock file as it is: run `labelloop schemas lock` once it is compatible"
    ]


def test_rewording_a_doc_is_no_new_version() -> None:
    assert edited("labels", lambda schema: field(schema, "value").update(doc="Said better.")) == []


def test_fields_of_a_derived_record_may_go() -> None:
    assert [problem.partition(":")[0] for problem in edited("disagreement", remove("margin"))] == ["disagreement"]


@pytest.mark.parametrize("ids", [(1, 1), (2, 1), (0, 1), (1, 2**31)])
def test_ids_rise_and_are_never_used_twice(ids: tuple[int, int]) -> None:
    first, second = contract.read_lock()[:2]
    files = {entry["name"]: contract.schema_files()[entry["name"]] for entry in (first, second)}
    lock = [contract.Entry(**{**first, "id": ids[0]}), contract.Entry(**{**second, "id": ids[1]})]
    assert any("ids rise" in problem for problem in contract.breaking(files, lock))


def test_a_schema_that_is_gone_is_missed() -> None:
    files = contract.schema_files()
    del files["gold"]
    assert contract.problems(files, contract.read_lock()) == ["gold: in the lock file but schemas/gold.avsc is gone"]


def test_a_changed_schema_gets_the_next_id_and_the_others_keep_theirs() -> None:
    files, lock = contract.schema_files(), contract.read_lock()
    add(default="")(files["gold"])
    after = contract.extended(files, lock)
    assert after[:-1] == lock
    assert (after[-1]["id"], after[-1]["name"]) == (lock[-1]["id"] + 1, "gold")


def test_the_envelope_is_the_same_in_every_fact() -> None:
    schemas = contract.schema_files()
    n = [part["name"] for part in schemas["labels"]["fields"]].index("attributes") + 1
    for fact in FACTS:
        assert schemas[fact]["fields"][:n] == schemas["labels"]["fields"][:n], fact


def test_a_label_value_is_the_same_type_wherever_it_appears() -> None:
    found: list[tuple[str, Schema]] = []

    def collect(name: str, part: Any) -> None:
        if isinstance(part, dict):
            if part.get("name") == "Value":
                found.append((name, part))
            for inner in part.values():
                collect(name, inner)
        elif isinstance(part, list):
            for inner in part:
                collect(name, inner)

    for name, schema in contract.schema_files().items():
        collect(name, schema)
    assert {"labels", "corrections", "gold", "predictions", "review_task"} <= {name for name, _ in found}
    assert all(value == found[0][1] for _, value in found)


def test_every_topic_names_a_schema_that_exists() -> None:
    assert {topic.schema for topic in TOPICS.values() if topic.schema} == {*contract.schema_files()}
