"""A record that breaks each consumer in turn: neighbours go on, and after the mending it is as if nothing had been."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from confluent_kafka import Producer as Raw

from streams import codec
from streams.catalogue import ITEM_FACTS, TOPICS
from streams.cli.audit import audit
from streams.cli.dlq import dlq
from streams.clock import SystemClock
from streams.dead_letters import Original
from streams.embedded import child
from streams.errors import LabelloopError
from streams.keys import item_key, partition_of
from streams.processors.items import Items
from streams.producers import facts
from streams.producers.producer import Producer
from streams.projects import Projects, ProjectView
from streams.query.dlq import Desk
from streams.query.lag import lag
from streams.query.letters import Filter
from streams.query.settle import settle
from streams.replay.settled import settled
from streams.settings import Settings
from streams.transport.batch import Batch, MemoryRows
from streams.transport.guards import RESTART
from streams.transport.plain import Follower, Read
from tests.integration.sinking import prepare, query
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

WORKERS = ("items", "quality", "sink", "retrain")
LABELS = {("items", "labels"): 2, ("sink", "labels"): 4}
BUGS = {*LABELS, ("quality", "fits"), ("sink", "disagreement"), ("retrain", "labels.corrected")}
PROJECT = "birds"
_ROOT = Path(__file__).parents[2]


class Workers:
    """All workers.

    Args:
        settings: Where the servers are.
        module: Module that runs one, and its first arguments; the worker's name follows.
    """

    def __init__(self, settings: Settings, module: tuple[str, ...]) -> None:
        self._home, self._module = settings.home, module
        self._environment = {**os.environ, **settings.environment(), "OMP_NUM_THREADS": "1"}
        self.processes = {name: self._start(name) for name in WORKERS}

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        command = (sys.executable, "-m", *self._module, name)
        return child.spawn(command, self._home / f"{name}.log", self._environment, _ROOT)

    def revive(self) -> None:
        """Start again whoever asked for that."""
        for name, process in self.processes.items():
            if process.poll() == RESTART:
                self.processes[name] = self._start(name)


@contextmanager
def running(settings: Settings, *module: str) -> Iterator[Workers]:
    """Run all workers until the end of the block."""
    workers = Workers(settings, module)
    try:
        yield workers
    finally:
        for process in workers.processes.values():
            process.terminate()
        for process in workers.processes.values():
            process.wait(60)


def publish(settings: Settings) -> None:
    with Producer(settings) as producer:
        producer.project(PROJECT, "lea", classes=["wren", "robin"], members={"lea": "lead"})
        producer.flush()
        for n, item in enumerate(("i0", "i1", "break-sink", "break-retrain")):
            for annotator in ("a", "b", "c", "break-quality"):
                producer.label(PROJECT, item, annotator, ("wren", "robin")[n % 2])
        producer.label(PROJECT, "i0", "break-items", "robin")
        producer.label(PROJECT, "i1", "break-items", "wren")
        producer.correction(PROJECT, "break-retrain", "lea", "confirmed", "robin")
    raw = Raw({"bootstrap.servers": settings.kafka, "partitioner": "murmur2_random"})
    early = facts.label(PROJECT, "i0", "d", "penguin", occurred_at=1, source="test")
    raw.produce(settings.topic("labels"), codec.encode(*early), item_key(PROJECT, "i0"))
    raw.produce(settings.topic("flags"), b"no Avro", item_key(PROJECT, "i0"))
    assert raw.flush(30) == 0


class CutOff:
    """A producer that writes everything and is cut off before the end."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def commit_transaction(self, timeout: float) -> None:
        self._producer.flush(timeout)
        raise InterruptedError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(dlq, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def open_letters() -> dict[tuple[str, str, str], int]:
    told = [json.loads(line) for line in run("list", "--json").splitlines()]
    return {(one["consumer"], one["topic"].partition(".")[2], one["reason"]): one["open"] for one in told}


def records(settings: Settings, *topics: str) -> list[Read]:
    """Return all committed records of topics, by topic, partition and offset."""
    follower = Follower(settings, map(settings.topic, topics))
    ends = {
        (settings.topic(topic), n): follower.end(settings.topic(topic), n)
        for topic in topics
        for n in range(TOPICS[topic].partitions or settings.partitions)
    }
    follower.assign(ends)
    found: list[Read] = []
    while any(follower.position(*at) < end for at, end in ends.items()):
        found += follower.read(0.05)
    follower.close()
    return sorted(found, key=lambda one: (one.topic, one.partition, one.offset))


def folded(settings: Settings) -> tuple[dict[bytes, Any], ProjectView]:
    """Return what a mended program makes of the fact topics: state by item, and the project's settings."""
    projects, rows = Projects(), MemoryRows()
    for one in records(settings, "projects"):
        projects.learn(one.value, one.log_time)
    items = Items(settings.prefix, settings.partitions, projects)
    for one in records(settings, *ITEM_FACTS):
        coordinates = (one.topic, one.partition, one.offset, one.log_time)
        record = Original("items", *coordinates, one.key, one.value, 0)
        batch = Batch(one.topic, one.partition, [record], one.offset, one.offset + 1)
        rows |= items.handle(batch, rows).rows
    return dict(rows.items()), projects.latest(PROJECT)


def check_derived(settings: Settings, states: Mapping[bytes, Any], view: ProjectView) -> None:
    """Check that every derived topic has settled on what it would have settled on without any failure."""
    expected = settled(PROJECT, [state for _, state in sorted(states.items())], view).records
    assert {"review.state", "disagreement", "labels.corrected", "skill", "annotators", "agreement"} <= expected.keys()
    for topic, right in expected.items():
        newest = {one.key: decoded(one) for one in records(settings, topic)}
        wanted = {key: codec.decode(value)[1] for key, value in right.items()}
        for content in (*newest.values(), *wanted.values()):
            content.pop("refit", None)  # depends on how often it was fitted
        assert newest == wanted, topic


def passed(settings: Settings) -> bool:
    return not any(one.records for one in lag(settings))


def test_a_record_that_breaks_each_consumer_is_taken_after_the_mending_as_if_nothing_had_been(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(settings)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    publish(settings)
    with running(settings, "tests.integration.broken") as workers:

        def told_of_all() -> bool:
            workers.revive()
            return passed(settings) and not {(*one, "bug") for one in BUGS} - open_letters().keys()

        eventually(told_of_all, "every consumer tells of its record", seconds=180)
    first = open_letters()
    assert first.pop(("items", "labels", "unknown_class")) == 1
    assert {first.pop((consumer, "flags", "undecodable")) for consumer in ("items", "sink")} == {1}
    bugs = sum(first.values())
    assert first.keys() == {(*one, "bug") for one in BUGS}
    # of derived topics one for each fit, and for each batch in which the item changed
    assert {(one, topic): n for (one, topic, _), n in first.items() if topic == "labels"} == LABELS
    assert {one["item_id"] for one in map(decoded, records(settings, "review.state"))} == {
        *("i0", "i1", "break-sink", "break-retrain")
    }

    name = f"items:labels:{partition_of(item_key(PROJECT, 'i0'), settings.partitions)}:"
    bug = next(line for line in run("list", "--each", "--reason", "bug").splitlines() if line.startswith(name))
    shown = run("show", bug.split()[0], "--raw", str(settings.home / "raw"))
    assert "Traceback" in shown
    assert "Once what refused it is mended" in shown
    assert '"choice": "robin"' in shown
    assert codec.decode((settings.home / "raw").read_bytes())[1]["actor"]["id"] == "break-items"

    with Producer(settings) as producer:
        producer.project(PROJECT, "lea", classes=["wren", "robin", "penguin"])
    killed = Desk(settings, "ops", SystemClock())
    killed._producer = CutOff(killed._producer)  # type: ignore[assignment]
    with pytest.raises(InterruptedError):
        killed.redrive([], Filter(), None)
    other = Desk(settings, "ben", SystemClock())
    assert f"{bugs} given back, 0 published again, 0 left" in run("redrive", "--reason", "bug", "--by", "ops")
    with pytest.raises(LabelloopError, match="somebody else"):
        other.drop([], Filter(reason="undecodable"), "too late")
    assert "0 given back" in run("redrive", "--reason", "bug", "--by", "ben")
    assert "0 given back, 1 published again" in run("redrive", "--reason", "unknown_class", "--by", "ops")
    assert "0 given back, 0 published again, 2 left" in run("redrive", "--reason", "undecodable", "--by", "ops")
    assert "2 dropped" in run("drop", "--reason", "undecodable", "--by", "ops", "--text", "sent again")
    assert open_letters() == {}

    with running(settings, "streams.cli", "worker"):
        settle(settings, PROJECT, 180)
        eventually(lambda: passed(settings), "all is passed")
    assert open_letters() == {}
    state = {one.key: orjson.loads(one.value or b"") for one in records(settings, "items-state-changelog")}
    states, view = folded(settings)
    assert {key: row["facts"] for key, row in state.items()} == {key: row["facts"] for key, row in states.items()}
    check_derived(settings, states, view)
    assert stored(settings, "labels", "event_id") == told(settings, "labels", "event_id", first=True)
    assert stored(settings, "disagreement", "item_id") == told(settings, "disagreement", "item_id", first=False)
    assert query(settings, "SELECT state, count() FROM dead_letters_now GROUP BY state ORDER BY state") == [
        ("dropped", 2),
        ("redriven", bugs),
        ("republished", 1),
    ]
    check_audit(settings)


def check_audit(settings: Settings) -> None:
    """Check that the audit finds nothing, and then what is put wrong."""
    clean = CliRunner().invoke(audit, ["--max-lag", "0"])
    assert clean.exit_code == 0, clean.output
    assert "nothing found" in clean.output
    with Producer(settings) as producer:
        producer.label(PROJECT, "i0", "e", "wren", caused_by="nobody said this")
    query(
        settings,
        "ALTER TABLE labels DELETE WHERE item_id = 'break-sink' AND actor_id = 'a' SETTINGS mutations_sync = 1",
    )
    query(
        settings,
        "INSERT INTO disagreement SELECT * REPLACE ('elsewhere' AS item_id, 777 AS _offset) FROM disagreement LIMIT 1",
    )
    wrong = CliRunner().invoke(audit, ["--json", "--max-lag", "0"])
    found = json.loads(wrong.output)
    assert wrong.exit_code == 1
    assert {(one["kind"], one["number"]) for one in found["findings"]} == {
        *(("lost_row", 1), ("foreign_row", 1), ("dangling_cause", 1), ("behind", 1))
    }
    other = json.loads(CliRunner().invoke(audit, ["--json", "--project", "other"]).output)
    assert (other["findings"], {one["records"] for one in other["partitions"]}) == ([], {0})


def decoded(read: Read) -> dict[str, Any]:
    return codec.decode(read.value)[1]


def stored(settings: Settings, table: str, identity: str) -> dict[str, tuple[int, int, int]]:
    """Return partition, offset and log time of each row of a table."""
    columns = f"{identity}, _partition, _offset, toUnixTimestamp64Milli(logged_at)"
    return {name: (*at,) for name, *at in query(settings, f"SELECT {columns} FROM {table} FINAL")}


def told(settings: Settings, topic: str, identity: str, *, first: bool) -> dict[str, tuple[int, int, int]]:
    """Return the same of the first or last record of each identity in a topic."""
    found: dict[str, tuple[int, int, int]] = {}
    for one in records(settings, topic):
        name = decoded(one)[identity]
        if not first or name not in found:
            found[name] = one.partition, one.offset, one.log_time
    return found
