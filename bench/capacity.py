"""What labels and items take of disk, memory and CPU: the capacity model's constants, and the model beside what is.

Run as `make bench-capacity`. Runs of many items with few labels and of few items with many, each in two sizes, give the
constants by their differences (`--keep` writes them where `labelloop plan` reads them). Runs of three other sizes and
another overlap are then told beside what the model says of them. Every run publishes all of its facts, waits until
everything has settled, and looks at the broker's files, ClickHouse's parts and the processes. Compacted topics count by
their newest records, tables as they are once merged.
"""

import argparse
import os
import platform
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.table import Table
from scipy.optimize import nnls

from bench.items import servers
from bench.states import item_facts
from bench.usage import Usage, child_running, usage
from bench.workers import workers
from bench.workload import send
from bench.written import tell, write
from streams import codec
from streams.capacity.measured import LINES, Line, Measured
from streams.capacity.model import Need, plan
from streams.catalogue import TOPICS
from streams.clickhouse import connect
from streams.embedded.stack import prepare_servers, worker_processes
from streams.errors import LabelloopError
from streams.keys import item_key
from streams.query.lag import end_offsets
from streams.query.log import reader, records
from streams.query.wait import wait
from streams.settings import Settings
from streams.terminal import Console

RESULT = Path(__file__).parent / "results" / "capacity.json"

COMMAND = "python -m bench.capacity --keep"
FAR = 1_000_000_000
"""Labels that the model is asked about in the end."""

_SETTLE_S = 1800.0
_WARM_UP_ITEMS = 100
_SERVERS = {"kafka": "kafka.Kafka", "clickhouse": "streams.embedded.clickhouse_server"}


@dataclass(frozen=True, slots=True)
class Run:
    """What a run took.

    Args:
        labels: Labels that were published.
        items: Items they belong to.
        took: Each quantity of `LINES`.
        base_mb: Resident memory of each worker before the first label.
        peak_mb: Its largest one.
    """

    labels: int
    items: int
    took: dict[str, float]
    base_mb: dict[str, float]
    peak_mb: dict[str, float]


def run(settings: Settings, labels: int, overlap: int, prefix: str) -> Run:
    """Publish labels and measure what became of them.

    Args:
        settings: Where the servers are; their files lie in its folder.
        labels: Number of labels.
        overlap: Labels of an item.
        prefix: First part of the topics' names, and the database.
    """
    database = replace(settings.clickhouse, database=prefix)
    here = replace(settings, prefix=prefix, clickhouse=database, analyst=database)
    prepare_servers(here)
    with workers(here, worker_processes(1)) as running:
        running.wait_joined({"items": 1, "quality": 1, "sink": 1})
        _publish(here, range(_WARM_UP_ITEMS), overlap)  # what a first fit imports is no part of what grows
        wait(here, _SETTLE_S)
        before, already = _usage(running.usage()), _disk(here) | _tables(here)
        items = labels // overlap
        _publish(here, range(_WARM_UP_ITEMS, _WARM_UP_ITEMS + items), overlap)
        wait(here, _SETTLE_S)
        running.check()
        after = _usage(running.usage())
    took = {name: size - already[name] for name, size in (_disk(here) | _tables(here)).items()}
    took |= {f"{name}_cpu_us": 1e6 * (after[name].cpu_seconds - before[name].cpu_seconds) for name in after}
    took |= {f"{name}_memory_bytes": max(0.0, after[name].mb - before[name].mb) * 2**20 for name in after}
    return Run(
        items * overlap,
        items,
        {name: took[name] for name in LINES},
        {name: one.mb for name, one in before.items()},
        {name: one.peak_mb for name, one in after.items()},
    )


def _usage(of_workers: Mapping[str, Usage]) -> dict[str, Usage]:
    found = {name.removesuffix("-0"): one for name, one in of_workers.items() if name != "retrain"}
    return found | {name: usage(child_running(words)) for name, words in _SERVERS.items()}


def _publish(settings: Settings, items: range, overlap: int) -> None:
    random_, by_topic = random.Random(items.start), defaultdict[str, list[tuple[bytes, bytes]]](list)
    for number in items:
        for fact in item_facts(number, random_, overlap):
            key = item_key(fact.event["project"], fact.event["item_id"])
            by_topic[fact.topic].append((key, codec.encode(fact.topic, fact.event)))
    for topic, found in by_topic.items():
        send(settings.kafka, settings.topic(topic), found)


def _disk(settings: Settings) -> dict[str, float]:
    """Return the bytes of the broker's logs by kind; of a compacted topic those of its newest records."""
    names = ("kafka_facts_bytes", "kafka_settled_bytes", "kafka_queue_bytes", "items_state_bytes")
    found = dict.fromkeys(names, 0.0)
    for topic in TOPICS.values():
        folders = (settings.home / "kafka" / "log").glob(f"{settings.topic(topic.name)}-[0-9]*")
        size = sum(file.stat().st_size for folder in folders for file in folder.glob("*.log"))
        if topic.compact:
            newest, whole = _newest(settings, topic.name)
            found["kafka_settled_bytes"] += size * newest / whole if whole else 0.0
            if topic.name == "items-state-changelog":
                found["items_state_bytes"] += newest
        else:
            found["kafka_facts_bytes" if topic.kind == "fact" else "kafka_queue_bytes"] += size
    return found


def _newest(settings: Settings, topic: str) -> tuple[int, int]:
    """Return the bytes of a topic's newest records, not compressed, and those of all its records."""
    whole, newest = 0, dict[bytes, int]()
    ends = end_offsets(settings, [topic])
    with reader(settings) as consumer:
        for _, message in records(consumer, settings, {at: range(end) for at, end in ends.items()}):
            key, value = message.key(), message.value()
            assert isinstance(key, bytes)
            size = len(key) + len(value or b"")
            whole += size
            newest[key] = size
    return sum(newest.values()), whole


def _tables(settings: Settings) -> dict[str, float]:
    """Return rows and bytes of all tables, merged."""
    client = connect(settings.clickhouse)
    try:
        for (table,) in client.execute(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
        ):
            client.execute(f"OPTIMIZE TABLE `{table}` FINAL")
        ((rows, size),) = client.execute(
            "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase() AND active"
        )
    finally:
        client.disconnect()
    return {"clickhouse_rows": rows, "clickhouse_bytes": size}


def fitted(runs: Sequence[Run]) -> dict[str, Line]:
    """Return the line of each quantity that comes closest to the runs, in shares of what was measured, none below 0."""
    found = {}
    for name in LINES:
        took = [max(1.0, run.took[name]) for run in runs]
        shares = np.array([[run.labels / t, run.items / t, 1.0 / t] for run, t in zip(runs, took, strict=True)])
        found[name] = Line(*map(float, nnls(shares, np.ones(len(runs)))[0]))
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, nargs="+", default=[10_000, 30_000, 100_000], help="sizes of the check")
    parser.add_argument("--overlap", type=int, default=3, help="labels of an item in the check")
    parser.add_argument(
        "--calibrate", type=int, default=30_000, help="labels of the larger runs that give the constants"
    )
    parser.add_argument("--overlaps", type=int, nargs=2, default=[1, 10], help="labels of an item in those")
    parser.add_argument("--keep", action="store_true", help="write the constants where `labelloop plan` reads them")
    asked = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        calibration = [(labels, o) for labels in (asked.calibrate // 4, asked.calibrate) for o in asked.overlaps]
        pairs = calibration + [(labels, asked.overlap) for labels in asked.labels]
        run(settings, asked.calibrate // 4, asked.overlap, "warm")  # the servers compile what they need once
        runs = []
        for number, (labels, overlap) in enumerate(pairs):
            runs.append(run(settings, labels, overlap, f"c{number}"))
            console.print(f"{labels:,} labels, {overlap} an item: measured")
    giving, checked = runs[: len(calibration)], runs[len(calibration) :]
    known = Measured.load()
    lines = fitted(giving)
    singles = {
        **known.singles,
        **{
            f"{name}_base_mb": max(one.base_mb[name] for one in runs) + lines[f"{name}_memory_bytes"].fixed / 2**20
            for name in ("items", "quality")
        },
        "sink_mb": max(one.peak_mb["sink"] for one in runs),
    }
    commands = {**known.commands, **dict.fromkeys((*lines, "items_base_mb", "quality_base_mb", "sink_mb"), COMMAND)}
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    measured = Measured(lines, singles, commands, max(one.labels for one in runs), machine)
    if asked.keep:
        measured.save()
    write(RESULT, {"constants": asdict(measured), "runs": [asdict(one) for one in runs]})
    _tell(console, checked, lines)
    far = plan(Need(FAR / 730, asked.overlap, 730), measured)
    console.print(
        f"{FAR:,} labels in two years: {far.partitions} partitions, processes {far.processes}, "
        f"items' store {far.store}, Kafka {sum(far.kafka_bytes.values()) / 1e9:,.0f} GB, "
        f"ClickHouse {far.clickhouse_rows:,.0f} rows and "
        f"{far.clickhouse_bytes / 1e9:,.0f} GB; what that assumes: labelloop plan --labels-per-day {FAR // 730} "
        f"--overlap {asked.overlap} --retention 730d"
    )
    tell(console, RESULT)


def _tell(console: Console, runs: Sequence[Run], lines: Mapping[str, Line]) -> None:
    table = Table("quantity", "a label", "an item", *(f"{one.labels:,} labels: model / measured" for one in runs))
    for name, line in lines.items():
        cells = []
        for one in runs:
            said, took = line.fixed + line.growth(one.labels, one.items), one.took[name]
            cells.append(f"{said:,.0f} / {took:,.0f}" + (f" = {said / took:.2f}" if took else ""))
        table.add_row(name, f"{line.per_label:,.1f}", f"{line.per_item:,.1f}", *cells)
    console.print(table)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
