"""What a model is trained on: the rows that a project's facts come to, computed from the facts alone.

Whatever the order, the copies or the batches in which the facts are given, the rows are the same to the last byte. No
prediction has a part in them, and no `evaluation` gold.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from streams.events import Event, classes_in
from streams.keys import item_key, partition_of
from streams.origins import Origin
from streams.processors.answer import Answer, answer, last
from streams.processors.item_state import ItemState
from streams.processors.snapshots import PPM, Resolved, resolved
from streams.processors.task import consensus
from streams.projects import Projects, ProjectView
from streams.quality.fitted import learnt
from streams.quality.labels import arrange
from streams.quality.skill import Scorer
from streams.quality.truth import infer
from workers.fixed import Value, fixed_examples
from workers.fold import Collected, Item, Logged, collect

__all__ = ["Dataset", "Item", "Logged", "Place", "Row", "Value", "build", "record"]

PLACED = ("corrections", "flags")
"""Topics whose facts are looked up in the log: what somebody may be told about."""


class Place(NamedTuple):
    """Where a fact's first copy lies in the log, and lay in earlier builds; `topic` is without the prefix."""

    topic: str
    partition: int
    offset: int
    earlier: tuple[Origin, ...] = ()


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
        posterior: Of a consensus of classes the probability of each by the votes alone, in millionths, sorted pairs.
    """

    item: Item
    value: Value
    source: str
    weight_ppm: int
    evidence: tuple[str, ...]
    schema_version: str | None = None
    guideline_version: str | None = None
    posterior: tuple[tuple[str, int], ...] = ()

    @property
    def item_id(self) -> str:
        """The item's id."""
        return self.item.item_id


@dataclass(frozen=True)
class Dataset:
    """A project's training data at one time.

    Args:
        project: The project.
        view: Its settings.
        rows: The rows, sorted by item_id.
        items: All items that are not removed, also those without a row, by item_id, sorted.
        states: The facts of each item, by item_id, sorted; also of those that are removed. Beside what the processor
            keeps of a fact, its `offset` in the log, where it lay `earlier`, and its `size` in bytes.
        places: Where each correction and each flag lies in the log, by event_id.
        fixed: Right value of each example that every model is judged by, by item_id, sorted.
        schema_versions: Label schemas of the evidence, sorted.
        guideline_versions: Guidelines of the evidence, sorted.
        as_of: Log time of the newest fact that counts, ms; 0 without facts.
        refused: Number of facts that were passed over, by the reason that the processor "items" gives for them.
    """

    project: str
    view: ProjectView
    rows: tuple[Row, ...]
    items: Mapping[str, Item]
    states: Mapping[str, ItemState]
    places: Mapping[str, Place]
    fixed: Mapping[str, Value]
    schema_versions: tuple[str, ...]
    guideline_versions: tuple[str, ...]
    as_of: int
    refused: Mapping[str, int]

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the rows in order, each a line of JSON with sorted keys, hexadecimal."""
        content = sha256()
        for row in self.rows:
            content.update(to_json(record(row)) + b"\n")
        return content.hexdigest()

    @property
    def class_counts(self) -> dict[str, int]:
        """Rows by class, sorted; a row of several classes counts in each."""
        return dict(sorted(Counter(label for row in self.rows for label in {*classes_in(row.value)}).items()))

    @property
    def source_counts(self) -> dict[str, int]:
        """Rows by what resolved them, sorted."""
        return dict(sorted(Counter(row.source for row in self.rows).items()))

    @property
    def files(self) -> list[str]:
        """Files that features of the rows lie in, sorted."""
        return files_of([row.item for row in self.rows])


def files_of(items: Iterable[Item]) -> list[str]:
    """Return the files that features of items lie in, sorted."""
    return sorted({item.features_file for item in items if item.features_file is not None and not item.features})


def record(row: Row) -> dict[str, Any]:
    """Return a row as plain JSON, the fields of its item among its own."""
    item = row.item
    return {
        "item_id": item.item_id,
        "value": row.value,
        "source": row.source,
        "weight_ppm": row.weight_ppm,
        "evidence": row.evidence,
        "schema_version": row.schema_version,
        "guideline_version": row.guideline_version,
        "posterior": dict(row.posterior),
        "group": item.group,
        "text": item.text,
        "features": item.features,
        "features_file": item.features_file,
        "features_row": item.features_row,
        "attributes": dict(item.attributes),
    }


def to_json(content: Any) -> bytes:
    """Return the one way to write something as JSON."""
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers past 64 bits
        return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def build(
    project: str,
    facts: Iterable[Logged],
    projects: Projects,
    partitions: int,
    frozen: Mapping[str, Value] | None = None,
) -> Dataset:
    """Return the training data that a project's facts come to.

    A value is the item's standing verdict, else its `truth` or `fixed` gold, else the consensus of the votes, where the
    policy finds it sure enough. The votes are weighed by what they say of the annotators themselves.

    Args:
        project: The project; facts of others are passed over.
        facts: Facts in any order.
        projects: Settings of all projects, read at least up to the newest fact's log time.
        partitions: Partitions of every item-keyed topic.
        frozen: Fixed examples of the project's earlier snapshots, by item_id; None or empty if there are none.
    """
    collected = collect(project, facts, projects, partitions)
    view = projects.latest(project)
    found, posteriors = _resolve(collected.states, view)
    items = _present(collected)
    rows = tuple(
        Row(
            items[item_id],
            value,
            one.source,
            one.weight_ppm,
            tuple(sorted(one.evidence)),
            one.common("schema_version"),
            one.common("guideline_version"),
            posteriors.get(item_id, ()) if one.source == "consensus" else (),
        )
        for item_id, one in found.items()
        if item_id in items and (value := one.value) is not None
    )
    evidence = [fact for row in rows for fact in found[row.item_id].evidence.values()]
    return Dataset(
        project=project,
        view=view,
        rows=rows,
        items=items,
        states=collected.states,
        places=dict(_places(project, collected.states, partitions)),
        fixed=fixed_examples({item_id: collected.states[item_id] for item_id in items}, frozen),
        schema_versions=_versions(evidence, "schema_version"),
        guideline_versions=_versions(evidence, "guideline_version"),
        as_of=max(
            (
                fact["logged"]
                for state in collected.states.values()
                for of in state["facts"].values()
                for fact in of.values()
            ),
            default=0,
        ),
        refused=collected.refused,
    )


def _resolve(
    states: Mapping[str, ItemState], view: ProjectView
) -> tuple[dict[str, Resolved], dict[str, tuple[tuple[str, int], ...]]]:
    """Return what is known of each item's right value, by item_id in the order of the states.

    And of each item that nobody decided the probability of each class by the votes, in millionths.
    """
    found: dict[str, Resolved] = {}
    posteriors: dict[str, tuple[tuple[str, int], ...]] = {}
    votes: list[tuple[str, str, str]] = []
    judged: dict[str, str] = {}
    open_ = []
    for item_id, state in states.items():
        known = answer(state, view)
        shown = consensus(known, view)
        decided = shown.source in ("verdict", "truth")
        if known.labels and decided and shown.value is not None and shown.value["kind"] == "choice":
            judged[item_id] = shown.value["choice"]
        votes += _votes(item_id, known)
        if known.votes and not decided:
            open_.append(item_id)
        found[item_id] = resolved(known, shown, view)
    if votes:
        also = {item_id: [label] for item_id, label in judged.items()}
        scorer = Scorer(learnt(infer(arrange(votes, view.classes or (), also), judged)))
        for item_id in open_:
            known = answer(states[item_id], view, scorer)
            found[item_id] = resolved(known, consensus(known, view), view)
            posteriors[item_id] = tuple((label, round(PPM * p)) for label, p in sorted(known.votes_only.items()))
    return found, posteriors


def _votes(item_id: str, known: Answer) -> list[tuple[str, str, str]]:
    return [
        (item_id, annotator, fact["value"]["choice"])
        for annotator, (_, fact) in known.labels.items()
        if fact["value"] is not None and fact["value"]["kind"] == "choice"
    ]


def _present(collected: Collected) -> dict[str, Item]:
    """Return the last description of each item that is not removed; of one that nobody described, its id."""
    found = {}
    for item_id, state in collected.states.items():
        described = last(state["facts"].get("items", {}))
        if described is None:
            found[item_id] = Item(item_id)
        elif not described[1]["removed"]:
            found[item_id] = collected.inputs[item_id, described[0]]
    return found


def _places(project: str, states: Mapping[str, ItemState], partitions: int) -> Iterable[tuple[str, Place]]:
    for item_id, state in states.items():
        for topic in PLACED:
            for event_id, fact in state["facts"].get(topic, {}).items():
                home = partition_of(item_key(project, item_id), partitions)
                yield event_id, Place(topic, home, fact["offset"], fact["earlier"])


def _versions(evidence: Iterable[Event], field: str) -> tuple[str, ...]:
    return tuple(sorted({fact[field] for fact in evidence if fact[field] is not None}))
