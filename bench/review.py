"""A reviewer's side: opening the queue, taking a task, giving a verdict; with all workers on this machine.

Run as `make bench-review`; prints tables and writes `bench/results/review.json`. The queue is opened by a reader that
reads all of `review.state`, beside a plain consumer that does not even decode it. Then one reviewer works from the top:
a task is taken when the log has decided that it is theirs, and a verdict is given when the broker has it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

from confluent_kafka import Consumer, TopicPartition
from rich.table import Table

from bench.items import servers
from bench.latency.figures import NAMES, percentiles
from bench.workers import workers
from bench.written import tell, write
from streams.clients import reading
from streams.embedded.stack import prepare_servers, worker_processes
from streams.errors import LabelloopError
from streams.producers.producer import Producer
from streams.query.lag import LagReader
from streams.query.review import ReviewQueue
from streams.query.wait import wait
from streams.settings import Settings
from streams.terminal import Console

RESULT = Path(__file__).parent / "results" / "review.json"
PROJECT = "reviewed"
OPEN, PLAIN = "the review queue", "plain consumer"
_SETTLE_S = 900.0


def fill(settings: Settings, tasks: int) -> None:
    """Publish items whose two annotators disagree, each a task, and wait until all is folded, scored and stored."""
    with Producer(settings, source="bench") as producer:
        for number in range(tasks):
            for annotator in range(2):
                who, label = f"annotator-{(number + 7 * annotator) % 50}", ("wren", "robin")[annotator]
                producer.label(PROJECT, f"item-{number}", who, label, source_seq=annotator)
    wait(settings, _SETTLE_S)


def opened(settings: Settings, tasks: int) -> float:
    """Return how long a reader takes until it knows the most urgent of all tasks, seconds.

    Raises:
        LabelloopError: it does not know all of them.
    """
    started = time.perf_counter()
    with ReviewQueue(PROJECT, reviewer="ria", settings=settings) as queue:
        queue.head(1)
        took = time.perf_counter() - started
        if (found := len(queue.head(tasks + 1))) != tasks:
            raise LabelloopError(f"of {tasks:,} tasks the queue has {found:,}")
    return took


def consumed(settings: Settings) -> tuple[float, int]:
    """Return how long a plain consumer takes for the same records, seconds, and their number."""
    topic = settings.topic("review.state")
    with LagReader(settings) as reader:
        ends = {n: end for (_, n), end in reader.settled_offsets(["review.state"]).items()}
    started, records = time.perf_counter(), 0
    with closing(Consumer({**reading(settings), "fetch.wait.max.ms": 20})) as consumer:  # as the queue waits
        consumer.assign([TopicPartition(topic, n, 0) for n in ends])
        waiting = {n for n, end in ends.items() if end}
        while waiting:
            for message in consumer.consume(10_000, timeout=0.02):
                records += message.error() is None
                if (message.offset() or 0) + (message.error() is None) >= ends[message.partition() or 0]:
                    waiting.discard(message.partition() or 0)
    return time.perf_counter() - started, records


def reviewed(settings: Settings, verdicts: int) -> dict[str, list[float]]:
    """Work from the top of the queue; return the milliseconds of each task taken and of each verdict."""
    took: dict[str, list[float]] = {"take a task": [], "give a verdict": []}
    with ReviewQueue(PROJECT, reviewer="ria", settings=settings) as queue:
        queue.head(1)
        tasks = iter(queue)
        while len(took["give a verdict"]) < verdicts:
            started = time.perf_counter()
            task = next(tasks)
            if not queue.claim(task):
                raise LabelloopError(f"{task['item_id']} was not given to the only reviewer")
            taken = time.perf_counter()
            queue.verdict(task, "corrected", "wren")
            took["take a task"].append(1e3 * (taken - started))
            took["give a verdict"].append(1e3 * (time.perf_counter() - taken))
    return took


def report(
    tasks: int, records: int, opening: Mapping[str, Sequence[float]], took: Mapping[str, Sequence[float]]
) -> dict[str, object]:
    """Return medians and spread of the openings, and percentiles of a reviewer's steps."""
    return {
        "tasks": tasks,
        "records": records,
        "seconds": {
            name: {"median": median(all_), "lowest": min(all_), "highest": max(all_)} for name, all_ in opening.items()
        },
        "verdicts": len(took["give a verdict"]),
        "ms": {name: percentiles([*all_]) for name, all_ in took.items()},
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=20_000, help="open tasks")
    parser.add_argument("--rounds", type=int, default=3, help="openings of each kind")
    parser.add_argument("--verdicts", type=int, default=200, help="verdicts of the one reviewer")
    asked = parser.parse_args()
    console, records = Console(), 0
    opening: dict[str, list[float]] = {OPEN: [], PLAIN: []}
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        prepare_servers(settings)
        with workers(settings, worker_processes(1)) as running:
            running.wait_joined({"items": 1, "quality": 1, "sink": 1})
            fill(settings, asked.tasks)
            console.print(f"{asked.tasks:,} tasks are open")
            for _ in range(asked.rounds):
                opening[OPEN].append(opened(settings, asked.tasks))
                seconds, records = consumed(settings)
                opening[PLAIN].append(seconds)
            took = reviewed(settings, asked.verdicts)
            running.check()
    found = report(asked.tasks, records, opening, took)
    write(RESULT, found)
    table = Table("reads the queue", "seconds", "records a second")
    for name, all_ in opening.items():
        middle = median(all_)
        table.add_row(name, f"{middle:.2f} ({min(all_):.2f} to {max(all_):.2f})", f"{records / middle:,.0f}")
    console.print(f"{records:,} records of {asked.tasks:,} open tasks, median of {asked.rounds}")
    console.print(table)
    steps = Table("one reviewer, ms", *NAMES)
    for name, times in took.items():
        steps.add_row(name, *(f"{ms:.0f}" for ms in percentiles([*times]).values()))
    console.print(steps)
    tell(console, RESULT)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
