"""Runs each runtime on the same events, one after the other, and checks what it said."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from bench.environment import environment
from bench.runtimes import labelloop
from bench.runtimes.task import Task
from bench.workload import send
from streams.errors import LabelloopError
from streams.settings import Settings
from streams.transport import topics

LOCK = Path(__file__).with_name("peers.lock")
OUT = "disagreement"
"""Topic of the catalogue that the outputs go to."""

_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime with one store.

    Args:
        name: How people call it.
        module: Module of this package.
        store: What its task says of the store.
        is_here: Whether it runs in labelloop's own environment.
        share: Part of the events that it gets: the rate of a slow one does not depend on their number.
    """

    name: str
    module: str
    store: str = ""
    is_here: bool = True
    share: float = 1.0


RUNTIMES = (
    Runtime("labelloop, memory", "labelloop", "memory"),
    Runtime("labelloop, rocksdict", "labelloop", "rocksdb"),
    Runtime("plain loop", "plain"),
    Runtime("Quix Streams", "quix", is_here=False),
    Runtime("Bytewax, recovery on", "bytewax_flow", is_here=False),
    Runtime("stock Faust, memory", "stock_faust", "memory", share=0.2),
    Runtime("stock Faust, rocksdict", "stock_faust", "rocksdb", share=0.2),
)


@dataclass(frozen=True, slots=True)
class Took:
    """What one run took.

    Args:
        events: Number of events.
        seconds: From the first event until all was delivered and committed.
        cpu_seconds: Of the process, in that time.
        peak_mb: Largest resident memory of the process.
    """

    events: int
    seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def run(
    runtime: Runtime,
    settings: Settings,
    number: int,
    records: list[tuple[bytes, bytes]],
    expected: Mapping[bytes, bytes],
) -> Took:
    """Run a runtime on topics of its own.

    Args:
        runtime: The runtime.
        settings: Where the broker is.
        number: Number of the round.
        records: What is published before, all of it.
        expected: What must have been said last by key.

    Raises:
        LabelloopError: it ended with an error, or said something else.
    """
    prefix = f"r{number}-{re.sub('[^a-z]+', '-', runtime.name.lower())}"
    here = replace(settings, prefix=prefix)
    topics.ensure(here)
    send(settings.kafka, here.topic(labelloop.SOURCE), records)
    python = sys.executable if runtime.is_here else str(environment(LOCK))
    with tempfile.TemporaryDirectory() as home:
        task = Task(
            kafka=settings.kafka,
            source=here.topic(labelloop.SOURCE),
            out=here.topic(OUT),
            group=prefix,
            count=len(records),
            partitions=settings.partitions,
            home=home,
            store=runtime.store,
        )
        command = [python, "-W", "ignore", "-m", f"bench.runtimes.{runtime.module}", task.words()]
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": os.getcwd()}, capture_output=True, text=True, timeout=_LIMIT_S
        )
    told = re.search(r"took (\{.*\})", done.stdout)
    if told is None:
        raise LabelloopError(f"{runtime.name} ended with {done.returncode}:\n{done.stdout[-500:]}{done.stderr[-2000:]}")
    said = _newest(settings.kafka, task.out)
    if said != expected:
        wrong = sum(said.get(key) != expected.get(key) for key in {*said, *expected})
        raise LabelloopError(f"{runtime.name}: of {len(expected):,} items {wrong:,} are not what the events say")
    return Took(len(records), **json.loads(told[1]))


def _newest(kafka: str, topic: str) -> dict[bytes, bytes]:
    """Return the newest value of each key of a topic."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "bench", "enable.auto.commit": False})
    try:
        found = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        places = [TopicPartition(topic, n, OFFSET_BEGINNING) for n in found]
        ends = {n: consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1] for n in found}
        consumer.assign(places)
        newest = dict[bytes, bytes]()
        while any(max(0, place.offset) < ends[place.partition] for place in consumer.position(places)):
            for message in consumer.consume(5000, 0.2):
                key, value = message.key(), message.value()
                if message.error() is None and isinstance(key, bytes) and isinstance(value, bytes):
                    newest[key] = value
        return newest
    finally:
        consumer.close()


def ratio(rounds: list[Mapping[str, Took]], ours: str, other: str) -> tuple[float, float, float]:
    """Return how many times as fast one is as the other: median, lowest and highest of the rounds."""
    found = sorted(one[ours].rate / one[other].rate for one in rounds)
    return median(found), found[0], found[-1]
