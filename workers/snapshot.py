"""A snapshot as a fact: how far the facts were read, under which settings, and what came of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import orjson

from streams import events
from streams.events import Actor, Event
from streams.producers.facts import Fact
from streams.projects import ProjectView
from workers.dataset import Dataset, Value, to_json


class Position(NamedTuple):
    """How far a partition is part of a snapshot.

    Args:
        topic: Topic without the prefix.
        partition: Partition.
        offset: Offset after the last record that counts.
        build: Build number of the topic.
    """

    topic: str
    partition: int
    offset: int
    build: int


def snapshot_event(
    dataset: Dataset,
    offsets: Iterable[Position],
    cause: str,
    *,
    actor: Actor,
    code_version: str,
    files: Mapping[str, str] | None = None,
    caused_by: str | None = None,
) -> Fact:
    """Return the fact that says what a data set was made of; the same facts and settings give the same name.

    Args:
        dataset: The data set.
        offsets: How far each partition of the fact topics is part of it.
        cause: What led to it: by_hand, corrections, class, age, drift or guideline.
        actor: Who made it.
        code_version: Version of labelloop that computed it.
        files: SHA-256 of each file that features come from, hexadecimal, by its name.
        caused_by: event_id of what led to it.
    """
    positions, settings = sorted(offsets), settings_of(dataset.view)
    event: Event = {
        "event_id": "",
        "project": dataset.project,
        "item_id": "",
        "actor": dict(actor),
        "occurred_at": None,
        "source": "labelloop",
        "source_ref": None,
        "source_seq": None,
        "schema_version": None,
        "guideline_version": None,
        "caused_by": caused_by,
        "attributes": {},
        "snapshot": name_of(dataset.project, positions, settings),
        "cause": cause,
        "as_of": dataset.as_of,
        "offsets": [position._asdict() for position in positions],
        "settings": settings,
        "schema_versions": [*dataset.schema_versions],
        "guideline_versions": [*dataset.guideline_versions],
        "code_version": code_version,
        "rows": len(dataset.rows),
        "class_counts": dataset.class_counts,
        "source_counts": dataset.source_counts,
        "content_hash": dataset.content_hash,
        "fixed": [{"item_id": item_id, "value": to_json(value).decode()} for item_id, value in dataset.fixed.items()],
        "files": dict(files or {}),
    }
    return Fact("snapshots", event).identified()


def name_of(project: str, offsets: Sequence[Position], settings: str) -> str:
    """Return the name of the snapshot at some offsets, sorted, under some settings."""
    return "s-" + events.event_id("snapshot", project, [[*one] for one in offsets], settings).replace("-", "")[:12]


def settings_of(view: ProjectView) -> str:
    """Return classes, policy and training policy as JSON with sorted keys."""
    return to_json({"classes": view.classes, "policy": asdict(view.policy), "training": asdict(view.training)}).decode()


def positions_of(snapshot: Event) -> list[Position]:
    """Return how far each partition is part of a snapshot."""
    return [Position(**one) for one in snapshot["offsets"]]


def read_positions(content: Any) -> list[Position]:
    """Return the positions that JSON names: a snapshot, or a list of positions.

    Raises:
        ValueError, TypeError: it names none.
    """
    listed = content["offsets"] if isinstance(content, dict) else content
    found = [Position(**one) for one in listed]
    if not found or not all(type(part) is int for _, *numbers in found for part in numbers):
        raise ValueError("no positions")
    return found


def fixed_of(snapshot: Event) -> dict[str, Value]:
    """Return the right value of each example that a snapshot has models judged by."""
    return {one["item_id"]: orjson.loads(one["value"]) for one in snapshot["fixed"]}


def frozen(earlier: Iterable[Event]) -> dict[str, Value]:
    """Return the examples that earlier snapshots of the project froze: those of the first that has any.

    Args:
        earlier: The snapshots before, oldest first.
    """
    return next((found for snapshot in earlier if (found := fixed_of(snapshot))), {})


def differences(told: Event, found: Event) -> list[str]:
    """Return what a snapshot says that does not come out when it is computed again; none: it is the same.

    Args:
        told: The snapshot as it was published.
        found: The one that was computed again.
    """
    return [
        f"{name}: {_short(told[name])} was published, {_short(found[name])} comes out"
        for name in _REPEATED
        if told[name] != found[name]
    ]


_REPEATED = (
    *("content_hash", "rows", "class_counts", "source_counts", "as_of", "settings", "fixed"),
    *("schema_versions", "guideline_versions", "files"),
)


def _short(content: Any) -> str:
    text = str(content)
    return text if len(text) <= 80 else f"{text[:77]}..."
