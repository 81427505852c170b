"""What a model is trained on: the rows that a project's facts come to, computed from the facts alone.

Whatever the order, the copies or the batches in which the facts are given, the rows are the same to the last byte.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams.events import Event
from streams.processors.item_state import ItemState
from streams.projects import Projects, ProjectView

Value = Mapping[str, Any]
"""A label value as `{kind, kind: content}`."""


class Logged(NamedTuple):
    """A fact as the log holds it; `topic` is without the prefix, `log_time` in ms, `size` in bytes."""

    topic: str
    partition: int
    offset: int
    log_time: int
    event: Event
    size: int


class Place(NamedTuple):
    """Where a fact's first copy lies in the log; `topic` is without the prefix."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Item:
    """What a model is told of an item: the last description that somebody gave of it.

    Args:
        item_id: The item.
        group: Group that the item is in; None of an item without.
        text: Its text, whole; None of an item without.
        features: Its numbers; empty if there are none, or they lie in a file.
        features_file: File that its numbers lie in; None where they lie in none.
        features_row: Row of that file, from 0.
        attributes: Whatever else is known of it, sorted pairs of name and text.
    """

    item_id: str
    group: str | None = None
    text: str | None = None
    features: tuple[float, ...] = ()
    features_file: str | None = None
    features_row: int | None = None
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """An item whose right value is known well enough to learn from.

    Args:
        item: The item.
        value: Its resolved value.
        source: What resolved it: verdict, truth or consensus.
        weight_ppm: How sure the value is, in millionths: of a consensus its probability, else 1,000,000.
        evidence: event_ids of the facts that the value rests on, sorted.
        schema_version: Label schema of the evidence; None if it has none, or several.
        guideline_version: Guideline of the evidence; None if it has none, or several.
    """

    item: Item
    value: Value
    source: str
    weight_ppm: int
    evidence: tuple[str, ...]
    schema_version: str | None = None
    guideline_version: str | None = None

    @property
    def item_id(self) -> str:
        """The item's id."""
        return self.item.item_id


@dataclass(frozen=True, slots=True)
class Dataset:
    """A project's training data at one time.

    Args:
        project: The project.
        view: Its settings as of the newest fact.
        rows: The rows, sorted by item_id.
        items: All items that are not removed, also those without a row, by item_id, sorted.
        states: The facts of each item, by item_id, sorted; also of those that are removed.
        places: Where each correction and each flag lies in the log, by event_id.
        fixed: Right value of each example that every model is judged by, by item_id, sorted.
        as_of: Log time of the newest fact, ms; 0 without facts.
        refused: Number of records that were passed over, by the reason that "items" gives for them.
    """

    project: str
    view: ProjectView
    rows: tuple[Row, ...]
    items: Mapping[str, Item]
    states: Mapping[str, ItemState]
    places: Mapping[str, Place]
    fixed: Mapping[str, Value]
    as_of: int
    refused: Mapping[str, int]

    @property
    def content_hash(self) -> str:
        """SHA-256 of the rows in order, as JSON lines with sorted keys, hexadecimal."""
        raise NotImplementedError

    @property
    def class_counts(self) -> dict[str, int]:
        """Rows by class, sorted; a row of several classes counts in each."""
        raise NotImplementedError

    @property
    def source_counts(self) -> dict[str, int]:
        """Rows by what resolved them, sorted."""
        raise NotImplementedError


def build(
    project: str,
    facts: Iterable[Logged],
    projects: Projects,
    partitions: int,
    frozen: Mapping[str, Value] | None = None,
) -> Dataset:
    """Return the training data that a project's facts come to.

    Args:
        project: The project; facts of others are passed over.
        facts: Facts in any order.
        projects: Settings of all projects, read at least up to the newest fact's log time.
        partitions: Partitions of every item-keyed topic.
        frozen: Fixed examples of the project's earlier snapshots, by item_id; None or empty if there are none.
    """
    raise NotImplementedError
