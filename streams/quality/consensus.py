"""What several annotators say together: the answer of most, how many stand behind each part of it, and the doubt left.

A structured answer is many decisions: this region is there with this label, that one is not. Each is put to the vote.
How far each annotator agrees with the outcome says how sure it is. Whatever the order in which annotators or their
regions are given, the result is the same to the last bit.

Source of the clusters: CVAT's consensus merge.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, fsum, log
from statistics import median_high, median_low
from typing import Any

import numpy as np

from streams.quality.limits import COMPARED, MAX_WORK, work
from streams.quality.matching import THRESHOLD, assign
from streams.quality.regions import Bools, Floats, Region
from streams.quality.values import Value, agreement, alike, kind_of, similarities

Answers = Mapping[str, Value]
"""Value of each annotator, all of one kind."""

QUORUM = 0.5
"""Share of the annotators from which a region or a class is part of the answer: half of them is enough."""

_LARGEST_EXPONENT = 700.0  # of e in a double, nearly


@dataclass(frozen=True, slots=True)
class RegionConsensus:
    """A region that one annotator drew or several did.

    Args:
        region: Label and place, as in the schema, without an id. The label has most votes. Where: the median of each
            number of a span (of two, the lower) or of a box that nobody rotated; else the region that is most like the
            others.
        support: Share of all annotators who drew it, whatever they called it.
        annotators: Who drew it, sorted.
        votes: Annotators by label, sorted by label.
        of_label: Who called it what most did, sorted.
    """

    region: Region
    support: float
    annotators: tuple[str, ...]
    votes: Mapping[str, int]
    of_label: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Consensus:
    """The answer of several annotators.

    Args:
        value: The answer, as `kind` and the field of that name.
        annotators: Number of annotators.
        behind: How many of them stand behind the answer: the sum of their agreements with it. Of regions an agreement
            is the number of those that both have, under one label, over the number of those that either has (the
            accuracy of CVAT's quality reports); two that have none agree. Of other values see `values.agreement`.
        regions: All regions that somebody drew, also those too few did for the answer.
    """

    value: Value
    annotators: int
    behind: float
    regions: tuple[RegionConsensus, ...] = ()

    def p_wrong(self, accuracy: float) -> float:
        """Return the probability that the answer is wrong, by the one-coin model for two classes.

        It is 1 / (1 + (accuracy / (1 - accuracy)) ** (2 b - n)) where b of n annotators stand behind the answer. One
        annotator who joins lowers it, one who leaves raises it, and what a single annotator says is as doubtful as the
        annotator. That several leave the same place empty counts for nothing: there are endless places, and annotators
        of whom each draws another region would agree about all but one of them.

        Args:
            accuracy: Assumed of each annotator, above 0 and below 1.
        """
        gain = (2 * self.behind - self.annotators) * log(accuracy / (1 - accuracy))
        return 1 / (1 + exp(min(gain, _LARGEST_EXPONENT)))


def consensus(answers: Answers, order: Callable[[str], Any] = str) -> Consensus:
    """Return the consensus of annotators.

    - choice: the class of most votes.
    - choices: each class that at least half of the annotators chose.
    - number: the median.
    - text: the one that is most like the others.
    - spans, boxes, polygons, tracks: each region that at least half of the annotators drew; see `region_consensus`.

    Args:
        answers: At least one.
        order: Sorts labels; ties go to the lowest.

    Raises:
        ValueError: there are no answers, they are of several kinds, or it would take too much work to compare them.
    """
    values = [answers[annotator] for annotator in sorted(answers)]
    kind = kind_of(values)
    match kind:
        case "choice":
            votes = Counter(value["choice"] for value in values)
            best = _winner(votes, order)
            return _of(kind, best, values)
        case "choices":
            return _of(kind, _chosen(values, order), values)
        case "number":
            return _of(kind, _middle([value["number"] for value in values]), values)
        case "text":
            _check_work(values)
            return _of(kind, _typical_text(values), values)
    regions = region_consensus(answers, order)
    shown = [found for found in regions if found.support >= QUORUM]
    value = {"kind": kind, kind: [dict(found.region) for found in shown]}
    behind = fsum(_share_in_common(annotator, regions, len(shown)) for annotator in answers)
    return Consensus(value, len(values), behind, regions)


def class_support(answers: Answers) -> dict[str, float]:
    """Return the share of annotators who chose each class that somebody chose, of values of kind choices, by class."""
    votes = Counter(label for value in answers.values() for label in value["choices"])
    return {label: votes[label] / len(answers) for label in sorted(votes)}


def disagreement(answers: Answers) -> float | None:
    """Return 1 less the mean agreement of pairs of annotators; None below two.

    Raises:
        ValueError: the answers are of several kinds, or it would take too much work to compare them.
    """
    if len(answers) > 1:
        _check_work([*answers.values()])
    pairs = [*combinations((answers[annotator] for annotator in sorted(answers)), 2)]
    return 1 - fsum(agreement(one, other) for one, other in pairs) / len(pairs) if pairs else None


def region_consensus(answers: Answers, order: Callable[[str], Any] = str) -> tuple[RegionConsensus, ...]:
    """Return the regions that annotators drew, each once, sorted by where they are.

    The regions of each two annotators are matched one-to-one. The matched pairs, the most alike first, then make
    clusters grow, in which no two regions are of one annotator and every two have an IoU of at least `THRESHOLD`.

    Args:
        answers: At least one; lists of regions.
        order: Sorts labels; ties go to the lowest.

    Raises:
        ValueError: there are no answers, they are of several kinds, or it would take too much work to compare them.
    """
    kind = kind_of([*answers.values()])
    _check_work([*answers.values()])
    annotators = sorted(answers)
    regions: list[Region] = []
    owner: list[str] = []
    for annotator in annotators:
        own = sorted(answers[annotator][kind], key=lambda region: (_place(kind, region), region["label"]))
        regions += own
        owner += [annotator] * len(own)
    of_annotator = [[i for i, other in enumerate(owner) if other == annotator] for annotator in annotators]
    similarity = np.zeros((len(regions), len(regions)))
    for ones, others in combinations(of_annotator, 2):
        block = similarities(kind, [regions[i] for i in ones], [regions[j] for j in others])
        similarity[np.ix_(ones, others)] = block
        similarity[np.ix_(others, ones)] = block.T
    found = []
    for cluster in _clusters(of_annotator, similarity, alike(regions, regions)):
        members = [regions[i] for i in cluster]
        votes = Counter(region["label"] for region in members)
        label = _winner(votes, order)
        place = _joint_place(kind, members, similarity[np.ix_(cluster, cluster)])
        found.append(
            RegionConsensus(
                {"label": label, **place},
                len(cluster) / len(answers),
                tuple(owner[i] for i in cluster),
                {name: votes[name] for name in sorted(votes, key=order)},
                tuple(owner[i] for i in cluster if regions[i]["label"] == label),
            )
        )
    return tuple(sorted(found, key=lambda one: (_place(kind, one.region), one.region["label"], one.annotators)))


def _check_work(values: Sequence[Value]) -> None:
    """Check that it takes seconds at most to compare the values of each two annotators.

    Raises:
        ValueError: it would not, or the values are of several kinds.
    """
    kind = kind_of(values)
    if kind in COMPARED and work(kind, [value[kind] for value in values]) > MAX_WORK:
        raise ValueError(f"{kind} by {len(values)} annotators: too many to compare each with each")


def _of(kind: str, content: object, values: Sequence[Value]) -> Consensus:
    answer = {"kind": kind, kind: content}
    return Consensus(answer, len(values), fsum(agreement(answer, value) for value in values))


def _share_in_common(annotator: str, regions: Sequence[RegionConsensus], shown: int) -> float:
    """Return the share of regions that an annotator and the answer both have, of those that either has.

    Args:
        annotator: Who.
        regions: All regions that somebody drew.
        shown: How many of them are in the answer.
    """
    own = [found for found in regions if annotator in found.annotators]
    there = [found for found in own if found.support >= QUORUM]
    either = len(own) + shown - len(there)
    return sum(annotator in found.of_label for found in there) / either if either else 1.0


def _chosen(values: Sequence[Value], order: Callable[[str], Any]) -> list[str]:
    votes = Counter(label for value in values for label in value["choices"])
    return sorted((label for label, count in votes.items() if count / len(values) >= QUORUM), key=order)


def _clusters(of_annotator: Sequence[Sequence[int]], similarity: Floats, same_label: Bools) -> list[list[int]]:
    """Return the clusters of regions, each rising.

    Args:
        of_annotator: Regions of each annotator.
        similarity: Of each two regions of two annotators.
        same_label: Whether two regions have one label.
    """
    pairs: list[tuple[float, bool, int, int]] = []
    for ones, others in combinations(of_annotator, 2):
        block = np.ix_(ones, others)
        for pair in assign(similarity[block], same_label[block]):
            i, j = ones[pair.one], others[pair.other]
            pairs.append((-pair.similarity, not same_label[i, j], i, j))
    owner = {i: n for n, own in enumerate(of_annotator) for i in own}
    cluster_of = {i: [i] for i in sorted(owner)}
    for _, _, i, j in sorted(pairs):
        one, other = cluster_of[i], cluster_of[j]
        of_others = {owner[k] for k in one}.isdisjoint(owner[k] for k in other)
        if of_others and similarity[np.ix_(one, other)].min() >= THRESHOLD:
            joined = sorted(one + other)
            cluster_of.update(dict.fromkeys(joined, joined))
    return [cluster for i, cluster in cluster_of.items() if cluster[0] == i]


def _joint_place(kind: str, regions: Sequence[Region], similarity: Floats) -> dict[str, Any]:
    """Return where the regions of a cluster are together."""
    if kind == "spans":
        return {edge: median_low(region[edge] for region in regions) for edge in ("start", "end")}
    if kind == "boxes" and not any(region.get("rotation") for region in regions):
        return {side: _middle([box[side] for box in regions]) for side in ("x", "y", "width", "height")}
    closeness = [fsum(row) for row in similarity]
    best = min(range(len(regions)), key=lambda i: (-closeness[i], _place(kind, regions[i])))
    return {name: part for name, part in regions[best].items() if name not in ("id", "label")}


def _place(kind: str, region: Region) -> tuple[Any, ...]:
    """Return where a region is, in a form that sorts."""
    match kind:
        case "spans":
            return region["start"], region["end"]
        case "polygons":
            return tuple((point["x"], point["y"]) for point in region["points"])
        case "tracks":
            return tuple((key["frame"], *_box(key), key.get("visible", True)) for key in region["frames"])
    return *_box(region), region.get("rotation", 0.0)


def _box(box: Region) -> tuple[float, ...]:
    return box["x"], box["y"], box["width"], box["height"]


def _typical_text(values: Sequence[Value]) -> str:
    """Return the text that agrees most with all, of equals the lowest."""
    agreeing: dict[str, float] = {one["text"]: fsum(agreement(one, other) for other in values) for one in values}
    return min(agreeing, key=lambda text: (-agreeing[text], text))


def _winner(votes: Mapping[str, int], order: Callable[[str], Any]) -> str:
    return min(votes, key=lambda label: (-votes[label], order(label)))


def _middle(numbers: Sequence[float]) -> float:
    """Return the median; of the two in the middle their mean, taken so that it cannot overflow."""
    low, high = median_low(numbers), median_high(numbers)
    return low if low == high else low / 2 + high / 2
