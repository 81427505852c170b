"""How long a worker of "items" takes to have its state back from the changelog alone, and what that costs.

Run as `make bench-recovery`; prints a table and writes `bench/results/recovery.json`. The changelog holds the state of
so many items, a quarter of them twice (compaction is never quite done). One more label of an item lies in the log. The
clock runs from the start of the worker's process, without any state on its disk, until that label's outcome can be
read: it has to count on top of the labels that were read back. With two sizes their difference tells what an item
takes; `--keep` writes that where `labelloop plan` reads it.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition
from rich.table import Table

from bench.items import servers
from bench.states import LABELS_PER_ITEM, PROJECT, item_id, label, rows, templates
from bench.workers import workers
from bench.workload import send
from bench.written import tell, write
from streams import codec
from streams.capacity.measured import Measured
from streams.clients import reading
from streams.embedded.stack import worker_processes
from streams.errors import LabelloopError
from streams.keys import item_key
from streams.settings import Settings
from streams.terminal import Console
from streams.transport.topics import ensure

RESULT = Path(__file__).parent / "results" / "recovery.json"

SUPERSEDED = 4
"""One in so many items lies in the changelog twice."""

REQUIRED_S, REQUIRED_ITEMS = 60.0, 1_000_000
_LIMIT_S = 900.0


@dataclass(frozen=True, slots=True)
class Took:
    """What a recovery took.

    Args:
        code: Whose worker it was.
        store: Its store.
        items: Items whose state was read back.
        seconds: From the process's start until the first record's outcome could be read.
        cpu_seconds: Of the process in that time.
        peak_mb: Its largest resident memory.
    """

    code: str
    store: str
    items: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def fill(settings: Settings, items: int) -> float:
    """Write the changelog and return the mean length of a row in bytes.

    Raises:
        LabelloopError: not all of it is delivered.
    """
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka,
            "enable.idempotence": True,
            "linger.ms": 20,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
        }
    )
    topic, made = settings.topic("items-state-changelog"), templates()
    size = 0
    for key, row in _written(items, made):
        size += len(row)
        while True:
            try:
                producer.produce(topic, row, key)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(120):
        raise LabelloopError("the changelog was not delivered: look at the broker's log")
    return size / (items + items // SUPERSEDED)


def _written(items: int, made: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    yield from rows(items // SUPERSEDED, made)
    yield from rows(items, made)


def recover(settings: Settings, code: str, source: Path | None, store: str, items: int, probe: int) -> Took:
    """Run a worker until it has passed one label more.

    Args:
        settings: Where the servers are.
        code: Whose worker it is.
        source: Its checkout; None: this one.
        store: Its store.
        items: Items in the changelog.
        probe: Number of the run on this changelog, from 0: each gives another item its label.

    Raises:
        LabelloopError: the label did not count on top of those that were read back, or the worker ended.
    """
    here = replace(settings, store=store)
    shutil.rmtree(here.home / "state", ignore_errors=True)
    number = items - 1 - probe
    consumer = _at_end(here)
    fact = label(number, 101)
    send(here.kafka, here.topic("labels"), [(item_key(PROJECT, item_id(number)), codec.encode("labels", fact.event))])
    started = time.monotonic()
    with workers(here, worker_processes(1)[:1], source) as running:
        while (task := _task(consumer)) is None:
            running.check()
            if time.monotonic() - started > _LIMIT_S:
                raise LabelloopError(f"the first record's outcome did not come in {_LIMIT_S:.0f} s")
        took, used = time.monotonic() - started, running.usage()["items-0"]
    consumer.close()
    if (task["item_id"], task["n_labels"]) != (item_id(number), LABELS_PER_ITEM + 1):
        raise LabelloopError(f"{task['item_id']} is shown with {task['n_labels']} labels: its state was not read back")
    return Took(code, store, items, took, used.cpu_seconds, used.peak_mb)


def _at_end(settings: Settings) -> Consumer:
    consumer, topic = Consumer(reading(settings)), settings.topic("review.state")
    consumer.assign([TopicPartition(topic, n, OFFSET_END) for n in range(settings.partitions)])
    ends = 0
    while ends < settings.partitions:  # each says once that nothing more is there: from then on it reads
        message = consumer.poll(0.1)
        ends += message is not None and message.error() is not None
    return consumer


def _task(consumer: Consumer) -> dict[str, object] | None:
    message = consumer.poll(0.1)
    return codec.decode_own(message.value())[1] if message is not None and message.error() is None else None


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000], help="items in the changelog")
    parser.add_argument("--stores", nargs="+", default=["memory", "rocksdb"], help="memory, rocksdb")
    parser.add_argument("--rounds", type=int, default=3, help="recoveries of each")
    parser.add_argument("--against", type=Path, help="another checkout whose worker runs in turn with this one's")
    parser.add_argument("--keep", action="store_true", help="write the time of an item where `labelloop plan` reads it")
    asked = parser.parse_args()
    console, runs = Console(), list[Took]()
    codes = [("here", None), *([(str(asked.against), asked.against)] if asked.against else [])]
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        for items in asked.items:
            here = replace(settings, prefix=f"n{items}", home=settings.home / str(items))
            here.home.mkdir()
            ensure(here)
            console.print(f"{items:,} items, {fill(here, items):,.0f} bytes of state each")
            kinds = [(store, *code) for store in asked.stores for code in codes]
            probe = 0
            for number in range(asked.rounds):
                for store, code, source in kinds if number % 2 == 0 else reversed(kinds):
                    runs.append(recover(here, code, source, store, items, probe))
                    probe += 1
                    console.print(f"  {_told(runs[-1])}")
    write(RESULT, {"cores": os.cpu_count(), "runs": [asdict(run) for run in runs]})
    table = Table("code", "store", "items", "seconds (lowest to highest)", "CPU s", "peak MB")
    for kind in dict.fromkeys((run.code, run.store, run.items) for run in runs):
        mine = [run for run in runs if (run.code, run.store, run.items) == kind]
        seconds = sorted(run.seconds for run in mine)
        table.add_row(
            kind[0],
            kind[1],
            f"{kind[2]:,}",
            f"{median(seconds):.1f} ({seconds[0]:.1f} to {seconds[-1]:.1f})",
            f"{median(run.cpu_seconds for run in mine):.1f}",
            f"{median(run.peak_mb for run in mine):,.0f}",
        )
    console.print(table)
    for store in asked.stores:
        kind = ("here", store, REQUIRED_ITEMS)
        if asked_for := [run.seconds for run in runs if (run.code, run.store, run.items) == kind]:
            said = "reached" if median(asked_for) < REQUIRED_S else "missed"
            console.print(f"{REQUIRED_ITEMS:,} items in {REQUIRED_S:.0f} s, {store}: {said}")
    if (per_item := of_an_item(runs)) is not None:
        console.print(f"an item takes {per_item:.1f} us")
        if asked.keep:
            known = Measured.load()
            command = {"recovery_us": "python -m bench.recovery --keep"}
            replace(
                known, singles={**known.singles, "recovery_us": per_item}, commands={**known.commands, **command}
            ).save()
    tell(console, RESULT)


def of_an_item(runs: Sequence[Took]) -> float | None:
    """Return for how many us an item's state is read into memory by this code; None: there are no two sizes."""
    mine = [run for run in runs if (run.code, run.store) == ("here", "memory")]
    sizes = sorted({run.items for run in mine})
    if len(sizes) < 2:
        return None
    few, many = (median(run.seconds for run in mine if run.items == size) for size in (sizes[0], sizes[-1]))
    return 1e6 * max(0.0, many - few) / (sizes[-1] - sizes[0])


def _told(run: Took) -> str:
    return f"{run.code}, {run.store}: {run.seconds:.1f} s, CPU {run.cpu_seconds:.1f} s, {run.peak_mb:,.0f} MB at most"


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
