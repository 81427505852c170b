"""How far annotators agree: in all, over time, by class, guideline version and group, and for every kind of label."""

from collections import defaultdict
from datetime import date

from streams.report import figures
from streams.report.figures import shown
from streams.report.numbers import Figure, Listing, Numbers, Record, Section, coefficient, percent, records

_MOST_CLASSES = 30
_MOST_NAMES = 15
_CORRECTED = ("alpha", "fleiss", "ac1")  # for chance


def agreement(numbers: Numbers) -> Section:
    """Return the agreement of the project and its parts."""
    rows = [row for row in records(numbers, "agreement") if row["items"]]
    kinds, title = records(numbers, "agreement_by_kind"), "Agreement"
    if not rows and not kinds:
        return Section(title, nothing="No item has two labels that could be compared.")
    parts: list[Figure | Listing] = []
    by_scope: defaultdict[str, list[Record]] = defaultdict(list)
    for row in rows:
        by_scope[row["scope"]].append(row)
    if by_scope["project"]:
        parts.append(_whole(by_scope["project"][0]))
    other = [row for row in kinds if row["kind"] not in ("choice", "number")]
    if other:
        parts.append(_kinds(other))
    parts += _over_time(by_scope["day"])
    parts += _classes(by_scope["class"])
    for scope, what in (("guideline", "guideline version"), ("group", "group")):
        if by_scope[scope]:
            parts.append(_parts(by_scope[scope], what))
    return Section(title, parts, files=("agreement", "agreement_by_kind"))


def _whole(row: Record) -> Listing:
    alphas = [(f"alpha, {name}", row[f"alpha_{name}"]) for name in ("ordinal", "interval", "ratio")]
    there = [(name, value) for name, value in alphas if value is not None]
    head = ("items", "raw", "alpha, nominal", *(name for name, _ in there), "Fleiss' kappa", "Gwet's AC1")
    values = (row["alpha"], *(value for _, value in there), row["fleiss"], row["ac1"])
    cells = (f"{row['items']:,}", percent(row["raw"], 1), *map(coefficient, values))
    look = (
        "Alpha from .80 on is reliable, from .667 on good for tentative conclusions (Krippendorff). High raw agreement "
        "with low alpha means that one class is given nearly always: AC1 is steadier then."
    )
    return Listing(head, [cells], look)


def _kinds(rows: list[Record]) -> Listing:
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows:
        sums[row["kind"]][0] += row["items"]
        sums[row["kind"]][1] += row["items"] * row["agreement"]
    listed = [(kind, f"{items:,.0f}", percent(total / items, 1)) for kind, (items, total) in sorted(sums.items())]
    look = (
        "Mean agreement of two annotators on an item: of regions the total overlap (IoU) of matched ones over the "
        "number of regions, of sets the Jaccard index, of texts 1 less the edit distance. It is not corrected for "
        "chance."
    )
    return Listing(("kind of label", "items with two labels", "agreement"), listed, look)


def _over_time(rows: list[Record]) -> list[Figure | Listing]:
    rows = sorted(rows, key=lambda row: str(row["name"]))
    if len(rows) < 2:
        return []
    at = [date.fromisoformat(row["name"]) for row in rows]
    series = [(name, [row[column] for row in rows]) for name, column in (("raw", "raw"), ("alpha", "alpha"))]
    look = (
        "By day of an item's newest label. A step down after a date points to a new guideline, new people or new "
        "items; days with few items jump about."
    )
    return [Figure(figures.lines(at, series, "agreement"), look)]


def _classes(rows: list[Record]) -> list[Figure | Listing]:
    if not rows:
        return []
    rows = sorted(rows, key=lambda row: (1.0 if row["alpha"] is None else row["alpha"], row["name"]))[:_MOST_CLASSES]
    told = [row for row in rows if row["alpha"] is not None]
    if not told:
        return []
    plot = figures.bars([row["name"] for row in told], [("alpha", [max(0.0, row["alpha"]) for row in told])], "alpha")
    look = (
        "Alpha of one class against all others, the lowest first: define the classes on top better. "
        "Below 0, drawn as 0, people agree less than by chance."
    )
    return [Figure(plot, look)]


def _parts(rows: list[Record], what: str) -> Listing:
    rows = sorted(rows, key=lambda row: (1.0 if row["alpha"] is None else row["alpha"], row["name"]))[:_MOST_NAMES]
    listed = [
        (
            shown(row["name"]),
            f"{row['items']:,}",
            percent(row["raw"], 1),
            *(coefficient(row[c]) for c in _CORRECTED),
        )
        for row in rows
    ]
    head = (what, "items", "raw", "alpha", "Fleiss' kappa", "AC1")
    return Listing(head, listed, f"The lowest {what} first: what differs there?")
