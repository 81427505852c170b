"""The loop through the product: review, retrain, review what the new queue shows first.

Run as `make bench-loop`; prints tables, writes `bench/results/loop.json`, and curves beside it (`loop.svg`). Beside the
product stand the cleanlab loop, re-run as often, and the ceiling: a model that learns from nothing but right answers.
Every run is kept in `bench/results/loop/` when it ends; what is there is not run again, unless `--anew` says so. The
seeds rename the items, which changes the folds and which of two equal tasks comes first.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any, get_args

from bench.loop import peers, tables
from bench.loop.data import NAMES, LoopData, loop_data
from bench.loop.goals import Run, goals
from bench.loop.pipeline import Order, Point, loop
from bench.loop.trainers import TRAINERS, given
from bench.quality.tables import goals as goals_table
from streams.demo.story import running_stack
from streams.errors import LabelloopError
from streams.settings import Settings
from streams.terminal import Console
from workers.trainers import TRAINERS as GIVEN

RESULT = Path(__file__).parent.parent / "results" / "loop.json"
KEPT = RESULT.with_suffix("")
ROOT = Path(__file__).parent.parent.parent


def file_of(run: Run, budget: float, step: float) -> Path:
    """Return where a run is kept."""
    data, trainer, order, seed = run
    return KEPT / f"{data}-{trainer}-{order}-{seed}-{budget:g}-{step:g}.json"


def kept(file: Path) -> list[Point] | None:
    """Return the points of a run that ended, None if it did not."""
    return [Point(**point) for point in json.loads(file.read_text())] if file.is_file() else None


def keep(file: Path, points: Sequence[Point]) -> None:
    """Keep a run; the file is there whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps([asdict(point) for point in points], indent=1) + "\n")
    part.replace(file)


def run_all(
    missing: Sequence[Run], sets: Mapping[str, LoopData], budget: float, step: float, console: Console
) -> Iterator[tuple[Run, list[Point]]]:
    """Yield each run and its points, all of them in one stack.

    Raises:
        LabelloopError: a command fails.
    """
    os.environ[GIVEN] = given()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as name, running_stack(Path(name), console) as settings:
        for run in missing:
            yield run, [*_told(settings, run, sets[run[0]], budget, step, console)]


def _told(
    settings: Settings, run: Run, data: LoopData, budget: float, step: float, console: Console
) -> Iterator[Point]:
    _, trainer, order, seed = run
    name = " ".join(map(str, run))
    project = name.replace(" ", "-")
    for point in loop(settings, project, data.renamed(seed), trainer, order, seed, budget, step):
        test = "-" if point.test is None else f"{point.test:.4f}"
        told = f"{name}: {point.reviews} reviews, labels {point.labels:.4f}, test {test}, {point.outcome}"
        console.print(
            f"{told}, {point.seconds:.0f} s{'' if point.reason is None else ': ' + point.reason}", markup=False
        )
        yield point


def report(
    runs: Mapping[Run, Sequence[Point]],
    sets: Mapping[str, LoopData],
    others: Mapping[str, Sequence[Sequence[Point]]],
    ceilings: Mapping[str, Mapping[str, float]],
    console: Console,
) -> None:
    """Print tables and goals, and write the results."""
    items = {name: len(data.gold) for name, data in sets.items()}
    panels: list[dict[str, Any]] = []
    told: dict[str, Any] = {}
    for name, number in items.items():
        found = tables.lines(runs, others[name], name)
        tables.curves(console, name, number, found, ceilings[name])
        for field, y in (("labels", "right answers"), ("test", "test accuracy")):
            curves = {line: _curve(many, number, field) for line, many in found.items()}
            top = ceilings[name].get("logistic") if field == "test" else None
            panels.append({"title": name, "y": y, "ceiling": top, "curves": curves})
        told[name] = {
            "items": number,
            "ceiling": ceilings[name],
            "loops": {line: [[asdict(point) for point in one] for one in many] for line, many in found.items()},
        }
    reached = goals(runs, items)
    if reached:
        goals_table(console, "Goals of the loop: the product's queue, logistic regression", reached)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"sets": told, "goals": [asdict(goal) for goal in reached]}, indent=2) + "\n")
    peers.draw(panels, RESULT.with_suffix(".svg"))
    console.print(f"written to {RESULT.parent.name}/{RESULT.name} and {RESULT.stem}.svg")


def _curve(runs: Sequence[Sequence[Point]], items: int, field: str) -> tuple[list[float], list[float]]:
    """Return shares reviewed and the mean of the runs that have a figure there."""
    shares, figures = [], []
    for reviews in sorted({point.reviews for points in runs for point in points}):
        found = [getattr(point, field) for points in runs for point in points if point.reviews == reviews]
        if all(figure is not None for figure in found):
            shares.append(reviews / items)
            figures.append(mean(found))
    return shares, figures


def theirs(data: LoopData, seeds: int, budget: float, step: float) -> list[list[Point]]:
    """Return the cleanlab loop's runs."""
    return [
        [Point(int(one["reviews"]), one["labels"], one["test"], "trained", None, 0.0) for one in run]
        for run in peers.cleanlab_loop(data, seeds, budget, step)
    ]


def _listed(known: Sequence[str]) -> Any:
    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: use {', '.join(known)}")
        return names

    return read


def asked_for(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what is asked for on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.loop", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    orders = get_args(Order)
    parser.add_argument("--sets", type=_listed(NAMES), default=[*NAMES], help=f"of {','.join(NAMES)}")
    parser.add_argument("--trainers", type=_listed(TRAINERS), default=[*TRAINERS], help=f"of {','.join(TRAINERS)}")
    parser.add_argument("--orders", type=_listed(orders), default=[*orders], help=f"of {','.join(orders)}")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind")
    parser.add_argument("--budget", type=float, default=0.3, help="share of the items that is reviewed")
    parser.add_argument("--step", type=float, default=0.02, help="share after which a model is trained")
    parser.add_argument("--anew", action="store_true", help="run also what is kept from an earlier run")
    parser.add_argument("--kept-only", action="store_true", help="run nothing in a stack: report what is kept")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the benchmark."""
    asked = asked_for()
    console = Console(width=None if sys.stdout.isatty() else 160)
    sets = {name: loop_data(name) for name in asked.sets}
    wanted: list[Run] = [
        (data, trainer, order, seed)
        for seed in range(asked.seeds)
        for data in asked.sets
        for trainer in asked.trainers
        for order in asked.orders
    ]
    runs: dict[Run, list[Point]] = {}
    for run in wanted:
        points = None if asked.anew else kept(file_of(run, asked.budget, asked.step))
        if points is not None:
            runs[run] = points
    missing = [] if asked.kept_only else [run for run in wanted if run not in runs]
    console.print(f"{len(wanted)} runs, of which {len(runs)} are kept from before and {len(missing)} are to do")
    if missing:
        for run, points in run_all(missing, sets, asked.budget, asked.step, console):
            keep(file_of(run, asked.budget, asked.step), points)
            runs[run] = points
    others, ceilings = {}, {}
    for name, data in sets.items():
        others[name] = theirs(data, asked.seeds, asked.budget, asked.step)
        ceilings[name] = {
            trainer: mean(_ceiling(data, trainer, seed) for seed in range(asked.seeds)) for trainer in asked.trainers
        }
        console.print(f"{name}: the cleanlab loop and the ceiling are there")
    report({run: runs[run] for run in wanted if run in runs}, sets, others, ceilings, console)


def _ceiling(data: LoopData, trainer: str, seed: int) -> float:
    os.environ[GIVEN] = given()
    return peers.ceiling(data, trainer, seed)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
