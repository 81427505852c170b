"""How good annotators and models are: trend, skill, confusion, shared mistakes, time."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date

from streams.report import figures
from streams.report.figures import Panel, Point, shown
from streams.report.numbers import Figure, Listing, Numbers, Record, Section, percent, records, wilson

MOST_PANELS = 12
MOST_ROWS = 40
MOST_CLASSES = 20
"""Classes of a confusion matrix that is drawn; of more, those most often confused, the rest together."""

OTHERS = "other classes"


def trend(numbers: Numbers) -> Section:
    """Return the accuracy of each annotator week by week."""
    rows, title = records(numbers, "accuracy_weekly"), "Accuracy by week"
    if not rows:
        return Section(title, nothing="No label of one class yet: accuracy by week needs labels of kind choice.")
    labels: Counter[tuple[str, str]] = Counter()
    for row in rows:
        labels[row["actor_kind"], row["annotator"]] += (row["basis"] == "estimate") * row["labels"]
    people = [who for who in labels if who[0] == "annotator"]
    busiest = sorted(people, key=lambda who: (-labels[who], who))[: MOST_PANELS - 1]
    panels = [_pooled(rows)] if people else []
    for kind, name in [*busiest, *sorted(who for who in labels if who[0] == "model")][:MOST_PANELS]:
        own = [row for row in rows if (row["actor_kind"], row["annotator"]) == (kind, name)]
        panels.append(
            Panel(f"{name} (model)" if kind == "model" else name, _points(own, "known"), _points(own, "estimate"))
        )
    whom = f"the {len(busiest)} of {len(people)} with most labels" if len(people) > len(busiest) else "each annotator"
    look = (
        f"All together, then {whom}. Blue is measured against verdicts and gold, orange is an estimate against the "
        "inferred answers, in which one's own label has a part; bands are 90 % intervals. A line that falls below its "
        "earlier band has changed. Reviewed items are the doubtful ones: blue below orange is usual."
    )
    return Section(title, (Figure(figures.trends(panels), look),), files=("accuracy_weekly",))


def _points(rows: Iterable[Record], basis: str) -> list[Point]:
    found = [Point(row["week"], row["accuracy"], row["low"], row["high"]) for row in rows if row["basis"] == basis]
    return sorted(found)


def _pooled(rows: Iterable[Record]) -> Panel:
    """Return the trend of all annotators together."""
    sums: defaultdict[tuple[str, date], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows:
        if row["actor_kind"] == "annotator":
            cell = sums[row["basis"], row["week"]]
            cell[0] += row["correct"]
            cell[1] += row["labels"]
    points = {
        wanted: sorted(
            Point(week, right / of, *wilson(right, of))
            for (basis, week), (right, of) in sums.items()
            if basis == wanted
        )
        for wanted in ("known", "estimate")
    }
    return Panel("all annotators", points["known"], points["estimate"])


def skill(numbers: Numbers) -> Section:
    """Return everybody's estimated accuracy with its interval, beside what is known."""
    rows, title = records(numbers, "skill"), "Skill"
    if not rows:
        return Section(title, nothing="No fit yet: `labelloop settle` makes one; it needs labels of kind choice.")
    rows.sort(key=lambda row: (row["accuracy"], row["annotator"]))
    known = {(row["actor_kind"], row["annotator"]): row["accuracy"] for row in records(numbers, "accuracy_known")}
    drawn = rows[:MOST_ROWS][::-1]
    points = [Point(_who(row), row["accuracy"], row["low"], row["high"]) for row in drawn]
    marks = [known.get((row["actor_kind"], row["annotator"])) for row in drawn]
    plot = figures.intervals(points, marks, "known (verdicts, gold)", "estimated accuracy, 90 % interval")
    cut = f" The {MOST_ROWS} lowest of {len(rows)} are drawn." if len(rows) > MOST_ROWS else ""
    low = shown(_who(rows[0]))
    look = (
        f"The lowest is {low} with {percent(rows[0]['accuracy'])}. A wide interval means few labels: give that person "
        "more items, or gold, before judging. Diamonds are measured on verdicts and gold, often the harder items."
        f"{cut}"
    )
    return Section(title, (Figure(plot, look),), files=("skill", "accuracy_known"))


def _who(row: Record) -> str:
    return f"{row['annotator']} (model)" if row["actor_kind"] == "model" else str(row["annotator"])


def confusion(numbers: Numbers) -> Section:
    """Return which classes are taken for which, by all annotators and by each."""
    rows, title = records(numbers, "confusion"), "Which classes are confused"
    if not rows:
        return Section(title, nothing="No label of one class has a verdict or gold to be compared with.")
    people = [row for row in rows if row["actor_kind"] == "annotator"]
    parts: list[Figure | Listing] = []
    if people:
        parts += [Figure(_matrix(people), _look(people)), _worst(people)]
    judged: Counter[tuple[str, str]] = Counter()
    for row in rows:
        judged[row["actor_kind"], row["annotator"]] += row["labels"]
    by_number = sorted(judged, key=lambda who: (who[0] != "model", -judged[who], who))
    for who in by_number[:MOST_PANELS]:
        own = [row for row in rows if (row["actor_kind"], row["annotator"]) == who]
        name = shown(who[1]) + (" (model)" if who[0] == "model" else "")
        parts.append(Figure(_matrix(own), title=f"{name}, {judged[who]:,} labels"))
    return Section(title, parts, files=("confusion",))


def _look(rows: Sequence[Record]) -> str:
    classes = len({row["truth"] for row in rows} | {row["answer"] for row in rows})
    cut = f" Of {classes} classes the {MOST_CLASSES} most often confused are drawn." if classes > MOST_CLASSES else ""
    return (
        "All annotators, where the right answer is known. The diagonal is right; a dark cell beside it is a pair of "
        f"classes that the guideline should tell apart.{cut} Each annotator's own is folded up below."
    )


def _worst(rows: Sequence[Record]) -> Listing:
    pairs: Counter[tuple[str, str]] = Counter()
    truths: Counter[str] = Counter()
    for row in rows:
        truths[row["truth"]] += row["labels"]
        if row["truth"] != row["answer"]:
            pairs[row["truth"], row["answer"]] += row["labels"]
    listed = [
        (shown(truth), shown(answer), f"{count:,}", percent(count / truths[truth], 1))
        for (truth, answer), count in sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
    ]
    return Listing(("right answer", "given answer", "labels", "of the right answer's"), listed)


def _matrix(rows: Sequence[Record]) -> str:
    cells: Counter[tuple[str, str]] = Counter()
    for row in rows:
        cells[row["truth"], row["answer"]] += row["labels"]
    confused: Counter[str] = Counter()
    for (truth, answer), count in cells.items():
        confused[truth] += (truth != answer) * count
        confused[answer] += (truth != answer) * count
    classes = sorted(confused)
    if len(classes) > MOST_CLASSES:
        classes = sorted(sorted(confused, key=lambda name: (-confused[name], name))[:MOST_CLASSES])
        place = {name: n for n, name in enumerate(classes)}
        classes.append(OTHERS)
    else:
        place = {name: n for n, name in enumerate(classes)}
    last = len(classes) - 1
    counts = [[0] * len(classes) for _ in classes]
    for (truth, answer), count in cells.items():
        counts[place.get(truth, last)][place.get(answer, last)] += count
    return figures.matrix(classes, classes, counts)


def same_mistakes(numbers: Numbers) -> Section:
    """Return whether the model makes the mistakes of an annotator."""
    rows, title = records(numbers, "same_mistakes"), "Is the model making the same mistakes?"
    if not rows:
        return Section(title, nothing="No item has a right answer, a label and a model's out-of-sample prediction.")
    some = [row for row in rows if row["wrong"]]
    if not some:
        return Section(
            title, nothing="No annotator was wrong on an item that a model predicted.", files=("same_mistakes",)
        )
    some.sort(key=lambda row: (-row["wrong"], row["annotator"], row["model"]))
    drawn = some[:20]
    models = {row["model"] for row in rows}
    names = [f"{row['annotator']} / {row['model']}" if len(models) > 1 else row["annotator"] for row in drawn]
    plot = figures.bars(
        names,
        [
            ("same wrong class", [row["share"] for row in drawn]),
            ("expected by chance", [row["by_chance"] for row in drawn]),
        ],
        "of the items that the annotator got wrong",
        share=True,
    )
    wrong, same = (sum(row[name] for row in some) for name in ("wrong", "same"))
    look = (
        f"Of {wrong:,} wrong labels the model gave the same wrong class for {same:,} ({percent(same / wrong)}). Blue "
        "well above orange: the model has learnt that annotator's mistakes, or both fall for the same items. Orange is "
        "what a model that errs as often, whatever the annotator said, would reach. Few wrong labels tell little."
    )
    listed = [
        (
            shown(row["annotator"]),
            shown(row["model"]),
            f"{row['items']:,}",
            f"{row['wrong']:,}",
            f"{row['same']:,}",
            percent(row["share"]),
            percent(row["by_chance"]),
        )
        for row in drawn[:10]
    ]
    head = ("annotator", "model", "items of both", "annotator wrong", "same wrong class", "share", "by chance")
    return Section(title, (Figure(plot, look), Listing(head, listed)), files=("same_mistakes",))


def drift(numbers: Numbers) -> Section:
    """Return the alarms that went off."""
    rows, title = records(numbers, "drift_alarms"), "Drift alarms"
    if not rows:
        return Section(title, nothing="No alarm went off: nobody's accuracy has fallen by what the labels tell.")
    listed = [
        (_short(row), f"{row['drift_at']:%Y-%m-%d %H:%M}", percent(row["accuracy"]), percent(row["recent"]))
        for row in rows[:MOST_ROWS]
    ]
    look = "Somebody whose recent accuracy is well below the whole: look at the newest labels, and talk to the person."
    return Section(
        title, (Listing(("who", "alarm at (UTC)", "accuracy", "recent"), listed, look),), files=("drift_alarms",)
    )


def _short(row: Record) -> str:
    return shown(row["annotator"]) + (" (model)" if row["actor_kind"] == "model" else "")


def label_time(numbers: Numbers) -> Section:
    """Return how long a label takes."""
    weeks, people = records(numbers, "label_time_weekly"), records(numbers, "label_time")
    title = "Time per label"
    if not people:
        return Section(title, nothing="No label says how long it took (`duration_ms`, `time_spent_s`).")
    people.sort(key=lambda row: (-row["labels"], row["annotator"]))
    drawn = sorted(people[:MOST_ROWS], key=lambda row: (row["median_ms"], row["annotator"]))
    points = [
        Point(row["annotator"], *(row[name] / 1000 for name in ("median_ms", "p10_ms", "p90_ms"))) for row in drawn
    ]
    plot = figures.intervals(
        points, [None] * len(points), "", "seconds: median, and from 10 % to 90 % of labels", "number"
    )
    parts = [
        Figure(plot, "Somebody much faster than all others may be guessing: compare with their skill above."),
    ]
    if len(weeks) > 1:
        series = [
            (name, [row[column] / 1000 for row in weeks])
            for name, column in (("median", "median_ms"), ("nine in ten stay below", "p90_ms"))
        ]
        look = "Falls while people learn the task; a rise often means that the items or the guideline got harder."
        parts.insert(0, Figure(figures.lines([row["week"] for row in weeks], series, "seconds for a label"), look))
    return Section(title, parts, files=("label_time_weekly", "label_time"))
