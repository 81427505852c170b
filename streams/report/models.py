"""How models did: version by version beside the annotators, what the gate said, and which answers changed."""

from collections import defaultdict

from streams.report import figures
from streams.report.figures import shown
from streams.report.numbers import Figure, Listing, Numbers, Record, Section, percent, records

_MOST_DRAWN = 200
_MOST_LISTED = 15
_PARTS = {"new": "new corrections", "fixed": "fixed", "corrected": "corrected", "held_out": "held out"}


def models(numbers: Numbers) -> Section:
    """Return how models did; the newest are listed and drawn."""
    rows, title = records(numbers, "models"), "Models"
    if not rows:
        return Section(title, nothing="No model has been trained yet.")
    parts: list[Figure | Listing] = [_versions(rows[-_MOST_LISTED:])]
    parts += _over_versions(records(numbers, "model_accuracy")[-_MOST_DRAWN:])
    parts += _gate(rows, records(numbers, "gate_results"))
    parts += _flips(rows, records(numbers, "flip_counts"))
    return Section(title, parts, files=("models", "model_accuracy", "gate_results", "flip_counts"))


def _versions(rows: list[Record]) -> Listing:
    listed = [
        (
            str(row["n"]),
            f"{row['trained_at']:%Y-%m-%d}",
            "-" if row["rows"] is None else f"{row['rows']:,.0f}",
            percent(row["accuracy"], 1),
            percent(row["accuracy_judged"], 1),
            f"{shown(row['model_version'])}, {_verdict(row)}",
        )
        for row in reversed(rows)
    ]
    head = ("model", "trained", "rows", "right", "right of judged", "version and verdict")
    look = (
        "Newest first. Every share is of predictions by models that had not seen the item. Judged rows have a verdict "
        "or truth gold: mostly the doubtful ones, so fewer of them are right. A refused model names what it lost."
    )
    return Listing(head, listed, look)


def _verdict(row: Record) -> str:
    said = "champion" if row["is_champion"] else row["verdict"] or "not judged"
    return f"{said}: {row['reason']}" if row["reason"] else str(said)


def _over_versions(rows: list[Record]) -> list[Figure | Listing]:
    if len(rows) < 2:
        return []
    series = [
        ("model, all rows", [row["accuracy"] for row in rows]),
        ("model, judged rows", [row["accuracy_judged"] for row in rows]),
        ("annotators, judged labels", [row["annotator_accuracy"] for row in rows]),
    ]
    there = [one for one in series if any(value is not None for value in one[1])]
    if not there:
        return []
    look = (
        "What reviews bring: the lines of the model should rise. Above the line of the annotators it is right more "
        "often on judged items than one of their labels."
    )
    return [Figure(figures.versions(there, rows[0]["n"], "right"), look)]


def _gate(rows: list[Record], results: list[Record]) -> list[Figure | Listing]:
    """Return what the gate compared for the model that it judged last, and for the last one that it refused."""
    by_model: defaultdict[str, list[Record]] = defaultdict(list)
    for result in results:
        by_model[result["model_version"]].append(result)
    judged = [row for row in rows if row["model_version"] in by_model]
    refused = [row for row in judged if by_model[row["model_version"]][0]["verdict"] == "refused"]
    told = {row["model_version"]: row for row in [*refused[-1:], *judged[-1:]]}
    listed = [
        (
            str(row["n"]),
            _PARTS.get(one["part"], shown(one["part"])),
            f"{one['examples']:,}",
            percent(one["champion_right"], 1),
            percent(one["model_right"], 1),
            f"{100 * one['low']:+.1f} to {100 * one['high']:+.1f}",
            f"{one['regressions']:,}" + ("" if one["allowed"] is None else f" of {one['allowed']:,} allowed"),
            "passed" if one["passed"] else "refused",
        )
        for row in reversed([*told.values()])
        for one in by_model[row["model_version"]]
    ]
    if not listed:
        return []
    head = ("gate of model", "examples", "number", "before", "model", "difference, points", "regressions", "")
    look = (
        "The last model that was judged, and the last that was refused. Before: the champion then, or for a first "
        "model the most frequent value. The difference is a 95 % interval: all of it below 0 is a significant loss. "
        "Regressions were right before; of new corrections they are those that nobody supports."
    )
    return [Listing(head, listed, look)]


def _flips(rows: list[Record], counts: list[Record]) -> list[Figure | Listing]:
    held_out = {row["model_version"]: row for row in counts if row["part"] == "held_out"}
    told = [row for row in rows if row["model_version"] in held_out][-_MOST_LISTED:][::-1]
    if not told:
        return []
    series = [
        (outcome.replace("_", " "), [float(held_out[row["model_version"]][outcome]) for row in told])
        for outcome in ("now_right", "newly_wrong", "still_wrong")
    ]
    look = (
        "Answers beside those of the champion then, over all rows, newest model first. Newly wrong ones should be far "
        "fewer than those now right; `SELECT * FROM flips` names the items."
    )
    return [Figure(figures.bars([f"{row['n']}: {row['model_version']}" for row in told], series, "rows"), look)]
