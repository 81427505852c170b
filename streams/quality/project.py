"""All labels of one project: a fold over its judgements, of which a fit and the agreement are read at any time.

The state is a function of the newest judgement of each annotator and item, whatever came before.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, NamedTuple

from streams.quality.agreement import Agreement, Votes
from streams.quality.labels import arrange
from streams.quality.skill import likeliest
from streams.quality.truth import Truth, infer

MODEL = "model"

MAX_NAMES = 1000
"""Classes, groups, guideline versions and days of which the agreement is told, each; of more, the first by name, and
the last days."""

Scope = tuple[str, str]
"""What a part of a project is (`project`, `class`, `guideline`, `group`, `day`), and its name."""


class Vote(NamedTuple):
    """A label that stands: its class or number as text, when it was given (ms), and under which guideline."""

    label: str
    kind: str
    at: int
    guideline: str


@dataclass(slots=True)
class _Item:
    """What is known of an item."""

    votes: dict[str, Vote]
    reference: str | None = None
    group: str | None = None
    told: dict[Scope, dict[str, int]] | None = None  # its share of the agreement, as it was added


class Project:
    """The labels of a project."""

    def __init__(self) -> None:
        self._items: dict[str, _Item] = {}
        self._models: dict[str, dict[str, dict[str, float]]] = {}  # by model, then item
        self._model_values: dict[tuple[str, str], tuple[str, int]] = {}  # item and model: class and time
        self._agreement: defaultdict[Scope, Agreement] = defaultdict(Agreement)
        self.changes = 0
        """Labels and references that changed since `fit` was called last."""
        self._classes: Counter[str] = Counter()
        self.n_labels = 0
        """Classes and numbers that stand."""

    def apply(self, judgement: Mapping[str, Any]) -> None:
        """Take the newest judgement of an annotator or model on an item, a record of the schema `judgements`."""
        name, annotator, value = judgement["item_id"], judgement["annotator"], judgement["value"]
        if judgement["actor_kind"] == MODEL:
            self._predict(name, annotator, judgement)
            return
        item = self._items.setdefault(name, _Item({}))
        before = item.votes.pop(annotator, None)
        vote = None
        if value is not None and value["kind"] in ("choice", "number"):
            vote = Vote(
                str(value[value["kind"]]), value["kind"], judgement["labelled_at"], judgement["guideline_version"] or ""
            )
            item.votes[annotator] = vote
        reference = judgement["reference"]
        truth = reference["choice"] if reference is not None and reference["kind"] == "choice" else None
        self.n_labels += (vote is not None) - (before is not None)
        for one, count in ((vote, 1), (before, -1)):
            if one is not None and one.kind == "choice":
                self._classes[one.label] += count
        self.changes += (vote != before) + (truth != item.reference)
        item.reference, item.group = truth, judgement["group"]
        self._tell(item)

    def forget(self, item: str, who: str, kind: str) -> None:
        """Take it that an annotator or model never said anything of an item.

        Args:
            item: The item.
            who: Who it is.
            kind: Which of the two.
        """
        self.changes += 1
        if kind == MODEL:
            self._models.get(who, {}).pop(item, None)
            self._model_values.pop((item, who), None)
        elif (found := self._items.get(item)) is not None and (vote := found.votes.pop(who, None)) is not None:
            self.n_labels -= 1
            self._classes[vote.label] -= vote.kind == "choice"
            self._tell(found)

    def _predict(self, item: str, model: str, judgement: Mapping[str, Any]) -> None:
        mine, value, told = self._models.setdefault(model, {}), judgement["value"], judgement["probabilities"]
        self.changes += mine.get(item) != (told or None)
        mine.pop(item, None)
        if told:
            mine[item] = told
        says = value["choice"] if value is not None and value["kind"] == "choice" else likeliest(told) if told else None
        self._model_values.pop((item, model), None)
        if says is not None:
            self._model_values[item, model] = says, judgement["labelled_at"]

    def _tell(self, item: _Item) -> None:
        """Exchange an item's share of the agreement for what it is now."""
        old, item.told = item.told or {}, _shares(item)
        for scope in {*old, *item.told}:
            self._agreement[scope].exchange(old.get(scope, {}), item.told.get(scope, {}))

    def agreement(self) -> Iterator[tuple[Scope, Agreement]]:
        """Yield the agreement of the project and of its parts."""
        whole = self._agreement["project", ""]
        yield ("project", ""), whole
        for label, sums in whole.against_others(sorted(+self._classes)[:MAX_NAMES]).items():
            yield ("class", label), sums
        parts: defaultdict[str, list[Scope]] = defaultdict(list)
        for scope in sorted(self._agreement):
            parts[scope[0]].append(scope)
        told = (*parts["guideline"][:MAX_NAMES], *parts["group"][:MAX_NAMES], *parts["day"][-MAX_NAMES:])
        for scope in told:
            yield scope, self._agreement[scope]

    def votes(self, part: str) -> dict[str, list[Votes]]:
        """Return the labels of each item that the agreement is about, by name of the part, of one kind of parts.

        Args:
            part: The kind: `project`, `guideline`, `group` or `day`.
        """
        found: defaultdict[str, list[Votes]] = defaultdict(list)
        for name in sorted(self._items):
            for (kind, of), votes in (self._items[name].told or {}).items():
                if kind == part:
                    found[of].append(votes)
        return dict(found)

    def pairs(self) -> dict[tuple[str, str], Counter[tuple[str, str]]]:
        """Return how often each two annotators gave each two labels to one item, for `cohen`."""
        found: defaultdict[tuple[str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
        for item in self._items.values():
            for (one, vote), (other, its) in combinations(sorted(item.votes.items()), 2):
                found[one, other][vote.label, its.label] += 1
        return dict(found)

    def fit(self, classes: Sequence[str] = ()) -> Truth | None:
        """Infer the truth of all items with choice labels, None if there are none; `changes` begins anew.

        Args:
            classes: The declared classes in order.
        """
        self.changes = 0
        rows = [
            (name, annotator, vote.label)
            for name, item in self._items.items()
            for annotator, vote in item.votes.items()
            if vote.kind == "choice"
        ]
        if not rows:
            return None
        fixed = {name: item.reference for name, item in self._items.items() if item.reference is not None}
        predicted = self._newest_predictions()
        also = {item: [likeliest(told)] for item, told in predicted.items()}
        for item, truth in fixed.items():
            also.setdefault(item, []).append(truth)
        return infer(arrange(rows, classes, also), fixed, predicted)

    def _newest_predictions(self) -> dict[str, dict[str, float]]:
        """Return each item's prediction; of several models the one that predicted last."""
        found: dict[str, tuple[tuple[int, str], dict[str, float]]] = {}
        for model, told in sorted(self._models.items()):
            for item, probabilities in told.items():
                order = (self._model_values[item, model][1], model)
                if item not in found or order > found[item][0]:
                    found[item] = order, probabilities
        return {item: probabilities for item, (_, probabilities) in found.items()}

    def answers(self) -> Iterator[tuple[str, str, list[tuple[int, str, str]]]]:
        """Yield each annotator's and each model's kind, name, and answers (time in ms, item, class), oldest first."""
        answers: defaultdict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)
        for name, item in self._items.items():
            for annotator, vote in item.votes.items():
                if vote.kind == "choice":
                    answers["annotator", annotator].append((vote.at, name, vote.label))
        for (name, model), (says, at) in self._model_values.items():
            answers[MODEL, model].append((at, name, says))
        for (kind, who), given in sorted(answers.items()):
            yield kind, who, sorted(given)

    def is_judged(self, item: str) -> bool:
        """Return whether an item has a verdict or truth gold."""
        return item in self._items and self._items[item].reference is not None


def _shares(item: _Item) -> dict[Scope, dict[str, int]]:
    """Return an item's labels as each part of the project counts them."""
    shares: dict[Scope, dict[str, int]] = {}

    def count(scope: Scope, label: str) -> None:
        votes = shares.setdefault(scope, {})
        votes[label] = votes.get(label, 0) + 1

    day = datetime.fromtimestamp(max((vote.at for vote in item.votes.values()), default=0) / 1000, UTC).date()
    for vote in item.votes.values():
        count(("project", ""), vote.label)
        count(("day", day.isoformat()), vote.label)
        if vote.guideline:
            count(("guideline", vote.guideline), vote.label)
        if item.group is not None:
            count(("group", item.group), vote.label)
    return shares
