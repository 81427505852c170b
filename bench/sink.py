"""The sink, from topic to committed table rows, beside clickhouse-driver inserting columns that are there already.

Run as `make bench-sink`; prints a table and writes `bench/results/sink.json`. Every round runs both, on a table of its
own: the machine's speed drifts, and the ratio within a round is what counts. The sink's time runs from its joining the
group to the commit behind the last label; it reads, checks and decodes each of them, and turns it into a row.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.items import servers, worker_took
from bench.runtimes.rounds import Took, ratio
from bench.workload import publish
from bench.written import tell, write
from streams import codec
from streams.errors import LabelloopError
from streams.keys import item_key
from streams.producers import facts
from streams.settings import Settings
from streams.sinks.migrate import migrate
from streams.sinks.writer import Writer
from streams.terminal import Console
from streams.transport.topics import ensure

RESULT = Path(__file__).parent / "results" / "sink.json"
SINK, PREPARED = "the sink", "prepared columns"
REQUIRED = 100_000
"""Labels a second of one sink process."""

_SINCE = 1_790_000_000_000
_LIMIT_S = 600.0


def labels(count: int) -> list[tuple[bytes, bytes]]:
    """Return key and value of distinct labels, as tools send them: with time and duration, three to an item."""
    made = []
    for n in range(count):
        item, who = f"item-{n // 3:07}", f"annotator-{n * 7919 % 5000}"
        fact = facts.label(
            "bench",
            item,
            who,
            ("cat", "dog", "bird", "none of these")[n * 31 % 4],
            source="bench",
            occurred_at=_SINCE + 250 * n,
            duration_ms=900 + n * 37 % 20_000,
        )
        made.append((item_key("bench", item), codec.encode("labels", fact.event)))
    return made


def one_round(settings: Settings, number: int, records: list[tuple[bytes, bytes]]) -> dict[str, Took]:
    """Return what the sink and the ceiling took.

    Raises:
        LabelloopError: one did not finish, or the table does not hold the labels.
    """
    took = dict[str, Took]()
    for name in (SINK, PREPARED) if number % 2 == 0 else (PREPARED, SINK):
        prefix = f"s{number}_{name.split()[0]}"
        database = replace(settings.clickhouse, database=prefix)
        here = replace(settings, prefix=prefix, clickhouse=database, analyst=database)
        migrate(here)
        if name == SINK:
            ensure(here)
            publish(here, records)
            took[name] = worker_took(here, "sink", len(records))
            writer = Writer(database)
            stored = int(writer.query("SELECT uniqExact(event_id) FROM labels")[0][0])
            writer.close()
            if stored != len(records):
                raise LabelloopError(f"of {len(records):,} labels {stored:,} are in the table")
        else:
            took[name] = _prepared(here, len(records))
    return took


def _prepared(settings: Settings, count: int) -> Took:
    command = [sys.executable, "-m", "bench.prepared", str(count)]
    done = subprocess.run(
        command, env=os.environ | settings.environment(), capture_output=True, text=True, timeout=_LIMIT_S
    )
    if told := re.search(r"took (\{.*\})", done.stdout):
        return Took(count, **json.loads(told[1]))
    raise LabelloopError(f"bench.prepared ended with {done.returncode}:\n{done.stdout[-500:]}{done.stderr[-1500:]}")


def report(rounds: list[Mapping[str, Took]]) -> dict[str, object]:
    """Return every round, medians and the ratio within a round."""
    middle, low, high = ratio(rounds, SINK, PREPARED)
    return {
        "rounds": [{name: asdict(took) for name, took in one.items()} for one in rounds],
        "rows_per_second": {name: round(median(one[name].rate for one in rounds)) for name in (SINK, PREPARED)},
        "required": REQUIRED,
        "sink_to_prepared": {"median": middle, "lowest": low, "highest": high},
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="labels of a run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each")
    asked = parser.parse_args()
    console, records = Console(), labels(asked.events)
    rounds: list[Mapping[str, Took]] = []
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        for number in range(asked.rounds):
            rounds.append(one_round(settings, number, records))
            told = ", ".join(f"{name} {took.rate:,.0f} rows a second" for name, took in rounds[-1].items())
            console.print(f"round {number + 1}: {told}")
    write(RESULT, report(rounds))
    table = Table("one process", "rows a second", "a row: CPU µs", "peak MB")
    for name in (SINK, PREPARED):
        mine = [one[name] for one in rounds]
        rates = sorted(took.rate for took in mine)
        table.add_row(
            name,
            f"{median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})",
            f"{median(1e6 * took.cpu_seconds / took.events for took in mine):.1f}",
            f"{median(took.peak_mb for took in mine):.0f}",
        )
    middle, low, high = ratio(rounds, SINK, PREPARED)
    rate = median(one[SINK].rate for one in rounds)
    console.print(f"{asked.events:,} labels, median of {asked.rounds} rounds")
    console.print(table)
    console.print(f"the sink has {middle:.2f} of the ceiling's rate ({low:.2f} to {high:.2f})")
    console.print(f"required: {REQUIRED:,} rows a second: {'reached' if rate >= REQUIRED else 'missed'}")
    tell(console, RESULT)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
