"""How far two label values of one kind agree, from 0 to 1, and in what they differ.

A value is the record of `schemas/labels.avsc` as a mapping: `kind`, and the field of that name. What is said of regions
goes for spans, boxes, polygons and tracks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import fsum
from typing import Any, Literal, NamedTuple
from unicodedata import normalize

import numpy as np
from rapidfuzz.distance import Levenshtein

from streams.quality.matching import THRESHOLD, Match, assign
from streams.quality.regions import Bools, Floats, Region, box_ious, polygon_ious, span_ious
from streams.quality.tracks import idf1, track_ious

Value = Mapping[str, Any]

_SIMILARITIES: dict[str, Callable[[Sequence[Region], Sequence[Region]], Floats]] = {
    "spans": span_ious,
    "boxes": box_ious,
    "polygons": polygon_ious,
    "tracks": track_ious,
}

Difference = Literal["missing_annotation", "extra_annotation", "mismatching_label", "low_overlap"]


class Conflict(NamedTuple):
    """What differs between regions that were given and the right ones, in CVAT's words.

    Args:
        difference: `low_overlap` is a warning, the others are errors.
        given: Index of the region that was given; None for a missing one.
        right: Index of the right region; None for an extra one.
    """

    difference: Difference
    given: int | None
    right: int | None


def agreement(one: Value, other: Value) -> float:
    """Return the agreement of two values, the same in either order.

    - choice: 1 if equal, else 0.
    - choices: Jaccard index of the two sets.
    - number: the smaller over the larger, by size; 0 if their signs differ. Scale does not count, an offset does: it
      suits counts, lengths and prices, not degrees Celsius.
    - text: 1 less the edit distance over the length of the longer text, both in normal form; 1 only if those are equal.
    - spans, boxes, polygons: regions of one label are matched one-to-one so that their total IoU is greatest, which is
      then divided by the number of regions of whoever has more: one without a partner counts 0.
    - tracks: IDF1.

    Two empty sets, texts or lists of regions agree fully; an empty one and another not at all.

    Raises:
        ValueError: the values are of two kinds, or hold tracks that are too long.
    """
    kind = kind_of([one, other])
    first, second = one[kind], other[kind]
    match kind:
        case "choice":
            return float(first == second)
        case "choices":
            return _jaccard({*first}, {*second})
        case "number":
            return _ratio(first, second)
        case "text":
            return float(Levenshtein.normalized_similarity(normal(first), normal(second)))
        case "tracks":
            return idf1(first, second)
    if not first or not second:
        return float(first == second)
    matched = matches(kind, first, second, threshold=0, same_class=True)
    return fsum(pair.similarity for pair in matched) / max(len(first), len(second))


def normal(text: str) -> str:
    """Return the form in which texts are compared: composed characters (NFC), each run of white space one space."""
    return " ".join(normalize("NFC", text).split())


def decisions(chosen: Iterable[str], classes: Iterable[str]) -> dict[str, bool]:
    """Return a set of choices as one decision per class: each is chosen or left out.

    Args:
        chosen: Classes that the annotator chose.
        classes: Classes there are; what was chosen besides counts too.
    """
    yes = {*chosen}
    return {label: label in yes for label in sorted({*classes} | yes)}


def similarities(kind: str, ones: Sequence[Region], others: Sequence[Region]) -> Floats:
    """Return the IoU of each pair of regions, shape (len(ones), len(others)); labels play no part.

    Raises:
        ValueError: tracks are too long.
    """
    return _SIMILARITIES[kind](ones, others)


def matches(
    kind: str,
    ones: Sequence[Region],
    others: Sequence[Region],
    threshold: float = THRESHOLD,
    *,
    same_class: bool = False,
) -> list[Match]:
    """Match regions one-to-one so that their total IoU is greatest.

    Args:
        kind: Of the regions.
        ones: Regions of one annotator.
        others: Regions of another.
        threshold: IoU from which two may match; 1 for exact matches.
        same_class: Only regions of one label may match, as for F1. Else where they are counts first, and equal labels
            only decide between equals.

    Raises:
        ValueError: tracks are too long.
    """
    similarity, of_one_label = similarities(kind, ones, others), alike(ones, others)
    return assign(np.where(of_one_label, similarity, 0) if same_class else similarity, of_one_label, threshold)


def conflicts(
    kind: str, given: Sequence[Region], right: Sequence[Region], threshold: float = 0.4, low_overlap: float = 0.8
) -> list[Conflict]:
    """Return what is wrong with regions, in their order, missing ones last.

    Where they are is matched first, then labels are compared; a pair may differ in both. The thresholds, taxonomy and
    procedure are those of CVAT's quality reports.

    Args:
        kind: Of the regions.
        given: Regions to judge.
        right: Regions to judge by.
        threshold: IoU from which two regions mean the same thing.
        low_overlap: IoU below which a matched region is not well placed.

    Raises:
        ValueError: tracks are too long.
    """
    partner = {pair.one: pair for pair in matches(kind, given, right, threshold)}
    found = []
    for i, region in enumerate(given):
        pair = partner.get(i)
        if pair is None:
            found.append(Conflict("extra_annotation", i, None))
            continue
        if region["label"] != right[pair.other]["label"]:
            found.append(Conflict("mismatching_label", i, pair.other))
        if pair.similarity < low_overlap:
            found.append(Conflict("low_overlap", i, pair.other))
    there = {pair.other for pair in partner.values()}
    return found + [Conflict("missing_annotation", None, j) for j in range(len(right)) if j not in there]


def label_studio_score(kind: str, ones: Sequence[Region], others: Sequence[Region]) -> float:
    """Return Label Studio Enterprise's agreement of spans or boxes, to compare with what that tool shows.

    The mean, over the regions of both, of the IoU with the nearest region of the same label on the other side. Several
    may share a nearest one, so that a region cut in two costs little: `agreement` does not forgive it.
    """
    if not ones or not others:
        return float(not ones and not others)
    similarity = np.where(alike(ones, others), similarities(kind, ones, others), 0)
    return float(np.concatenate([similarity.max(axis=1), similarity.max(axis=0)]).mean())


def kind_of(values: Sequence[Value]) -> str:
    """Return the one kind of the values.

    Raises:
        ValueError: there are none, or they are of several kinds.
    """
    kinds = sorted({str(value["kind"]) for value in values})
    if len(kinds) != 1:
        raise ValueError(f"values of {len(kinds)} kinds ({', '.join(kinds)}) cannot be compared: give values of one")
    return kinds[0]


def _jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0


def _ratio(one: float, other: float) -> float:
    if one == other:
        return 1.0
    smaller, larger = sorted([abs(one), abs(other)])
    return smaller / larger if (one > 0) == (other > 0) else 0.0


def alike(ones: Sequence[Region], others: Sequence[Region]) -> Bools:
    """Return whether two regions are of one label, shape (len(ones), len(others))."""
    first, second = (np.array([region["label"] for region in side], dtype=object) for side in (ones, others))
    equal: Bools = (first[:, None] == second[None]).astype(bool)
    return equal
