"""The same stateful work on labelloop and on other Python stream processors, in one run.

Run as `make bench-runtimes`; prints tables and writes `bench/results/runtimes.json`. Every round runs each runtime
once, on the same events, and checks what it said of every item. The machine's speed drifts: what counts are ratios
within a round, told as the median of the rounds with the lowest and the highest.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.items import servers
from bench.runtimes import work
from bench.runtimes.rounds import RUNTIMES, Took, ratio, run
from bench.written import tell, write
from streams.errors import LabelloopError
from streams.terminal import Console

RESULT = Path(__file__).parent.parent / "results" / "runtimes.json"

GOALS = (
    ("labelloop, memory", "stock Faust, memory", 12.0, 15.0),
    ("labelloop, memory", "Quix Streams", 2.0, 2.5),
    ("labelloop, memory", "Bytewax, recovery on", 2.0, 2.5),
    ("labelloop, memory", "plain loop", 0.55, 0.7),
    ("labelloop, rocksdict", "stock Faust, memory", 9.0, 9.0),
    ("labelloop, rocksdict", "Quix Streams", 1.6, 1.6),
    ("labelloop, rocksdict", "Bytewax, recovery on", 1.6, 1.6),
    ("labelloop, rocksdict", "plain loop", 0.45, 0.45),
)
"""Ours, the other, how many times as fast it must be, and how many it should."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="events of a run")
    parser.add_argument("--items", type=int, default=20_000, help="items that they are spread over")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each runtime")
    asked = parser.parse_args()
    console = Console()
    records = [*work.events(asked.events, asked.items)]
    shares = {runtime.share: records[: round(runtime.share * len(records))] for runtime in RUNTIMES}
    expected = {share: work.outcome(iter(part)) for share, part in shares.items()}
    rounds: list[Mapping[str, Took]] = []
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        for number in range(asked.rounds):
            took = dict[str, Took]()
            for runtime in RUNTIMES if number % 2 == 0 else reversed(RUNTIMES):
                took[runtime.name] = run(runtime, settings, number, shares[runtime.share], expected[runtime.share])
                console.print(f"round {number + 1}: {runtime.name} {took[runtime.name].rate:,.0f} events a second")
            rounds.append(took)
    write(RESULT, _report(rounds))
    _tell(console, rounds)
    tell(console, RESULT)


def _report(rounds: list[Mapping[str, Took]]) -> dict[str, object]:
    return {
        "rounds": [{name: asdict(took) for name, took in one.items()} for one in rounds],
        "events_per_second": {
            runtime.name: round(median(one[runtime.name].rate for one in rounds)) for runtime in RUNTIMES
        },
        "ratios": [
            {"ours": ours, "other": other, "required": required, "goal": goal}
            | dict(zip(("median", "lowest", "highest"), ratio(rounds, ours, other), strict=True))
            for ours, other, required, goal in GOALS
        ],
    }


def _tell(console: Console, rounds: list[Mapping[str, Took]]) -> None:
    table = Table("runtime, one process", "events a second", "an event: CPU µs", "peak MB")
    for runtime in RUNTIMES:
        mine = [one[runtime.name] for one in rounds]
        rates = sorted(took.rate for took in mine)
        table.add_row(
            runtime.name,
            f"{median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})",
            f"{median(1e6 * took.cpu_seconds / took.events for took in mine):.1f}",
            f"{median(took.peak_mb for took in mine):.0f}",
        )
    console.print(table)
    goals = Table("ours", "times as fast as", "median (lowest to highest)", "required", "goal")
    for ours, other, required, goal in GOALS:
        middle, low, high = ratio(rounds, ours, other)
        said = f"{required:g} {'reached' if middle >= required else 'missed'}"
        goals.add_row(
            ours, other, f"{middle:.2f} ({low:.2f} to {high:.2f})", said, f"{goal:g}" if goal > required else ""
        )
    console.print(goals)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
