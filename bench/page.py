"""What the benchmarks wrote, as one page with plots.

Run as `make bench-page`: reads whatever lies in `bench/results` and writes `bench/results/index.html`, which opens from
disk. A dot is the median of the rounds, a bar reaches from the lowest to the highest, a diamond is what is required.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench import growth, recovery, scale, sink
from bench.latency import __main__ as latency
from bench.runtimes.rounds import Took
from bench.written import tell
from streams.errors import LabelloopError
from streams.report.figures import Point, intervals
from streams.report.numbers import Figure, Section
from streams.report.page import page
from streams.terminal import Console

RESULTS = Path(__file__).parent / "results"
_REQUIRED = "required"


def _point(name: str, values: Iterable[float]) -> Point:
    found = sorted(values)
    return Point(name, median(found), found[0], found[-1])


def _plot(rows: Sequence[Point], axis: str, look: str, required: Sequence[float | None] = ()) -> Figure:
    return Figure(intervals(rows, required or [None] * len(rows), _REQUIRED, axis, "number"), look)


def _rates(rounds: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Return the rate of each runtime: every round has its events and seconds."""
    return [_point(name, (Took(**one[name]).rate for one in rounds)) for name in rounds[0]]


def _items(found: Any) -> Section:
    rows = [
        Point(name, found["events_per_second"][name], found["lowest"][name], found["highest"][name])
        for name in found["events_per_second"]
        if name != "sink"
    ]
    look = (
        f"The items worker does {found['labelloop_to_faust']} times the labels of stock Faust, and has "
        f"{found['labelloop_to_plain']} of the rate of a loop that keeps nothing."
    )
    return Section("The items worker", [_plot(rows, "labels a second", look)])


def _runtimes(found: Any) -> Section:
    look = "The transport alone: the same small work everywhere, each as its documentation would write it."
    return Section("Beside other stream processors", [_plot(_rates(found["rounds"]), "events a second", look)])


def _sink(found: Any) -> Section:
    rows = _rates(found["rounds"])
    required = [found["required"] if row.at == sink.SINK else None for row in rows]
    look = "From the topic to committed rows, Avro decoding included, beside columns that are there already."
    return Section("Into ClickHouse", [_plot(rows, "rows a second", look, required)])


def _publish(found: Any) -> Section:
    look = "Checked, encoded and delivered, beside bytes that are encoded already."
    return Section("Publishing", [_plot(_rates(found["rounds"]), "labels a second", look)])


def _latency(found: Any) -> Section:
    rows, required = list[Point](), list[float | None]()
    for one in found:
        rate, times = one["events_per_second"], one["latency_ms"]["review.state"]
        for name, ms in times.items():
            rows.append(Point(f"{rate:,} a second, {name}", ms["median"], ms["lowest"], ms["highest"]))
            required.append(latency.REQUIRED_MS if (rate, name) == (latency.AT_RATE, "p99") else None)
    return Section("From publishing to the queue", [_plot(rows, "ms", "With everything on one machine.", required)])


def _recovery(found: Any) -> Section:
    kinds = dict.fromkeys((run["items"], run["store"]) for run in found["runs"])
    rows = [
        _point(f"{items:,} items, {store}", (r["seconds"] for r in found["runs"] if (r["items"], r["store"]) == kind))
        for kind in kinds
        for items, store in [kind]
    ]
    required = [recovery.REQUIRED_S if items == recovery.REQUIRED_ITEMS else None for items, _ in kinds]
    return Section("Recovery from the changelog", [_plot(rows, "seconds", "The state lost, the log kept.", required)])


def _views(found: Any) -> Section:
    rows = [
        Point(one["view"], 1e3 * one["warm_s"], 1e3 * one["lowest_s"], 1e3 * one["highest_s"]) for one in found["views"]
    ]
    look = f"One project of ten, over {found['labels']:,} labels, caches warm."
    return Section("The analysts' views", [_plot(rows, "ms", look, [1e3 * found["warm_s"]] * len(rows))])


def _growth(found: Any) -> Section:
    rows = [_point(name, [one["to_first"]]) for name, one in found.items()]
    look = "What a label costs, to the first project: flat means that a larger project costs no more a label."
    required = [None, *[1 + growth.WITHIN] * (len(rows) - 1)]
    return Section("Growth", [_plot(rows, "CPU of a label, to the first", look, required)])


def _scale(found: Any) -> Section:
    took = [scale.Took(**one) for all_ in found["rounds"] for one in all_]
    counts = sorted({one.processes for one in took})
    rates = [_point(f"{n} workers", (one.per_cpu_second for one in took if one.processes == n)) for n in counts]
    waits = [_point(name, (one[name] for one in found["pauses"])) for name in found["pauses"][0]]
    return Section(
        "Two workers",
        [
            _plot(rates, "labels a CPU second", "What a second worker costs: nothing, where both are equal."),
            _plot(waits, "longest wait of a label, seconds", "While a second worker comes and goes."),
        ],
    )


def _review(found: Any) -> Section:
    opening = [Point(name, s["median"], s["lowest"], s["highest"]) for name, s in found["seconds"].items()]
    steps = [_point(f"{name}, {share}", [ms]) for name, times in found["ms"].items() for share, ms in times.items()]
    return Section(
        "A reviewer",
        [
            _plot(opening, "seconds", f"Until a reader knows the most urgent of {found['tasks']:,} open tasks."),
            _plot(steps, "ms", "A task is taken when the log has decided whose it is."),
        ],
    )


def _training(found: Any) -> Section:
    rows = [_point(step, (one[step] for one in found["rounds"])) for step in found["seconds"]]
    look = f"From asking for a model of {found['items']:,} items until the queue follows it."
    return Section("Retraining", [_plot(rows, "seconds", look)])


SECTIONS: dict[str, Callable[[Any], Section]] = {
    "items": _items,
    "runtimes": _runtimes,
    "latency": _latency,
    "review": _review,
    "publish": _publish,
    "sink": _sink,
    "views": _views,
    "training": _training,
    "recovery": _recovery,
    "scale": _scale,
    "growth": _growth,
}
"""What is drawn, by the name of its file."""


def drawn(results: Path) -> str:
    """Return the page of what lies in a folder.

    Raises:
        LabelloopError: nothing does.
    """
    found = [name for name in SECTIONS if (results / f"{name}.json").is_file()]
    if not found:
        raise LabelloopError(f"{results} has no results: run `make bench` or another benchmark first")
    sections = [SECTIONS[name](json.loads((results / f"{name}.json").read_text())) for name in found]
    made = (
        "The numbers lie beside this page as JSON. A dot is the median of the rounds, a bar reaches from the lowest to "
        "the highest, a diamond is what is required. Machines drift: compare what was measured in one run."
    )
    return page("labelloop: benchmarks", made, (), sections)


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    file = RESULTS / "index.html"
    file.write_text(drawn(RESULTS))
    tell(Console(), file)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
