"""Publishing labels: by the SDK, by `labelloop import`, and by a plain loop that sends prepared bytes, the ceiling.

Run as `make bench-publish`; prints a table and writes `bench/results/publish.json`. Each way has a process of its own
in every round. The SDK's time is that of its calls and of the delivery; the import's that of the whole command, from
its start to its end.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.items import servers
from bench.runtimes.rounds import Took, ratio
from bench.runtimes.task import Stopwatch
from bench.workload import labels, publish, rows
from bench.written import tell, write
from streams.errors import LabelloopError
from streams.producers.producer import Producer
from streams.query.lag import end_offsets
from streams.settings import Settings
from streams.terminal import Console
from streams.transport.topics import ensure

RESULT = Path(__file__).parent / "results" / "publish.json"
SDK, IMPORT, PLAIN = "the SDK", "labelloop import", "prepared bytes"
PROJECT = "published"


def by_sdk(file: Path) -> None:
    """Publish the labels of a file by the SDK, in this process, and tell what it took."""
    said = [json.loads(line) for line in file.read_text().splitlines()]
    watch = Stopwatch(len(said))
    watch.saw(len(said))
    with Producer(source="bench") as producer:
        for number, row in enumerate(said):
            producer.label(PROJECT, row["item_id"], row["annotator_id"], row["label"], source_seq=number)
    watch.end()


def by_plain(count: int) -> None:
    """Send so many labels, encoded before, in this process, and tell what it took."""
    settings, records = Settings.load(), labels(count)
    watch = Stopwatch(count)
    watch.saw(count)
    publish(settings, records)
    watch.end()


def one_way(settings: Settings, way: str, file: Path, count: int) -> Took:
    """Return what a way of publishing took.

    Raises:
        LabelloopError: it ended with an error, or the log has another number of labels.
    """
    ensure(settings)
    command = ["-m", "streams.cli", "import", "labels", str(file), "--project", PROJECT]
    if way != IMPORT:
        command = ["-m", "bench.publish", "--way", way, "--file", str(file), "--events", str(count)]
    environment, started = os.environ | settings.environment(), time.perf_counter()
    with subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    came = sum(end_offsets(settings, ["labels"]).values())
    if process.returncode or came != count:
        raise LabelloopError(f"{way} ended with {process.returncode}; of {count:,} labels {came:,} are in the log")
    if found := re.search(r"took (\{.*\})", told):
        return Took(count, **json.loads(found[1]))
    return Took(count, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def report(rounds: Sequence[Mapping[str, Took]]) -> dict[str, object]:
    """Return every round, the medians, and each way's ratio to the ceiling within a round."""
    return {
        "rounds": [{name: asdict(took) for name, took in one.items()} for one in rounds],
        "labels_per_second": {name: round(median(one[name].rate for one in rounds)) for name in (SDK, IMPORT, PLAIN)},
        "to_prepared": {
            name: dict(zip(("median", "lowest", "highest"), ratio([*rounds], name, PLAIN), strict=True))
            for name in (SDK, IMPORT)
        },
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="labels of a run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way")
    parser.add_argument("--way", choices=(SDK, PLAIN), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way == SDK:
        by_sdk(asked.file)
    elif asked.way == PLAIN:
        by_plain(asked.events)
    console, rounds = Console(), list[Mapping[str, Took]]()
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        file = Path(folder) / "labels.jsonl"
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows(asked.events)))
        for number in range(asked.rounds):
            ways = (SDK, IMPORT, PLAIN) if number % 2 == 0 else (PLAIN, IMPORT, SDK)
            rounds.append(
                {
                    way: one_way(replace(settings, prefix=f"p{number}{n}"), way, file, asked.events)
                    for n, way in enumerate(ways)
                }
            )
            told = ", ".join(f"{way} {took.rate:,.0f} a second" for way, took in rounds[-1].items())
            console.print(f"round {number + 1}: {told}")
    found = report(rounds)
    write(RESULT, found)
    table = Table("one process", "labels a second", "a label: CPU µs", "peak MB")
    for name in (SDK, IMPORT, PLAIN):
        mine = [one[name] for one in rounds]
        rates = sorted(took.rate for took in mine)
        table.add_row(
            name,
            f"{median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})",
            f"{median(1e6 * took.cpu_seconds / took.events for took in mine):.1f}",
            f"{median(took.peak_mb for took in mine):.0f}",
        )
    console.print(f"{asked.events:,} labels, median of {asked.rounds} rounds")
    console.print(table)
    tell(console, RESULT)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
