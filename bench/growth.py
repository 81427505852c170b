"""What a label costs as a project grows: items, classes, annotators, labels of an item.

Run as `make bench-growth`; prints a table and writes `bench/results/growth.json`. It is the items worker without a
broker (`bench/local.py`): the real fold, codec, runner and memory store. Each shape runs in a process of its own, and
beside each of its batches a loop that is always the same runs too: what counts is the ratio of the two, median over the
batches of the last third of the labels, when the state has its size.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from rich.table import Table

from bench.generated import Shape, batches, fit
from bench.local import Local
from bench.runtimes.task import peak_mb
from bench.written import tell, write
from streams.errors import LabelloopError
from streams.memory import collect_seldom
from streams.terminal import Console

RESULT = Path(__file__).parent / "results" / "growth.json"

WITHIN = 0.25
"""How far a shape's cost may lie above that of the first."""

_REFERENCE = {"text": "x" * 200, "numbers": [*range(50)], "names": {str(n): n for n in range(20)}}


def shapes(largest: int) -> dict[str, Shape]:
    """Return what is compared, the first with each other; `largest` is the greatest number of items."""
    base = Shape(items=10_000, labels=3, annotators=200, classes=2)
    sizes = [items for items in (10_000, 100_000, 1_000_000) if items <= largest]
    return {
        **{f"{items:,} items": replace(base, items=items) for items in sizes},
        "100 classes": replace(base, classes=100),
        "10 annotators": replace(base, annotators=10),
        "5,000 annotators": replace(base, annotators=5000),
        "1 label an item": replace(base, items=30_000, labels=1),
        "50 labels an item": replace(base, items=600, labels=50),
    }


def measure(shape: Shape) -> dict[str, float]:
    """Return what a shape takes: `us`, CPU of a label; `ratio` of it to the loop beside it; `mb`, the peak memory."""
    collect_seldom()
    worker, took = Local(fit(shape)), list[tuple[int, float, float]]()
    done = 0
    for batch in batches(shape):
        began = time.thread_time()
        worker.take(batch)
        ended = time.thread_time()
        for _ in range(1000):
            orjson.loads(orjson.dumps(_REFERENCE))
        done += len(batch)
        if done > shape.events * 2 // 3:
            took.append((len(batch), ended - began, time.thread_time() - ended))
    return {
        "us": round(median(1e6 * ours / labels for labels, ours, _ in took), 1),
        "ratio": round(median(1000 * ours / labels / loop for labels, ours, loop in took), 3),
        "mb": round(peak_mb()),
        "changelog_bytes": round(worker.sink.bytes["changelog"] / shape.events),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000, help="largest number of items")
    parser.add_argument("--shape", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.shape:
        print(json.dumps(measure(Shape(**json.loads(asked.shape)))))
        return
    found: dict[str, dict[str, Any]] = {}
    console, table = Console(), Table("project", "CPU µs a label", "to the first", "peak MB", "changelog bytes a label")
    for name, shape in shapes(asked.items).items():
        command = [sys.executable, "-m", "bench.growth", "--shape", json.dumps(asdict(shape))]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise LabelloopError(f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        one = found[name] = json.loads(done.stdout)
        first = next(islice(found.values(), 1))
        one["to_first"] = round(one["ratio"] / first["ratio"], 2)
        told = f"{one['to_first']:.2f}{'' if one['to_first'] <= 1 + WITHIN else ' above'}"
        table.add_row(name, f"{one['us']:.1f}", told, f"{one['mb']:,.0f}", f"{one['changelog_bytes']:,.0f}")
        console.print(f"{name}: {one['us']:.1f} µs a label, {told} of the first, {one['mb']:,.0f} MB")
    write(RESULT, found)
    console.print(table)
    tell(console, RESULT)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
