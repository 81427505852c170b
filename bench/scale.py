"""Two items workers beside one on the same labels, and how long nothing moves while a second one comes and goes.

Run as `make bench-scale`; prints a table and writes `bench/results/scale.json`. Workers wait for the labels, which are
published at once; the clock runs until all are committed. What counts is the number of labels for each CPU second of
the workers: how much faster two are by the clock depends on the cores that the broker and the publisher leave them, so
their CPU is told too. Then labels come at a steady rate to one worker, a second one joins and leaves again, and the
longest time from a label to `review.state` around each is told.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.items import servers
from bench.latency.watch import Watch
from bench.usage import child_running, usage
from bench.workers import workers
from bench.workload import labels, publish
from bench.written import tell, write
from streams.embedded.launch import Process
from streams.errors import LabelloopError
from streams.query.lag import lag
from streams.settings import Settings
from streams.terminal import Console
from streams.transport.topics import ensure

RESULT = Path(__file__).parent / "results" / "scale.json"

REQUIRED = 0.85
"""Labels for a CPU second of two workers, as a share of those of one."""

STEADY_PER_S, STEADY_S = 100, 40.0
JOIN_S, LEAVE_S, AROUND_S = 12.0, 26.0, 12.0
"""When the second worker starts and is stopped, and how long after each the labels count."""

_LIMIT_S = 900.0


@dataclass(frozen=True, slots=True)
class Took:
    """What one run took.

    Args:
        processes: Items workers.
        labels: Labels.
        seconds: From the first one that is published until all are committed.
        cpu_seconds: Of the workers.
        broker_seconds: CPU of the broker.
        publisher_seconds: CPU of this process, which publishes and asks whether all is done.
    """

    processes: int
    labels: int
    seconds: float
    cpu_seconds: float
    broker_seconds: float
    publisher_seconds: float

    @property
    def per_cpu_second(self) -> float:
        """Labels for each CPU second of the workers."""
        return self.labels / self.cpu_seconds


@dataclass(frozen=True, slots=True)
class Pause:
    """Longest time from a label to `review.state`, seconds: undisturbed, as a worker joins, as it leaves."""

    steady: float
    joining: float
    leaving: float


def items_worker(number: int) -> Process:
    """Return the process of an items worker."""
    return Process(f"items-{number}", (sys.executable, "-m", "streams.cli", "worker", "items", "--slot", str(number)))


def shared(settings: Settings, processes: int, records: list[tuple[bytes, bytes]]) -> Took:
    """Have labels folded by so many workers.

    Raises:
        LabelloopError: a worker ended, or they do not come to the end.
    """
    ensure(settings)
    broker = child_running("kafka.Kafka")
    with workers(settings, [items_worker(n) for n in range(processes)]) as running:
        running.wait_joined({"items": processes})
        before, broker_before, own = running.usage(), usage(broker).cpu_seconds, time.process_time()
        started = time.monotonic()
        publish(settings, records)
        while next(one.records for one in lag(settings) if (one.group, one.topic) == ("items", "labels")):
            running.check()
            if time.monotonic() - started > _LIMIT_S:
                raise LabelloopError(f"{processes} workers did not come to the end in {_LIMIT_S:.0f} s")
            time.sleep(0.1)
        took = time.monotonic() - started
        spent = sum(one.cpu_seconds - before[name].cpu_seconds for name, one in running.usage().items())
        return Took(
            processes,
            len(records),
            took,
            spent,
            usage(broker).cpu_seconds - broker_before,
            time.process_time() - own,
        )


def pause(settings: Settings) -> Pause:
    """Return how long labels wait while a second worker joins and leaves.

    Raises:
        LabelloopError: a worker ended, or not all labels came through.
    """
    ensure(settings)
    count = round(STEADY_PER_S * STEADY_S)
    with workers(settings, [items_worker(0)]) as first:
        first.wait_joined({"items": 1})
        watch, start = Watch(settings, "steady", count, tables=False), time.monotonic() + 3.0
        publisher = subprocess.Popen(
            [sys.executable, "-m", "bench.latency.publisher", "steady", str(STEADY_PER_S), str(count), repr(start)],
            env=os.environ | settings.environment(),
            stdout=subprocess.DEVNULL,
        )
        try:
            time.sleep(start + JOIN_S - time.monotonic())
            with workers(settings, [items_worker(1)]) as second:
                second.wait_joined({"items": 2})
                time.sleep(max(0.0, start + LEAVE_S - time.monotonic()))
                left = time.monotonic() - start
            seen = watch.wait(start + STEADY_S + 120.0).state.at
        finally:
            publisher.wait()
    waited = [(at or 0.0) - start - number / STEADY_PER_S for number, at in enumerate(seen)]

    def longest(since: float, until: float) -> float:
        return max(waited[round(since * STEADY_PER_S) : round(until * STEADY_PER_S)])

    return Pause(
        longest(JOIN_S / 2, JOIN_S - 1.0), longest(JOIN_S - 1.0, JOIN_S + AROUND_S), longest(left - 1.0, STEADY_S)
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=200_000, help="labels of a run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each number of workers")
    asked = parser.parse_args()
    console, records = Console(), labels(asked.labels)
    rounds, pauses = list[dict[int, Took]](), list[Pause]()
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        for number in range(asked.rounds):
            took = {
                n: shared(replace(settings, prefix=f"r{number}-{n}"), n, records)
                for n in ((1, 2) if number % 2 == 0 else (2, 1))
            }
            rounds.append(took)
            pauses.append(pause(replace(settings, prefix=f"r{number}-pause")))
            console.print(
                f"round {number + 1}: "
                + ", ".join(
                    f"{n}: {took[n].per_cpu_second:,.0f} labels a CPU s, {took[n].seconds:.1f} s" for n in (1, 2)
                )
            )
    found = {"cores": os.cpu_count(), "rounds": [[asdict(one) for one in took.values()] for took in rounds]}
    write(RESULT, found | {"pauses": [asdict(one) for one in pauses]})
    _tell(console, rounds, pauses)
    tell(console, RESULT)


def _tell(console: Console, rounds: Sequence[dict[int, Took]], pauses: Sequence[Pause]) -> None:
    table = Table("items workers", "labels a CPU second", "seconds", "CPU s: workers", "broker", "publisher")
    for n in (1, 2):
        mine = [took[n] for took in rounds]
        parts = (
            [one.seconds for one in mine],
            [one.cpu_seconds for one in mine],
            [one.broker_seconds for one in mine],
            [one.publisher_seconds for one in mine],
        )
        rates = f"{median(one.per_cpu_second for one in mine):,.0f}"
        table.add_row(str(n), rates, *(f"{median(part):.1f}" for part in parts))
    console.print(table)
    each = sorted(took[2].per_cpu_second / took[1].per_cpu_second for took in rounds)
    clock = sorted(took[1].seconds / took[2].seconds for took in rounds)
    said = "reached" if median(each) >= REQUIRED else "missed"
    console.print(
        f"labels a CPU second, two to one: {median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f}), required {REQUIRED}: "
        f"{said}"
    )
    console.print(
        f"by the clock two are {median(clock):.2f} times as fast ({clock[0]:.2f} to {clock[-1]:.2f}); broker and "
        f"publisher share the {os.cpu_count()} cores"
    )
    for words, name in (("undisturbed", "steady"), ("as a worker joins", "joining"), ("as it leaves", "leaving")):
        longest = sorted(getattr(one, name) for one in pauses)
        console.print(
            f"longest wait of a label {words}: {median(longest):.2f} s ({longest[0]:.2f} to {longest[-1]:.2f})"
        )


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
