"""What the report shows of spans, boxes, polygons and tracks."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from streams.report import figures
from streams.report.figures import Outline, shown
from streams.report.numbers import Figure, Listing, Numbers, Record, Section, percent, records
from streams.report.regions import ALL, DIFFERENCES

_MOST_PAIRS = 15
_MOST_PEOPLE = 20
_MOST_REGIONS = 24
_DRAWN = 6

_WORDS = {
    "missing_annotation": "missing",
    "extra_annotation": "extra",
    "mismatching_label": "other label",
    "low_overlap": "low overlap",
}


def structured(numbers: Numbers) -> Section:
    """Return agreement on regions, what differs, and the joint answer of the most doubtful items."""
    title = "Regions"
    pairs, differences = records(numbers, "region_f1"), records(numbers, "region_differences")
    doubtful = records(numbers, "region_consensus")
    if not (pairs or differences or doubtful):
        return Section(title, nothing="No spans, boxes, polygons or tracks in this project.")
    parts: list[Figure | Listing] = []
    if pairs:
        parts.append(_pairs(pairs, numbers))
    if differences:
        parts += _differences(differences)
    if doubtful:
        parts += _doubtful(doubtful)
    return Section(title, parts, files=("region_f1", "region_differences", "region_consensus"))


def _pairs(rows: Sequence[Record], numbers: Numbers) -> Listing:
    head = ("annotators", "kind", "items", "regions", "F1 at IoU .5", "F1 at IoU .75", "mean IoU")
    whole = [row for row in rows if row["one"] == ALL]
    drawn = [*whole, *[row for row in rows if row["one"] != ALL][:_MOST_PAIRS]]
    listed = [
        (
            ALL if row["one"] == ALL else f"{shown(row['one'])} - {shown(row['other'])}",
            row["kind"],
            f"{row['items']:,}",
            f"{row['regions_one']:,} / {row['regions_other']:,}",
            f"{row['f1_50']:.3f}",
            f"{row['f1_75']:.3f}",
            percent(row["mean_iou"], 1),
        )
        for row in drawn
    ]
    cut = "".join(
        f" Of {row['items']:,} items {row['compared']:,} were drawn by lot and compared."
        for row in records(numbers, "region_sample")
        if row["items"] > row["compared"]
    )
    look = (
        "Regions of one label are matched one to one; F1 is the share of regions that found a partner. High at .5 but "
        f"low at .75: people see the same things, but outline them differently.{cut}"
    )
    return Listing(head, listed, look)


def _differences(rows: Sequence[Record]) -> list[Figure | Listing]:
    sums: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        sums[row["annotator"], row["kind"]].update({name: row[name] for name in ("items", "regions", *DIFFERENCES)})
    order = sorted(sums, key=lambda who: (-sum(sums[who][name] for name in DIFFERENCES), who))[:_MOST_PEOPLE]
    total = sum(sums.values(), Counter())
    most = max(DIFFERENCES, key=lambda name: total[name])
    head = ("annotator", "kind", "items", "regions", *(_WORDS[name] for name in DIFFERENCES))
    listed = [
        (
            shown(who[0]),
            who[1],
            *(f"{sums[who][name]:,}" for name in ("items", "regions")),
            *(f"{sums[who][name]:,}" for name in DIFFERENCES),
        )
        for who in order
    ]
    by = sorted({row["judged_by"] for row in rows})
    look = (
        f"Judged by {' or by '.join(by)}. Most frequent is {_WORDS[most]}: {total[most]:,} of {total['regions']:,} "
        "regions. Many missing ones ask for a second pass, many with another label for a clearer guideline; low "
        "overlap (IoU below .8) is only a warning."
    )
    return [Listing(head, listed, look)]


def _doubtful(rows: Sequence[Record]) -> list[Figure | Listing]:
    parts: list[Figure | Listing] = []
    by_item: defaultdict[tuple[str, float], list[Outline]] = defaultdict(list)
    for row in rows:
        if row["points"]:
            by_item[row["item_id"], row["p_wrong"]].append(Outline(row["label"], row["support"], row["points"]))
    if by_item:
        panels = [(f"{shown(item)}: {percent(p)}", found) for (item, p), found in [*by_item.items()][:_DRAWN]]
        look = (
            "The items with the most doubtful joint answers, with the share of their regions expected to be wrong. "
            "Blue: all annotators drew it; orange, dashed: some did. Images are stretched to one shape."
        )
        parts.append(Figure(figures.outlines(panels), look))
    listed = [
        (
            shown(row["item_id"]),
            percent(row["p_wrong"]),
            shown(row["label"]),
            _cut(row["where"]),
            percent(row["support"]),
            _cut(row["votes"]),
        )
        for row in rows[:_MOST_REGIONS]
    ]
    head = ("item", "p_wrong", "label", "where", "support", "votes")
    look = "Each region that somebody drew, once, and the share of annotators behind it: decide those in between first."
    return [*parts, Listing(head, listed, look)]


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:79]}…"
