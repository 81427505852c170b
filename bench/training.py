"""Retraining and bulk re-scoring: from a request until a model has predicted every item and its people know.

Run as `make bench-training`; prints a table and writes `bench/results/training.json`. All workers run on this machine.
Items have features; of some there are labels, and of some of these verdicts. Steps are timed by what the retraining
worker tells the log: it makes the snapshot, trains and judges the model (promoted), predicts all items in slices, and
tells people; then the queue follows.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.items import apart, servers
from bench.workers import workers
from bench.written import tell, write
from streams import codec
from streams.embedded.stack import prepare_servers, worker_processes
from streams.errors import LabelloopError
from streams.producers.producer import Producer
from streams.query.lag import LagReader
from streams.query.log import reader, records
from streams.query.wait import wait
from streams.settings import Settings
from streams.terminal import Console
from workers.ask import outcome, publish
from workers.registry import About

RESULT = Path(__file__).parent / "results" / "training.json"
PROJECT, FEATURES, LABELLED, JUDGED = "trained", 16, 0.1, 0.02
"""Features of an item; share of the items that have three labels, and of those that a reviewer judged."""

STEPS = ("snapshot", "train and judge", "predict all items", "tell people", "queue and tables follow")
_LIMIT_S = 1800.0


def fill(settings: Settings, items: int, seed: int = 0) -> None:
    """Publish the items of two clouds, labels and verdicts, and wait until all is folded and stored."""
    draw = random.Random(seed)
    with Producer(settings, source="bench") as producer:
        producer.project(PROJECT, "lead", training={"after_corrections": 0})  # a model when it is asked for
        for number in range(items):
            truth, other = ("wren", "robin") if number % 2 else ("robin", "wren")
            centre = 0.5 if number % 2 else -0.5
            producer.item(PROJECT, f"i{number}", features=[round(draw.gauss(centre, 1.0), 4) for _ in range(FEATURES)])
            if number < items * LABELLED:
                for annotator in range(3):
                    said = truth if draw.random() < 0.85 else other
                    producer.label(PROJECT, f"i{number}", f"annotator-{annotator}", said)
            if number < items * JUDGED:
                producer.correction(PROJECT, f"i{number}", "ria", "corrected", truth)
    wait(settings, _LIMIT_S)


def one_round(settings: Settings, items: int) -> dict[str, float]:
    """Return the seconds of each step.

    Raises:
        LabelloopError: the model was refused, or not all items were predicted.
    """
    asked = publish(settings, PROJECT, "requested", About(), "lead")
    _, found = outcome(settings, PROJECT, asked["event_id"], _LIMIT_S)
    followed = time.time() * 1e3  # noqa: TID251 - beside the log's own times
    if found["stage"] != "promoted":
        raise LabelloopError(f"no model was promoted: {found['reason']}")
    at = _told(settings)
    if (predicted := at["scored"][-1][1]) != items:
        raise LabelloopError(f"of {items:,} items {predicted:,} were predicted")
    marks = [*(at[name][-1][0] for name in ("requested", "snapshot", "promoted", "scored", "told")), followed]
    return dict(zip(STEPS, ((end - start) / 1e3 for start, end in pairwise(marks)), strict=True))


def _told(settings: Settings) -> dict[str, list[tuple[float, int]]]:
    """Return log time in ms and items done by then of each fact of the loop, by its stage."""
    with LagReader(settings) as ends:
        until = {at: range(end) for at, end in ends.settled_offsets(["snapshots", "models"]).items()}
    told: dict[str, list[tuple[float, int]]] = {}
    with reader(settings) as consumer:
        for topic, message in records(consumer, settings, until):
            event = codec.decode(message.value())[1]
            stage = "snapshot" if topic == "snapshots" else event["stage"]
            told.setdefault(stage, []).append((message.timestamp()[1], event.get("items") or 0))
    return {stage: sorted(all_) for stage, all_ in told.items()}


def report(items: int, rounds: Sequence[Mapping[str, float]]) -> dict[str, object]:
    """Return every round and the medians."""
    return {
        "items": items,
        "rounds": [dict(one) for one in rounds],
        "seconds": {step: median(one[step] for one in rounds) for step in STEPS},
        "items_predicted_per_second": round(items / median(one["predict all items"] for one in rounds)),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=50_000, help="items of the project")
    parser.add_argument("--rounds", type=int, default=3, help="models that are asked for, each in a stack of its own")
    asked = parser.parse_args()
    console, rounds = Console(), list[dict[str, float]]()
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        for number in range(asked.rounds):
            here = replace(apart(settings, f"t{number}"), home=settings.home / f"t{number}")
            here.home.mkdir()
            prepare_servers(here)
            with workers(here, worker_processes(1)) as running:
                running.wait_joined({"items": 1, "quality": 1, "sink": 1})
                fill(here, asked.items)
                rounds.append(one_round(here, asked.items))
                running.check()
            console.print(f"round {number + 1}: " + ", ".join(f"{step} {s:.1f} s" for step, s in rounds[-1].items()))
    found = report(asked.items, rounds)
    write(RESULT, found)
    table = Table("step", "seconds")
    for step in STEPS:
        times = [one[step] for one in rounds]
        table.add_row(step, f"{median(times):.1f} ({min(times):.1f} to {max(times):.1f})")
    console.print(f"{asked.items:,} items of {FEATURES} features, median of {asked.rounds} rounds")
    console.print(table)
    console.print(f"{found['items_predicted_per_second']:,} items predicted a second")
    tell(console, RESULT)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
