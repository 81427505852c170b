"""Latency from the call that publishes a label to `review.state` and to a row in ClickHouse, all on this machine.

Run as `make bench-latency`; prints tables and writes `bench/results/latency.json`. Servers and workers of the
benchmark's own run: items, quality, sink, retraining (which has nothing to train). Labels are published through the SDK
at a steady rate: the clock of each starts when it is due, also where the publisher is held up. `review.state` is read
by a read_committed consumer; tables are asked every 100 ms, so that a row may be seen so much later than it appeared.
The machine's speed drifts: every round runs each rate once, and the median of the rounds is told with the lowest and
the highest.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.items import apart, servers
from bench.latency.figures import NAMES, of_rounds, percentiles
from bench.latency.watch import Seen, Watch
from bench.workers import Workers, workers
from bench.written import tell, write
from streams.embedded.stack import prepare_servers, worker_processes
from streams.errors import LabelloopError
from streams.settings import Settings
from streams.terminal import Console

RESULT = Path(__file__).parent.parent / "results" / "latency.json"

REQUIRED_MS, GOAL_MS, AT_RATE = 250.0, 100.0, 1000
"""99th percentile from publishing to `review.state` at so many events a second."""

WARM_UP_S = 5.0
"""What is published before is not counted: the first labels of a project are fitted again and again."""

START_S = 3.0
"""How long the publisher gets to connect."""

_REST_S = 60.0

WAYS = {
    "review.state": "to review.state",
    "fact row": "to a row in labels",
    "state row": "to a row in review_state",
    "to the log": "publish to log",
    "handled": "log to the worker's record",
    "committed": "record to its reader",
}
"""What is measured: three ways, and the three parts of the first one (of its clock in whole ms)."""

Figures = dict[str, dict[str, float]]
"""Percentiles in ms, by way."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run told.

    Args:
        code: Whose workers ran.
        rate: Events a second.
        latency_ms: Percentiles by way.
        late_ms: How late the publisher's calls were, 99th percentile.
        cpu_us: CPU microseconds of an event by worker.
    """

    code: str
    rate: int
    latency_ms: Figures
    late_ms: float
    cpu_us: dict[str, float]


def one_run(settings: Settings, running: Workers, code: str, rate: int, seconds: float, project: str) -> Run:
    """Publish at a rate and see what becomes of it.

    Raises:
        LabelloopError: something was not seen in the end, or a process ended.
    """
    skipped = round(rate * WARM_UP_S)
    count = skipped + round(rate * seconds)
    watch = Watch(settings, project, count)
    start = time.monotonic() + START_S
    before = running.usage()
    wall = 1e3 * (time.time() - time.monotonic())  # noqa: TID251 - the log's clock beside the one that is measured by
    command = [sys.executable, "-m", "bench.latency.publisher", project, str(rate), str(count), repr(start)]
    publisher = subprocess.run(command, env=os.environ | settings.environment(), capture_output=True, text=True)
    running.check()
    told = re.search(r"late_ms ([0-9.]+)", publisher.stdout)
    if told is None:
        raise LabelloopError(f"the publisher failed:\n{publisher.stderr[-1500:]}")
    seen = watch.wait(time.monotonic() + _REST_S)
    due = [start + number / rate for number in range(count)]
    cpu = {name: 1e6 * (now.cpu_seconds - before[name].cpu_seconds) / count for name, now in running.usage().items()}
    return Run(code, rate, figures(seen, due, wall, skipped), float(told[1]), cpu)


def figures(seen: Seen, due: Sequence[float], wall: float, skipped: int) -> Figures:
    """Return percentiles in ms.

    Args:
        seen: When each event was seen.
        due: When each was due, monotonic seconds.
        wall: What to add to a monotonic time in ms to have the log's.
        skipped: Events at the beginning that do not count.
    """
    counted = range(skipped, len(due))

    def since_due(times: Sequence[float | None]) -> list[float]:
        return [1e3 * ((times[n] or 0.0) - due[n]) for n in counted]

    logged, produced = seen.logged, seen.produced
    ways = {
        "review.state": since_due(seen.state.at),
        "fact row": since_due(seen.fact_row.at),
        "state row": since_due(seen.state_row.at),
        "to the log": [logged[n] - 1e3 * due[n] - wall for n in counted],
        "handled": [float(produced[n] - logged[n]) for n in counted],
        "committed": [1e3 * (seen.state.at[n] or 0.0) + wall - produced[n] for n in counted],
    }
    return {name: percentiles(values) for name, values in ways.items()}


def report(runs: Sequence[Run]) -> list[dict[str, object]]:
    """Return median, lowest and highest of the rounds, for each code and rate in the order of the runs."""
    found: list[dict[str, object]] = []
    for code, rate in dict.fromkeys((run.code, run.rate) for run in runs):
        mine = [run for run in runs if (run.code, run.rate) == (code, rate)]
        found.append(
            {
                "code": code,
                "events_per_second": rate,
                "rounds": len(mine),
                "latency_ms": {way: of_rounds([run.latency_ms[way] for run in mine]) for way in WAYS},
                "publisher_late_p99_ms": max(run.late_ms for run in mine),
                "cpu_us_per_event": of_rounds([run.cpu_us for run in mine]),
            }
        )
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 1000, 5000], help="events a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each run counts")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each rate")
    parser.add_argument("--against", type=Path, help="another checkout whose workers run in turn with this one's")
    asked = parser.parse_args()
    console = Console()
    codes = [("here", None), *([(str(asked.against), asked.against)] if asked.against else [])]
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        for number in range(asked.rounds):
            for code, source in codes if number % 2 == 0 else reversed(codes):
                # apart: what was there before would be fitted and scored again meanwhile
                here = apart(settings, f"r{number}{codes.index((code, source))}")
                prepare_servers(here)
                with ExitStack() as stack:
                    running = stack.enter_context(workers(here, worker_processes(1), source))
                    running.wait_joined({"items": 1, "quality": 1, "sink": 1})
                    for rate in asked.rates:
                        runs.append(one_run(here, running, code, rate, asked.seconds, f"at-{rate}"))
                        told = runs[-1].latency_ms["review.state"]
                        console.print(
                            f"round {number + 1}, {code}: {rate:,}/s, to review.state "
                            + ", ".join(f"{name} {told[name]:.0f} ms" for name in NAMES)
                        )
    write(RESULT, report(runs))
    for code, rate in dict.fromkeys((run.code, run.rate) for run in runs):
        _tell(console, [run for run in runs if (run.code, run.rate) == (code, rate)])
    tell(console, RESULT)


def _tell(console: Console, runs: Sequence[Run]) -> None:
    """Print the runs of one code at one rate."""
    rate = runs[0].rate
    table = Table(f"{rate:,} events a second, ms", *NAMES)
    for way, words in WAYS.items():
        told = of_rounds([run.latency_ms[way] for run in runs])
        table.add_row(
            words, *(f"{t['median']:.0f} ({t['lowest']:.0f} to {t['highest']:.0f})" for t in map(told.get, NAMES) if t)
        )
    cpu = of_rounds([run.cpu_us for run in runs])
    console.print(f"code: {runs[0].code}, {len(runs)} rounds")
    console.print(table)
    console.print("CPU us an event: " + ", ".join(f"{name} {told['median']:.0f}" for name, told in cpu.items()))
    console.print(f"the publisher's calls were late by {max(run.late_ms for run in runs):.1f} ms (p99)")
    if rate == AT_RATE:
        found = median(run.latency_ms["review.state"]["p99"] for run in runs)
        said, aim = ("reached" if found < limit else "missed" for limit in (REQUIRED_MS, GOAL_MS))
        console.print(f"p99 to review.state below {REQUIRED_MS:.0f} ms: {said}; goal of {GOAL_MS:.0f} ms: {aim}")


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
