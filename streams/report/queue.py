"""Where the project stands: its answers, the queue, and what reviews found."""

from collections import Counter

from streams.report import figures
from streams.report.figures import Point, shown
from streams.report.numbers import (
    Figure,
    Listing,
    Numbers,
    Section,
    expected_calibration_error,
    percent,
    records,
)

_TIERS = ("p0", "p1", "p2", "p3")
_SOURCES = {
    "verdict": "a reviewer's verdict",
    "truth": "truth gold",
    "posterior": "inferred from all labels",
    "majority": "majority or joint answer",
    "none": "no answer",
}
_MOST_REVIEWERS = 30


def headline(numbers: Numbers) -> list[tuple[str, str]]:
    """Return the numbers to begin with: what, and how much."""
    answers = records(numbers, "answers")
    items, labels = (sum(row[name] for row in answers) for name in ("items", "labels"))
    people = Counter(row["actor_kind"] for row in records(numbers, "annotators"))
    wrong = sum(row["expected_wrong"] for row in answers)
    tiers = _open_by_tier(numbers)
    answered = sum(row["items"] for row in answers if row["source"] != "none")
    bare = sum(row["items"] for row in answers if not row["labels"])
    found = [
        ("items", f"{items:,}"),
        *([("without labels", f"{bare:,}")] if bare else []),
        ("labels", f"{labels:,}"),
        ("annotators", f"{people['annotator']:,}"),
        ("open tasks", f"{sum(tiers.values()):,}"),
        (
            "estimated wrong answers",
            f"{wrong:,.{0 if wrong >= 10 else 1}f} ({percent(wrong / answered if answered else None, 1)})",
        ),
    ]
    whole = [row for row in records(numbers, "agreement") if row["scope"] == "project" and row["alpha"] is not None]
    return [*found, *(("Krippendorff's alpha", f"{row['alpha']:.3f}") for row in whole)]


def _open_by_tier(numbers: Numbers) -> Counter[str]:
    tiers: Counter[str] = Counter()
    for row in records(numbers, "answers"):
        if row["status"] == "open":
            tiers[row["tier"] or "p3"] += row["items"]
    return tiers


def answers(numbers: Numbers) -> Section:
    """Return where the shown answers come from, and what waits for a review."""
    rows = records(numbers, "answers")
    title = "Answers"
    if not rows:
        return Section(title, nothing="No item is stored yet.")
    items: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for row in rows:
        items[row["source"]] += row["items"]
        wrong[row["source"]] += row["expected_wrong"]
    total = items.total()
    sources = [
        (text, f"{items[source]:,}", percent(items[source] / total, 1), f"{wrong[source]:,.1f}")
        for source, text in _SOURCES.items()
        if items[source]
    ]
    tiers = _open_by_tier(numbers)
    return Section(
        title,
        (
            Listing(
                ("the shown answer comes from", "items", "share", "of them expected to be wrong"),
                sources,
                "An answer that was inferred or voted for can be wrong; a review turns it into a verdict.",
            ),
            Listing(
                ("open tasks", *_TIERS),
                [("items", *(f"{tiers[tier]:,}" for tier in _TIERS))],
                "p0 is reviewed first: there a review changes the answer most often.",
            ),
        ),
        files=("answers",),
    )


def burn_down(numbers: Numbers) -> Section:
    """Return the open tasks over time."""
    rows, title = records(numbers, "queue_history"), "Open tasks over time"
    if not rows:
        return Section(title, nothing="No task was ever opened.")
    at = [row["at"] for row in rows]
    opened, closed = (sum(row[name] for row in rows) for name in ("opened", "closed"))
    plot = figures.steps(at, [row["open"] for row in rows], "open tasks")
    look = (
        f"It should fall: {opened:,} tasks were opened and {closed:,} closed. A line that rises for days means that "
        "labels come in faster than reviews."
    )
    return Section(title, (Figure(plot, look),), files=("queue_history",))


def errors_found(numbers: Numbers) -> Section:
    """Return how many errors reviews found, beside what random order would have found."""
    rows, title = records(numbers, "review_progress"), "Errors found per review"
    if not rows:
        return Section(title, nothing="No verdict was given yet.")
    found, rate = rows[-1]["found"], _error_rate(numbers)
    plot = figures.curve(
        [row["found"] for row in rows], rate, "random order, estimate", ("verdicts", "errors found, all together")
    )
    gain = f"{found / (rate * len(rows)):.1f} times as many as" if rate else "against none for"
    look = (
        f"{len(rows):,} verdicts found {found:,} errors, {gain} random order, judged by the errors found, those that "
        "gold knows and those still expected. The curve flattens when the errors that can be told are found."
    )
    return Section(title, (Figure(plot, look),), files=("review_progress",))


def _error_rate(numbers: Numbers) -> float:
    """Return the share of labelled items whose shown answer was wrong before any review: known or else expected."""
    counts, judged = records(numbers, "answers"), records(numbers, "estimates_judged")
    labelled = sum(row["items"] for row in counts if row["labels"])
    by_gold = [row for row in judged if row["source"] == "evaluation"]
    expected = sum(row["expected_wrong"] for row in counts) - sum(row["p_wrong"] for row in by_gold)
    found = sum(
        row["verdict"] != "confirmed"
        for row in {row["item_id"]: row for row in records(numbers, "review_progress")}.values()
    )
    wrong = found + sum(row["wrong"] for row in by_gold) + max(0.0, expected)
    return min(1.0, wrong / labelled) if labelled else 0.0


def calibration(numbers: Numbers) -> Section:
    """Return how far p_wrong can be trusted."""
    rows, title = records(numbers, "p_wrong_reliability"), "Can p_wrong be trusted?"
    if not rows:
        return Section(title, nothing="No item with a class that was inferred has got a verdict or gold since.")
    points = [Point(row["expected"], row["share"], row["low"], row["high"]) for row in rows]
    error = expected_calibration_error((row["items"], row["expected"], row["share"]) for row in rows)
    plot = figures.reliability(points, [row["items"] for row in rows])
    items, wrong = (sum(row[name] for row in rows) for name in ("items", "wrong"))
    expected = sum(row["items"] * row["expected"] for row in rows)
    look = (
        f"Points on the dashed line: of answers said to be wrong with 30 %, 30 % are. Expected calibration error "
        f"{percent(error, 1)} over {items:,} items: {expected:,.1f} were expected to be wrong, {wrong:,} were. Counted "
        "is what p_wrong said last before the answer became known."
    )
    return Section(title, (Figure(plot, look),), files=("p_wrong_reliability", "estimates_judged"))


def reviewers(numbers: Numbers) -> Section:
    """Return how often each reviewer overturns an answer, and contradicts another reviewer."""
    rows, title = records(numbers, "reviewers"), "Reviewers"
    if not rows:
        return Section(title, nothing="No verdict was given yet.")
    head = ("reviewer", "verdicts", "overturned", "rate", "on items judged before", "contradicting")
    listed = [
        (
            shown(row["reviewer"]),
            f"{row['verdicts']:,}",
            f"{row['overturned']:,}",
            percent(row["overturn_rate"]),
            f"{row['again']:,}",
            percent(row["contradicted"] / row["again"]) if row["again"] else "-",
        )
        for row in rows[:_MOST_REVIEWERS]
    ]
    look = (
        "Reviewers of one queue should overturn about equally often; one who never does may be waving answers through. "
        "Where two judged the same item, they should rarely contradict each other."
    )
    return Section(title, (Listing(head, listed, look),), files=("reviewers",))
