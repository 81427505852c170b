"""Quality beside the best libraries: right answers, order of review, calibration, goals.

Run as `make bench-quality`; prints tables and writes `bench/results/quality.json`, and reliability diagrams beside it.
The libraries run in an environment of their own (`peers.lock`), which the first run makes. All of it but the costs is
repeatable: seeds are fixed, no other result depends on the machine's speed.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from bench.quality import core, cost, pipeline, tables
from bench.quality.data import NAMES, DataSet, load
from bench.quality.goals import Cases, Goal, Streams, order_goals, stream_goals
from bench.quality.measures import Bin, reliability
from bench.quality.order import ALONE, SHOWN, WITH, case, judged, own_calibration
from bench.quality.peers import Peers, ask, draw
from bench.written import tell, write
from streams.errors import LabelloopError
from streams.quality.labels import Floats
from streams.terminal import Console

DIAGRAMS = "reliability-{}.svg"
RESULT = Path(__file__).parent.parent / "results" / "quality.json"

Posteriors = Mapping[str, Mapping[str, Floats]]
"""Labelloop's posteriors by data set, and by what they rest on: `ALONE` or `WITH`."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What labelloop's posteriors are worth."""

    cases: Cases
    calibration: Mapping[str, Mapping[str, float]]
    reliability: Mapping[str, Mapping[str, Sequence[Bin]]]
    goals: Sequence[Goal]


def quality(sets: Sequence[DataSet], peers: Mapping[str, Peers], ours: Posteriors) -> Quality:
    """Measure posteriors beside the libraries."""
    cases = {one.name: {shown: case(one, peers[one.name], ours[one.name], shown) for shown in SHOWN} for one in sets}
    calibration = {
        kind: {one.name: own_calibration(one, ours[one.name][kind]) for one in sets if kind in ours[one.name]}
        for kind in (ALONE, WITH)
    }
    bins = {one.name: diagrams(one, ours[one.name]) for one in sets}
    return Quality(cases, {kind: found for kind, found in calibration.items() if found}, bins, order_goals(cases))


def diagrams(data: DataSet, ours: Mapping[str, Floats]) -> dict[str, list[Bin]]:
    """Return the reliability of p_wrong, with the model where there is one, by the answer that is shown."""
    posterior = ours.get(WITH, ours.get(ALONE))
    assert posterior is not None
    shown = {"its own answer": posterior.argmax(axis=1), "the majority's": data.majority()}
    return {name: reliability(*judged(data, posterior, answer)) for name, answer in shown.items()}


def of_core(sets: Sequence[DataSet], peers: Mapping[str, Peers]) -> Posteriors:
    """Return the pure core's posteriors from all labels at once."""
    found = {}
    for data in sets:
        predicted = peers[data.name].predicted
        found[data.name] = {ALONE: core.posterior(data)}
        if predicted is not None:
            found[data.name][WITH] = core.posterior(data, predicted)
    return found


def accuracies(
    sets: Sequence[DataSet], peers: Mapping[str, Peers], ours: Posteriors, streams: Streams
) -> dict[str, dict[str, float]]:
    """Return the share of right answers by method and data set."""
    table: dict[str, dict[str, float]] = {"majority, ties to the lowest class": {}}
    for data in sets:
        table["majority, ties to the lowest class"][data.name] = data.accuracy(data.majority())
        for method, labels in peers[data.name].labels.items():
            name = method if method == "CROWDLAB" else f"crowd-kit {method}"
            table.setdefault(name, {})[data.name] = data.accuracy(labels)
    for data in sets:
        for kind, posterior in ours[data.name].items():
            table.setdefault(f"{kind}, all labels at once", {})[data.name] = data.accuracy(posterior.argmax(axis=1))
    for name, by_order in streams.items():
        for arrival, many in by_order.items():
            row = f"labelloop, labels {arrival}"
            table.setdefault(f"{row}: at completion, mean", {})[name] = mean(one.completion for one in many)
            table.setdefault(f"{row}: at completion, worst", {})[name] = min(one.completion for one in many)
            table.setdefault(f"{row}: at the end, worst", {})[name] = min(one.end for one in many)
    return table


def streamed(sets: Sequence[DataSet], ours: Posteriors, seeds: int, tell: Callable[[str], None]) -> Streams:
    """Return every stream."""
    found: dict[str, dict[str, list[core.Streamed]]] = {}
    for data in sets:
        for arrival, one in core.streams(data, seeds, ours[data.name][ALONE]):
            found.setdefault(data.name, {}).setdefault(arrival, []).append(one)
        tell(f"{data.name}: streamed")
    return found


def piped(sets: Sequence[DataSet], peers: Mapping[str, Peers], console: Console) -> tuple[Quality, dict[str, Any]]:
    """Measure what comes out of a stack, and whether it depends on the order of arrival."""
    outcomes, reviews = pipeline.run(sets, {name: found.predicted for name, found in peers.items()}, console)
    kinds = {data.name: ALONE if peers[data.name].predicted is None else WITH for data in sets}
    measured = quality(
        sets, peers, {name: {kinds[name]: found[pipeline.FIRST].posterior} for name, found in outcomes.items()}
    )
    told: dict[str, Any] = {}
    for data in sets:
        by_order = outcomes[data.name]
        first = by_order[pipeline.FIRST]
        told[data.name] = {
            "accuracy": {order: data.accuracy(one.consensus) for order, one in by_order.items()},
            "orders_differ": max(float(np.abs(one.posterior - first.posterior).max()) for one in by_order.values()),
            "p_wrong_differs": float(np.abs(first.p_wrong - (1 - _of(first.posterior, first.consensus))).max()),
            "reviews": reviews[data.name],
            "seconds": {order: (round(one.imported_s, 1), round(one.settled_s, 1)) for order, one in by_order.items()},
        }
    return measured, told


def _of(posterior: Floats, answer: Any) -> Floats:
    found: Floats = posterior[np.arange(len(posterior)), answer]
    return found


def _plain(measured: Quality) -> dict[str, Any]:
    cases = {name: {shown: asdict(one) for shown, one in found.items()} for name, found in measured.cases.items()}
    told = {"calibration": measured.calibration, "reliability": measured.reliability}
    return {"order": cases, **told, "goals": [asdict(goal) for goal in measured.goals]}


def _draw(console: Console, measured: Quality, name: str) -> None:
    file = RESULT.parent / DIAGRAMS.format(name)
    draw(measured.reliability, file)
    console.print(f"reliability diagrams: {file.name}, beside the results")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="streams of each order of arrival")
    parser.add_argument("--core-only", action="store_true", help="leave out the stack of Kafka and workers")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    sets = [load(name) for name in NAMES]
    peers = {}
    for data in sets:
        peers[data.name] = ask(data)
        console.print(f"{data.name}: the libraries have answered")
    ours = of_core(sets, peers)
    same = {data.name: float((core.dawid_skene(data) == peers[data.name].labels["DS"]).mean()) for data in sets}
    streams = streamed(sets, ours, asked.seeds, console.print)
    measured, accuracy = quality(sets, peers, ours), accuracies(sets, peers, ours, streams)
    batch = {data.name: data.accuracy(ours[data.name][ALONE].argmax(axis=1)) for data in sets}
    theirs = {data.name: data.accuracy(peers[data.name].labels["DS"]) for data in sets}
    stream_found = stream_goals(streams, theirs, batch)
    report: dict[str, Any] = {
        "seeds": asked.seeds,
        "consensus": accuracy,
        "same_answers_as_crowd_kit_dawid_skene": same,
        "streams": {
            name: {a: [asdict(one) for one in many] for a, many in found.items()} for name, found in streams.items()
        },
        "peer_seconds": {name: found.seconds for name, found in peers.items()},
        "core": _plain(measured) | {"stream_goals": [asdict(goal) for goal in stream_found]},
    }
    write(RESULT, report)
    tables.consensus(console, accuracy, sets)
    told = ", ".join(f"{name} {share:.1%}" for name, share in same.items())
    console.print(
        f"the confusion model without traits and shrinkage answers as crowd-kit's DS: {told}", highlight=False
    )
    tables.review_order(console, measured.cases)
    tables.calibration(console, measured.cases, measured.calibration)
    _draw(console, measured, "core")
    tables.goals(console, "Goals, pure core", [*measured.goals, *stream_found])
    costs = [*cost.costs()]
    tables.costs(console, costs)
    report["cost"] = [asdict(one) for one in costs]
    write(RESULT, report)
    if not asked.core_only:
        from_topics, by_set = piped(sets, peers, console)
        write(RESULT, report | {"pipeline": _plain(from_topics) | {"sets": by_set}})
        tables.review_order(console, from_topics.cases)
        tables.calibration(console, from_topics.cases, from_topics.calibration)
        _draw(console, from_topics, "pipeline")
        tables.pipeline(console, by_set)
        tables.reviews(console, {name: one["reviews"] for name, one in by_set.items()})
        tables.goals(console, "Goals, as it comes out of the topics", from_topics.goals)
    tell(console, RESULT)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
