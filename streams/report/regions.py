"""Structured labels compared region by region: F1 of annotators, what differs and why, and the joint answer."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import fsum
from typing import Any

import orjson

from streams.quality.consensus import Answers, RegionConsensus, consensus, region_consensus
from streams.quality.matching import f1
from streams.quality.values import conflicts, matches
from streams.report.numbers import Record, Table

DIFFERENCES = ("missing_annotation", "extra_annotation", "mismatching_label", "low_overlap")
ALL = "all pairs"

_THRESHOLDS = (0.5, 0.75)
_MOST_ANNOTATORS = 20  # of an item, of whom each pair is compared
_DOUBTFUL = 12  # items whose joint answer is told


@dataclass(slots=True)
class _Pair:
    """Sums over the items that two annotators share."""

    items: int = 0
    ones: int = 0
    others: int = 0
    matched: Counter[float] = field(default_factory=Counter)
    ious: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Item:
    """An item's labels of one kind."""

    item_id: str
    kind: str
    p_wrong: float | None
    text: str | None
    answers: dict[str, Any]
    reference: Mapping[str, Any] | None


def compare(rows: Iterable[Record]) -> dict[str, Table]:
    """Return what the structured labels of a project say, as tables.

    Args:
        rows: Rows of the view `region_labels`.

    Returns:
        - `region_f1`: annotators pair by pair, and all pairs: F1 is twice the matched regions, of one label and with
          the IoU or more, over the regions of both; `mean_iou` is of those matched at 0.5.
        - `region_differences`: of each annotator by the right answer where a verdict or gold tells it, else by the
          joint answer of the others; in CVAT's words.
        - `region_consensus`: the joint regions of the most doubtful items, with the share of annotators behind each.
    """
    items = _items(rows)
    return {
        "region_f1": _pairs(items),
        "region_differences": _differences(items),
        "region_consensus": _doubtful(items),
    }


def _items(rows: Iterable[Record]) -> list[_Item]:
    found: dict[tuple[str, str], _Item] = {}
    for row in sorted(rows, key=lambda row: (row["item_id"], row["kind"], row["annotator"])):
        key = row["item_id"], row["kind"]
        item = found.get(key)
        if item is None:
            reference = orjson.loads(row["reference"]) if row["reference"] else None
            item = found[key] = _Item(*key, row["p_wrong"], row["text"], {}, reference)
        if len(item.answers) < _MOST_ANNOTATORS:
            item.answers[row["annotator"]] = orjson.loads(row["value"])
    return [*found.values()]


def _pairs(items: Iterable[_Item]) -> Table:
    pairs: defaultdict[tuple[str, str, str], _Pair] = defaultdict(_Pair)
    for item in items:
        for one, other in combinations(sorted(item.answers), 2):
            ones, others = (item.answers[who][item.kind] for who in (one, other))
            try:
                found = [matches(item.kind, ones, others, least, same_class=True) for least in _THRESHOLDS]
            except ValueError:  # tracks that are too long
                continue
            for names in ((one, other), (ALL, "")):
                pair = pairs[item.kind, *names]
                pair.items += 1
                pair.ones += len(ones)
                pair.others += len(others)
                pair.matched.update({least: len(m) for least, m in zip(_THRESHOLDS, found, strict=True)})
                pair.ious += [match.similarity for match in found[0]]
    rows = [
        (
            *names,
            pair.items,
            pair.ones,
            pair.others,
            *(f1(pair.matched[least], pair.ones, pair.others) for least in _THRESHOLDS),
            fsum(pair.ious) / len(pair.ious) if pair.ious else None,
        )
        for names, pair in sorted(pairs.items(), key=lambda entry: (entry[0][0], -entry[1].items, entry[0]))
    ]
    columns = ("kind", "one", "other", "items", "regions_one", "regions_other", "f1_50", "f1_75", "mean_iou")
    return Table(columns, rows)


def _differences(items: Iterable[_Item]) -> Table:
    counts: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for item in items:
        for annotator, value in item.answers.items():
            by, right = _right(item, annotator)
            if right is None:
                continue
            count = counts[item.kind, annotator, by]
            try:
                count.update(conflict.difference for conflict in conflicts(item.kind, value[item.kind], right))
            except ValueError:
                continue
            count.update({"items": 1, "regions": len(value[item.kind]), "right_regions": len(right)})
    numbers = ("items", "regions", "right_regions", *DIFFERENCES)
    rows = [(*names, *(count[name] for name in numbers)) for names, count in sorted(counts.items())]
    return Table(("kind", "annotator", "judged_by", *numbers), rows)


def _right(item: _Item, annotator: str) -> tuple[str, list[Mapping[str, Any]] | None]:
    """Return what an annotator's regions are judged by, and the regions; none if nobody else labelled the item."""
    if item.reference is not None:
        return "verdict or gold", item.reference[item.kind]
    others = {who: value for who, value in item.answers.items() if who != annotator}
    return "the others", _joint(others, item.kind) if others else None


def _joint(answers: Answers, kind: str) -> list[Mapping[str, Any]] | None:
    try:
        joint: list[Mapping[str, Any]] = consensus(answers).value[kind]
    except ValueError:
        return None
    return joint


def _doubtful(items: Iterable[_Item]) -> Table:
    told = [item for item in items if item.p_wrong is not None and item.reference is None]
    told.sort(key=lambda item: (-(item.p_wrong or 0.0), item.item_id))
    rows: list[tuple[Any, ...]] = []
    for item in told[:_DOUBTFUL]:
        try:
            regions = region_consensus(item.answers)
        except ValueError:
            continue
        rows += [_region(item, found) for found in regions]
    return Table(("item_id", "kind", "p_wrong", "label", "where", "support", "votes", "points"), rows)


def _region(item: _Item, found: RegionConsensus) -> tuple[Any, ...]:
    votes = ", ".join(f"{label} x{count}" for label, count in found.votes.items())
    where, points = place(item.kind, found.region, item.text)
    return item.item_id, item.kind, item.p_wrong, found.region["label"], where, found.support, votes, points


def place(kind: str, region: Mapping[str, Any], text: str | None) -> tuple[str, list[tuple[float, float]]]:
    """Return where a region is, in words, and its outline in fractions of width and height, empty if it has none."""
    if kind == "spans":
        start, end = region["start"], region["end"]
        quoted = f"{text[start:end]!r} " if text and end <= len(text) else ""
        return f"{quoted}{start} to {end}", []
    if kind == "tracks":
        return f"frames {region['frames'][0]['frame']} to {region['frames'][-1]['frame']}", []
    if kind == "polygons":
        points = [(point["x"], point["y"]) for point in region["points"]]
    else:
        x, y, width, height = (region[name] for name in ("x", "y", "width", "height"))
        points = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    across, down = (
        f"{100 * min(values):.0f} to {100 * max(values):.0f} %"
        for values in ([point[i] for point in points] for i in (0, 1))
    )
    return f"{across} across, {down} down", points
