"""A log that is backed up and restored onto an empty stack is the same log, and all that is computed from it is too."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer as Raw
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from streams import codec
from streams.backup.folder import Folder
from streams.backup.holes import Mark
from streams.backup.manifest import KEPT, Part
from streams.backup.restore import check, restore
from streams.backup.take import take
from streams.backup.writer import Writer
from streams.catalogue import TOPICS
from streams.cli.snapshot import snapshot
from streams.clock import ManualClock
from streams.errors import LabelloopError
from streams.keys import item_key
from streams.producers.producer import Producer
from streams.query.lag import LagReader
from streams.query.log import reader, records
from streams.query.settle import settle
from streams.settings import Settings
from streams.sinks.tables import VOLATILE
from streams.transport import topics
from tests.crash.real import running
from tests.integration.sinking import FACTS, SUNK, prepare, publish_raw, query, sibling
from workers.facts import files_directory, load, positions
from workers.features import Files
from workers.training import Spec, train

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

CLOCK = ManualClock(1_790_000_000_000)


def log_of(settings: Settings) -> dict[tuple[str, int], list[tuple[Any, ...]]]:
    """Return offset, time, key, headers and value of every record, and the end, of each partition of a backup."""
    with LagReader(settings) as ends:
        stops = ends.settled_offsets(KEPT)
    found: dict[tuple[str, int], list[tuple[Any, ...]]] = {place: [(end,)] for place, end in stops.items()}
    with reader(settings) as consumer:
        for topic, message in records(consumer, settings, {place: range(end) for place, end in stops.items()}):
            told = (message.offset(), message.timestamp()[1], message.key(), message.headers(), message.value())
            found[topic, message.partition() or 0].append(told)
    return found


@contextmanager
def transactions(settings: Settings) -> Iterator[Raw]:
    producer = Raw(
        {
            "bootstrap.servers": settings.kafka,
            "transactional.id": settings.topic("test"),
            "partitioner": "murmur2_random",
        }
    )
    producer.init_transactions(30)
    yield producer


def leave_holes(settings: Settings) -> None:
    """Publish what gives the log holes of all sorts, and records that are none of ours."""
    with transactions(settings) as producer:
        for end, count in ((producer.abort_transaction, 3), (producer.commit_transaction, 5)):
            for _ in range(2):
                producer.begin_transaction()
                for n in range(count):
                    prediction = {**codec.decode(codec.encode("predictions", EXAMPLE))[1], "item_id": f"i{n}"}
                    value = codec.encode("predictions", prediction)
                    producer.produce(settings.topic("predictions"), value, item_key("p", f"i{n}"))
                end(30)
    publish_raw(settings, [(b"p/i1", b"no label"), (b"p/i1", b""), (b"p/i2", codec.encode("predictions", EXAMPLE))])
    odd = Raw({"bootstrap.servers": settings.kafka})
    odd.produce(settings.topic("labels"), None, None, 0, headers=[("a", b"\xff"), ("a", None)])
    assert odd.flush(30) == 0


EXAMPLE = json.loads((Path(__file__).parents[2] / "schemas/examples/predictions/full.json").read_text()) | {
    "project": "p",
    "model_version": "m",
}


def publish_first(settings: Settings) -> None:
    with Producer(settings) as producer:
        producer.project("p", by="lead", classes=["cat", "dog"], members={"lead": "lead", "rev": "reviewer"})
        producer.project("q", by="lead", classes=["cat"])
        producer.flush()
        for n in range(60):
            producer.item("p", f"i{n}", text=f"text {n} \N{SNOWMAN}", features=[n % 2 + n % 7 / 6, n % 5 / 5])
            for m, annotator in enumerate("abcd"):
                producer.label("p", f"i{n}", annotator, ("cat", "dog")[(n + (n * m % 11 == 1)) % 2])
        producer.label("p", "i1", "e", "cow")  # a dead letter
        producer.label("q", "i1", "a", "cat")
        for n in range(20):
            producer.correction("p", f"i{n}", "rev", "corrected", ("cat", "dog")[n % 2], reason="ears")
        producer.gold("p", "i30", "cat", by="lead", use="truth")
        producer.gold("p", "i32", "cat", by="lead", use="evaluation")
        producer.flag("p", "i40", "a", "unclear")
        producer.comment("p", "i41", "a", "t1", "which one?")
        producer.claim("p", "i42", "rev", "claim")
        producer.tick()


def publish_more(settings: Settings) -> None:
    with Producer(settings) as producer:
        for n in range(20, 30):
            producer.correction("p", f"i{n}", "rev", "confirmed", ("cat", "dog")[n % 2])


def test_the_log_comes_back_at_each_point_also_after_a_kill(settings: Settings, tmp_path: Path) -> None:
    topics.ensure(settings)
    folder = Folder(tmp_path / "backup")
    with Writer(settings) as writer:
        writer.write(Part("models", 0, 1, 1), Mark())  # a transaction that wrote nothing: a hole of one at the start
    leave_holes(settings)
    publish_first(settings)
    assert (made := take(settings, folder, CLOCK))
    assert made.point == 1
    logs = [log_of(settings)]
    assert take(settings, folder, CLOCK) is None
    publish_more(settings)
    leave_holes(settings)
    assert take(settings, folder, CLOCK)
    logs.append(log_of(settings))
    assert logs[0] != logs[1]

    for point, name in ((1, "one"), (2, "two")):
        empty, manifest = sibling(settings, name), folder.point(point)
        if point == 2:
            killed(empty, folder)
            with pytest.raises(LabelloopError, match="a restore broke off here"):
                topics.builds(empty)
            with pytest.raises(LabelloopError, match="a restore broke off here"):
                topics.ensure(empty)
        check(folder, manifest, empty.partitions)
        restore(nameless(empty), folder, manifest)
        assert log_of(empty) == logs[point - 1]
        assert topics.builds(empty) == dict.fromkeys(KEPT, 1)
        with pytest.raises(LabelloopError, match=r"the stack is not empty: .* topics claims, comments"):
            restore(nameless(empty), folder, manifest)

    topics.ensure(empty)
    assert declared(empty)
    assert given_up_to_now(empty, logs[1]) == given_up_to_now(settings, logs[1])

    publish_more(empty)  # a restored stack goes on with the backup, and a log that went another way does not
    assert (third := take(empty, folder, CLOCK))
    assert third.records == folder.point(2).records + 10
    publish_more(settings)
    with pytest.raises(LabelloopError, match=r"is the backup of another log \(corrections-\d has another record at"):
        take(settings, folder, CLOCK)


def given_up_to_now(settings: Settings, log: dict[tuple[str, int], list[tuple[Any, ...]]]) -> list[int]:
    """Return the offsets of the predictions that the log got up to the time of its newest."""
    newest = max(row[1] for (topic, _), rows in log.items() if topic == "predictions" for row in rows[1:])
    with LagReader(settings) as reader_:
        ends = reader_.settled_offsets(["predictions"], newest)
    return [row[0] for place, end in ends.items() for row in log[place][1:] if row[0] < end]


def nameless(settings: Settings) -> Settings:
    """Return a stack without ClickHouse, as it is before anybody made the tables."""
    return replace(settings, clickhouse=replace(settings.clickhouse, port=0))


def killed(settings: Settings, folder: Folder) -> None:
    """Run a restore that is killed after some partitions."""
    code = (
        "import os, signal, sys; from streams.backup.writer import Writer; from streams.cli import main\n"
        "finish = Writer.finish\n"
        "def finish_or_die(self, part):\n"
        "    finish(self, part)\n"
        "    if (part.topic, part.partition) == ('corrections', 1): os.kill(os.getpid(), signal.SIGKILL)\n"
        "Writer.finish = finish_or_die; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "restore", str(folder.path)],
        env={**os.environ, **settings.environment()},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def declared(settings: Settings) -> bool:
    """Return whether all topics have the configuration that the catalogue declares."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    asked = [ConfigResource(ResourceType.TOPIC, settings.topic(name)) for name in TOPICS]
    for resource, future in admin.describe_configs(asked).items():
        wanted = TOPICS[resource.name.removeprefix(f"{settings.prefix}.")].config()
        if {key: entry.value for key, entry in future.result(10).items() if key in wanted} != wanted:
            return False
    return True


@contextmanager
def workers(settings: Settings) -> Iterator[None]:
    with ExitStack() as stack:
        for name in (("items", "--slot", "0"), ("quality", "--slot", "0"), ("sink",)):
            stack.enter_context(running(settings, *name))
        yield


HISTORY = frozenset({"review_tasks", "queue_history_now", "estimates_judged", "p_wrong_reliability_now"})
"""Tables and views of what the processors said when: a rebuild tells that anew, at its own time and as it then gets the
facts (see `review_history`). All others tell the present state."""


def tables(settings: Settings, places: frozenset[str] = frozenset()) -> dict[str, list[tuple[Any, ...]]]:
    """Return the content of all tables and views of data.

    Of facts that is every column but the topic's name, which has the prefix, and `places`; of the rest, what does not
    depend on when and where the log got the records of the processors. Numbers that views compute are rounded to 9
    digits: the last ones depend on the order in which ClickHouse adds.
    """
    found = {}
    made = query(settings, "SELECT name, engine FROM system.tables WHERE database = currentDatabase()")
    for table, engine in made:
        if table in HISTORY or (engine != "View" and table not in SUNK):
            continue
        names = query(
            settings, f"SELECT name FROM system.columns WHERE table = '{table}' AND database = currentDatabase()"
        )
        hidden = {"_topic", *places} if table in FACTS else VOLATILE | {"refused_at"}
        columns = ", ".join(f"`{name}`" for (name,) in names if name not in hidden)
        final = "" if engine == "View" else "FINAL"
        rows = query(settings, f"SELECT {columns} FROM {table} {final}")
        rows = [tuple(_unprefixed(settings, value) for value in row) for row in rows]
        found[str(table)] = sorted((rounded(row) for row in rows) if engine == "View" else rows, key=repr)
    return found


def _unprefixed(settings: Settings, value: Any) -> Any:
    return value.removeprefix(f"{settings.prefix}.") if isinstance(value, str) else value


def rounded(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(rounded, value))
    return float(f"{value:.9g}") if isinstance(value, float) else value


def verified(settings: Settings, name: str) -> str:
    result = CliRunner().invoke(snapshot, ["verify", name, "--project", "p"], env=settings.environment())
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_all_that_is_computed_from_a_restored_log_is_the_same(settings: Settings, tmp_path: Path) -> None:
    first, second = prepare(settings), sibling(settings, "other")
    publish_first(first)
    leave_holes(first)
    folder = Folder(tmp_path / "backup")
    with workers(first):
        settle(first, "p", 200)
        settle(first, "q", 200)
        made = CliRunner().invoke(
            snapshot, ["create", "--project", "p", "--by", "lead"], env=first.environment(), catch_exceptions=False
        )
        name = made.output.partition(":")[0]
        settle(first, "p", 200)
        manifest = take(first, folder, CLOCK)
        assert manifest
        with pytest.raises(LabelloopError, match=r"workers of the stack run \(items, quality, sink\)"):
            restore(first, folder, manifest)
    restore(second, folder, manifest)
    prepare(second)
    with workers(second):
        settle(second, "p", 200)
        settle(second, "q", 200)

    one, other = tables(first), tables(second)
    assert one.keys() == other.keys()
    differing = {
        table: [pair for pair in zip_longest(rows, other[table]) if pair[0] != pair[1]][:2]
        for table, rows in one.items()
        if rows != other[table]
    }
    assert not differing, differing
    assert one["dead_letters"]
    assert one["review_state"]
    assert verified(second, name) == verified(first, name)
    sets = [load(at, "p", positions(at)) for at in (first, second)]
    assert sets[0].content_hash == sets[1].content_hash
    models = [
        train(name, one.rows, Spec(), Files(files_directory(at)))[0]
        for one, at in zip(sets, (first, second), strict=True)
    ]
    items = [*sets[0].items.values()]
    said = [[*model.predict(items, Files(files_directory(first)))] for model in models]
    assert said[0] == said[1]
    assert models[0].predictions_hash == models[1].predictions_hash
