"""Which topic goes to which ClickHouse table, and how a record becomes columns: data, derived from the contract.

A field of the schema becomes one column, or a few: an actor becomes id and kind, a label value its kind, a plain text
to group by, and the whole as JSON. Not sunk is what only the workers tell each other: ticks, annotators, rescores,
settles, fits, the catalogue and the processors' state.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from streams import contract
from streams.catalogue import TIERS, TOPICS

TABLES: Mapping[str, str] = {
    **{name: name for name in ("items", "labels", "flags", "comments", "corrections", "predictions", "gold", "claims")},
    "projects": "projects",
    "snapshots": "snapshots",
    "models": "models",
    "review.state": "review_state",
    **{f"review.{tier}": "review_tasks" for tier in TIERS},
    "disagreement": "disagreement",
    "judgements": "judgements",
    "labels.corrected": "labels_corrected",
    "feedback": "feedback",
    "flips": "flips",
    "skill": "skill",
    "agreement": "agreement",
    "dead-letters": "dead_letters",
    "dead-letters.actions": "dead_letter_actions",
}
"""Table by topic, both without prefix."""

IDENTITY: Mapping[str, tuple[str, ...]] = {
    "projects": ("project", "event_id"),
    "snapshots": ("project", "event_id"),
    "models": ("project", "event_id"),
    "review_state": ("project", "item_id"),
    "review_tasks": ("project", "item_id", "revision"),
    "disagreement": ("project", "item_id"),
    "judgements": ("project", "item_id", "annotator"),
    "labels_corrected": ("project", "item_id"),
    "feedback": ("project", "item_id", "event_id"),
    "flips": ("project", "item_id", "event_id"),
    "skill": ("project", "annotator", "actor_kind"),
    "agreement": ("project", "scope", "name"),
    "dead_letters": ("consumer", "topic", "partition", "offset"),
    "dead_letter_actions": ("consumer", "topic", "partition", "offset", "attempt", "action"),
}
"""What tells two rows of a table apart; of the fact tables it is `FACT_IDENTITY`."""

FACT_IDENTITY = ("project", "item_id", "event_id")

VOLATILE = frozenset(
    {
        "logged_at",
        "_topic",
        "_partition",
        "_offset",
        "_version",
        "opened_at",
        "updated_at",
        "rank",
        "labelled_at",
        "judged_at",
        "day",
        "partition",
        "offset",
        "log_time",
        "lease_until",
        "leased",
        "drift_at",
        "recent",
        "refit",
    }
)
"""Columns that depend on when and where the log took a record; all others are content: the same in every run."""

_TIMES = frozenset(
    {
        "occurred_at",
        "opened_at",
        "updated_at",
        "labelled_at",
        "judged_at",
        "lease_until",
        "drift_at",
        "at",
        "log_time",
        "as_of",
    }
)
_LOW_CARDINALITY = frozenset(
    {
        "project",
        "actor_kind",
        "scope",
        "source",
        "kind",
        "verdict",
        "use",
        "action",
        "status",
        "tier",
        "consensus_source",
        "reference_source",
        "stage",
        "cause",
        "cause_kind",
        "champion",
        "trainer",
        "part",
        "outcome",
        "recipient_role",
        "by_role",
        "reason",
        "consumer",
        "topic",
        "model_version",
        "schema_version",
        "guideline_version",
        "task_type",
        "value_kind",
        "consensus_kind",
    }
)
_FREE_TEXT = frozenset([("corrections", "reason")])  # a person's words, not a code


@dataclass(frozen=True, slots=True)
class Column:
    """A column: name, ClickHouse type, comment, its field, and how that field's values in many records give its own."""

    name: str
    type: str
    comment: str
    field: str
    values: Callable[[Sequence[Any]], list[Any]] = list


@cache
def columns(topic: str) -> tuple[Column, ...]:
    """Return the columns that the schema of a topic gives, in order; the log's own columns are not among them."""
    schema_name = TOPICS[topic].schema
    if schema_name is None:
        raise KeyError(f"{topic} has no schema")
    return tuple(
        column for field in contract.schema_files()[schema_name]["fields"] for column in _of_field(TABLES[topic], field)
    )


def version(kind: str, build: int, offset: int) -> int:
    """Return what decides between two rows of one identity: of facts the first copy wins, of snapshots the newest."""
    return (1 << 64) - 1 - offset if kind == "fact" else build << 48 | offset


def _of_field(table: str, field: Mapping[str, Any]) -> list[Column]:
    name, type_, doc = field["name"], field["type"], field["doc"]
    optional = isinstance(type_, list)
    inner = type_[1] if isinstance(type_, list) else type_
    named = inner["name"] if isinstance(inner, dict) and inner["type"] == "record" else inner
    if named == "Actor":
        return [
            Column("actor_id", "String", "Who acted: a pseudonym.", name, lambda actors: [a["id"] for a in actors]),
            Column(
                "actor_kind",
                "LowCardinality(String)",
                "Kind of actor.",
                name,
                lambda actors: [a["kind"] for a in actors],
            ),
        ]
    if named == "Value":
        return _of_value(name, doc)
    if isinstance(inner, dict) and inner["type"] == "map":
        of = f"Map(String, {_scalar(inner['values'])})"
        return [Column(name, of, doc, name, lambda maps: [one or {} for one in maps])]
    if isinstance(inner, dict) and inner["type"] == "array" and isinstance(inner["items"], str):
        of = f"Array({_scalar(inner['items'])})"
        return [Column(name, of, doc, name, lambda lists: [one or [] for one in lists])]
    if isinstance(inner, dict):  # a record, or an array of records
        return [Column(name, "String", f"{doc} JSON.", name, lambda parts: _each(_json, parts, ""))]
    if name in _TIMES:
        type_ = "DateTime64(3, 'UTC')"
    elif name in _LOW_CARDINALITY and (table, name) not in _FREE_TEXT:
        type_ = "LowCardinality(Nullable(String))" if optional else "LowCardinality(String)"
        optional = False
    else:
        type_ = _scalar(inner)
    return [Column(name, f"Nullable({type_})" if optional else type_, doc, name)]


def _of_value(name: str, doc: str) -> list[Column]:
    prefix = "" if name == "value" else f"{name}_"

    def kind(value: Mapping[str, Any]) -> str:
        return value["kind"]  # type: ignore[no-any-return]

    def whole(value: Mapping[str, Any]) -> str:
        return _json(slim(value))

    return [
        Column(
            f"{prefix}value_kind",
            "LowCardinality(Nullable(String))",
            f"Kind of: {doc}",
            name,
            lambda values: _each(kind, values, None),
        ),
        Column(
            f"{prefix}label",
            "Nullable(String)",
            f"As text, to group by: {doc}",
            name,
            lambda values: _each(label_text, values, None),
        ),
        Column(f"{prefix}value", "String", f"Whole, as JSON: {doc}", name, lambda values: _each(whole, values, "")),
    ]


def _each(of: Callable[[Any], Any], values: Sequence[Any], null: str | None) -> list[Any]:
    """Return what `of` gives of each value, `null` of None; of one object that comes again it is asked once."""
    by_id = {id(value): value for value in values}
    given = {id_: null if value is None else of(value) for id_, value in by_id.items()}
    return [given[id(value)] for value in values]


def label_text(value: Mapping[str, Any]) -> str:
    """Return a label value as one text: the class of a choice, else the content as JSON."""
    content = value[value["kind"]]
    return content if isinstance(content, str) else _json(content)


def slim(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a label value with the field its kind names alone."""
    return {"kind": value["kind"], value["kind"]: value[value["kind"]]}


def _scalar(type_: str) -> str:
    return {
        "string": "String",
        "bytes": "String",
        "long": "Int64",
        "int": "Int32",
        "double": "Float64",
        "boolean": "Bool",
    }[type_]


def _json(content: Any) -> str:
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # integers past 64 bits
        return json.dumps(content, sort_keys=True)
