"""Simulated annotators: labels as a crowd of mixed skill would give them, the same for the same seed. Pure.

Names begin with `simulated-`, so that nobody takes them for people. Three kinds of annotators spoil a data set in
three ways: *careful* and *hasty* ones err at their own rate and confuse classes in their own way, a *drifting* one
starts careful and ends at chance, a *spammer* does not look.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

Temper = Literal["careful", "hasty", "drifting", "spammer"]

_DAY_MS = 86_400_000
_ACCURACY: dict[Temper, tuple[float, float]] = {  # at the first and at the last item
    "careful": (0.95, 0.95),
    "hasty": (0.75, 0.75),
    "drifting": (0.95, 0.30),
    "spammer": (0.0, 0.0),  # its labels do not depend on the item
}
_SECONDS: dict[Temper, float] = {"careful": 9.0, "hasty": 4.0, "drifting": 7.0, "spammer": 1.2}


@dataclass(frozen=True, slots=True)
class Annotator:
    """One simulated annotator.

    Args:
        name: Begins with `simulated-`.
        temper: How they err.
        confuses: The class each class is most often taken for.
    """

    name: str
    temper: Temper
    confuses: Mapping[str, str] = field(default_factory=dict)

    def accuracy(self, progress: float) -> float:
        """Return the probability of a right label when `progress`, 0 to 1, of the work is done."""
        first, last = _ACCURACY[self.temper]
        return first + (last - first) * progress


@dataclass(frozen=True, slots=True)
class Label:
    """One label, with the arguments of `Producer.label` but the project."""

    item_id: str
    annotator: str
    value: str
    occurred_at: int
    duration_ms: int


def crowd(classes: Sequence[str], seed: int, careful: int = 4, hasty: int = 3) -> list[Annotator]:
    """Return annotators of every temper: some careful, some hasty, one drifting, one spammer.

    Args:
        classes: Classes in order; two at least.
        seed: The same seed gives the same crowd.
        careful: Number of careful ones.
        hasty: Number of hasty ones.
    """
    random = Random(f"crowd {seed}")
    tempers: list[Temper] = [*["careful"] * careful, *["hasty"] * hasty, "drifting", "spammer"]  # type: ignore[list-item]
    numbers: dict[Temper, int] = {}
    annotators = []
    for temper in tempers:
        numbers[temper] = numbers.get(temper, 0) + 1
        confuses = {label: random.choice([other for other in classes if other != label]) for label in classes}
        annotators.append(Annotator(f"simulated-{temper}-{numbers[temper]}", temper, confuses))
    return annotators


def labels(
    truth: Mapping[str, str],
    classes: Sequence[str],
    annotators: Sequence[Annotator],
    *,
    seed: int,
    overlap: int = 3,
    start_ms: int,
    days: float = 5.0,
) -> Iterator[Label]:
    """Return the labels of all items, in the order of their time.

    Args:
        truth: True class by item.
        classes: Classes in order.
        annotators: Who labels, see `crowd`.
        seed: The same arguments and seed give the same labels.
        overlap: Labels an item, each by another annotator.
        start_ms: When the first label is given, ms since 1970 UTC.
        days: Over how many days they spread.
    """
    random = Random(f"labels {seed}")
    work = [(item_id, annotator) for item_id in truth for annotator in random.sample(annotators, overlap)]
    random.shuffle(work)
    for n, (item_id, annotator) in enumerate(work):
        progress = n / len(work)
        at = start_ms + int((n + random.random()) / len(work) * days * _DAY_MS)
        value = _answer(annotator, truth[item_id], classes, progress, random)
        spent = random.lognormvariate(0.0, 0.5) * _SECONDS[annotator.temper]
        yield Label(item_id, annotator.name, value, at, round(spent * 1000))


def _answer(annotator: Annotator, true: str, classes: Sequence[str], progress: float, random: Random) -> str:
    if annotator.temper == "spammer":  # mostly the class at the top of the list
        return classes[0] if random.random() < 0.7 else random.choice(classes)
    if random.random() < annotator.accuracy(progress):
        return true
    if random.random() < 0.6:
        return annotator.confuses[true]
    return random.choice([label for label in classes if label != true])
