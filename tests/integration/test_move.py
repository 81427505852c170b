"""The log at another partition count is the same log: its facts, what is computed of them, and what offsets mean."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer as Raw

from streams import codec
from streams.backup.manifest import KEPT
from streams.catalogue import ACTIONS, ITEM_FACTS, TOPICS
from streams.cli.audit import audit
from streams.cli.rebuild import rebuild
from streams.cli.replay import state
from streams.cli.snapshot import snapshot
from streams.clock import SystemClock
from streams.errors import LabelloopError
from streams.keys import item_key, partition_of
from streams.producers.producer import Producer
from streams.query.dlq import LETTERS, Desk, read_letters
from streams.query.lag import LagReader
from streams.query.letters import Filter
from streams.query.log import reader, records
from streams.query.running import running
from streams.query.settle import settle
from streams.settings import Settings
from streams.transport import topics
from tests.crash.cluster import ROOT
from tests.integration.move_app import STEPS
from tests.integration.sinking import prepare, query
from tests.integration.test_backup import declared, leave_holes, publish_first, publish_more, tables, workers
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

PLACES = frozenset({"_partition", "_offset", "_version"})

Facts = dict[tuple[str, bytes | None], list[tuple[int, bytes | None]]]


def facts(settings: Settings) -> Facts:
    """Return log time and value of the records of each key, in order; of ticks and of what has no key a set of them.

    Of a tick that is the time when the first partition got it. A key that lies in two partitions may be read in either
    order: there the log's time decides.
    """
    found: Facts = {}
    homes: dict[tuple[str, bytes | None], set[int | None]] = {}
    names = [name for name in KEPT if name not in ("snapshots", "models")]
    with LagReader(settings) as ends, reader(settings) as consumer:
        ranges = {place: range(end) for place, end in ends.settled_offsets(names).items()}
        for topic, message in records(consumer, settings, ranges):
            told = message.timestamp()[1], message.value()
            found.setdefault((topic, message.key()), []).append(told)
            homes.setdefault((topic, message.key()), set()).add(message.partition())
    ticks = found["ticks", None]
    found["ticks", None] = [(min(at for at, value in ticks if value == one), one) for one in {one for _, one in ticks}]
    for at, rows in found.items():
        if at[1] is None:
            rows.sort(key=repr)
        elif len(homes[at]) > 1:
            rows.sort(key=itemgetter(0))
    return found


def are_at_home(settings: Settings) -> bool:
    """Return whether every record but the misplaced one lies where its key belongs, and nobody else's partition."""
    wrong = list[tuple[str, int]]()
    with LagReader(settings) as ends, reader(settings) as consumer:
        ranges = {place: range(end) for place, end in ends.settled_offsets(ITEM_FACTS).items()}
        for topic, message in records(consumer, settings, ranges):
            key, partition = message.key(), message.partition() or 0
            if key is not None and partition_of(key, settings.partitions) != partition:
                wrong.append((topic, partition))
    return [topic for topic, _ in wrong] == ["labels"]


def misplace(settings: Settings) -> None:
    """Publish a label of i1, by somebody whose label it would change, to the partition of another key."""
    event = json.loads((ROOT / "schemas/examples/labels/full.json").read_text())
    event |= {"project": "p", "item_id": "i1", "event_id": "misplaced", "occurred_at": 1_700_000_000_000}
    key = item_key("p", "i1")
    producer = Raw({"bootstrap.servers": settings.kafka})
    wrong = (partition_of(key, settings.partitions) + 1) % settings.partitions
    producer.produce(settings.topic("labels"), codec.encode("labels", event), key, wrong)
    assert producer.flush(30) == 0


def give_back(settings: Settings) -> None:
    """Give "items" a label back that it has, as if a letter had told of a bug: it changes nothing."""
    with LagReader(settings) as ends, reader(settings) as consumer:
        ranges = {place: range(end) for place, end in ends.settled_offsets(["labels"]).items()}
        label = next(one for _, one in records(consumer, settings, ranges) if one.key() == item_key("p", "i2"))
    action = {
        **{"consumer": "items", "topic": label.topic(), "partition": label.partition(), "offset": label.offset()},
        **{"action": "redrive", "by": "ops", "text": None, "log_time": label.timestamp()[1], "attempt": 1},
        **{"reason": "bug", "key": label.key(), "value": label.value()},
    }
    producer = Raw({"bootstrap.servers": settings.kafka})
    value = codec.encode("dead_letter_actions", action)
    producer.produce(settings.topic(ACTIONS), value, label.key(), label.partition() or 0)
    assert producer.flush(30) == 0


def letters_name_their_records(settings: Settings) -> int:
    """Check that what speaks of facts names their places, to the owner of each; return how many there are."""
    names = (*ITEM_FACTS, LETTERS, ACTIONS)
    places: dict[tuple[str, int, int], tuple[bytes | None, bytes | None]] = {}
    with LagReader(settings) as ends, reader(settings) as consumer:
        ranges = {place: range(end) for place, end in ends.settled_offsets(names).items()}
        for topic, one in records(consumer, settings, ranges):
            places[topic, one.partition() or 0, one.offset() or 0] = one.key(), one.value()
    count = 0
    for (topic, partition, _), (key, value) in places.items():
        if topic in ITEM_FACTS:
            continue
        told = codec.decode_own(value)[1]
        its = places[told["topic"].removeprefix(f"{settings.prefix}."), told["partition"], told["offset"]]
        assert (key or b"") in (b"", its[0])
        assert told["value"] in (None, its[1] or b"")
        assert topic == LETTERS or partition == told["partition"]
        count += 1
    return count


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """Run workers, and end when none of them is left in its group: one that was killed stays for some seconds."""
    with workers(settings):
        yield
    eventually(lambda: not running(settings), "the killed workers are out of their groups")


def moved(settings: Settings, partitions: int) -> Result:
    return CliRunner().invoke(rebuild, ["--partitions", str(partitions)], env=settings.environment())


def refused(settings: Settings, partitions: int) -> str:
    result = moved(settings, partitions)
    assert result.exit_code == 2, (result.output, result.exception)
    return result.stderr


def killed(settings: Settings, step: str, partitions: int) -> None:
    command = [sys.executable, "-m", "tests.integration.move_app", step, str(partitions)]
    done = subprocess.run(command, env={**os.environ, **settings.environment()}, cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def ran(settings: Settings, command: Any, *words: str) -> str:
    result = CliRunner().invoke(command, [*words, "--project", "p"], env=settings.environment())
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def said(settings: Settings, file: Path) -> dict[str, Any]:
    """Return what the state was at the offsets in a file; the offsets as they are named."""
    return dict(json.loads(ran(settings, state, "--offsets", str(file), "--json")))


def letters(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Return consumer, topic, reason and state of each letter about a fact."""
    found = [
        (one.identity.consumer, one.identity.topic.removeprefix(f"{settings.prefix}."), one.reason, one.state)
        for one in read_letters(settings)
    ]
    return sorted(one for one in found if TOPICS[one[1]].kind == "fact")


def settled(settings: Settings) -> None:
    settle(settings, "p", 200)
    settle(settings, "q", 200)


def same_facts(one: Facts, other: Facts) -> None:
    differing = sorted((at for at in one.keys() | other.keys() if one.get(at) != other.get(at)), key=repr)
    assert not differing, [(at, one.get(at), other.get(at)) for at in differing[:3]]


def equal(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> None:
    assert one.keys() == other.keys()
    differing = {
        name: ([*_without(rows, other[name])][:3], [*_without(other[name], rows)][:3])
        for name, rows in one.items()
        if rows != other[name]
    }
    assert not differing, differing


def _without(rows: list[Any], other: list[Any]) -> list[Any]:
    known = {*map(repr, other)}
    return [row for row in rows if repr(row) not in known]


def filled(settings: Settings) -> Settings:
    """Return a stack of two partitions with some of everything."""
    two = prepare(replace(settings, partitions=2))
    publish_first(two)
    leave_holes(two)
    misplace(two)
    give_back(two)
    return two


def test_a_moved_log_is_the_same_log_and_gives_the_same_state(settings: Settings, tmp_path: Path) -> None:
    two, five = filled(settings), replace(settings, partitions=5)
    with working(two):
        settled(two)
        Desk(two, "ops", SystemClock()).drop([], Filter(reason="foreign_partitioner"), "sent again")
        name = ran(two, snapshot, "create", "--by", "lead").partition(":")[0]
        then = tmp_path / "then.json"
        then.write_text(ran(two, state, "--json"))
        publish_more(two)
        settled(two)
        findings = audited(two)
        assert "workers of the stack run (items, quality, sink" in refused(two, 5)
    before = facts(two), letters(two), tables(two, PLACES), said(two, then), ran(two, snapshot, "verify", name)
    exported(two, name, tmp_path / "before")
    told = letters_name_their_records(two)
    assert "the log has 2 partitions already" in refused(two, 2)
    assert "foreign partitioner" in refused(two, 1)
    assert topics.builds(two)["labels"] == 1
    assert declared(two)

    killed(two, "writing", 5)
    for stack in (two, five):
        with pytest.raises(LabelloopError, match=r"a move to 5 partitions broke off here.*rebuild --partitions 5"):
            topics.ensure(stack)
    assert "a move to 5 partitions broke off here" in refused(two, 3)
    done = moved(two, 5)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "Next: set LABELLOOP_PARTITIONS=5" in done.output
    assert "the log has 5 partitions already" in refused(two, 5)
    with pytest.raises(LabelloopError, match=r"has 5 partitions, not 2: set LABELLOOP_PARTITIONS=5"):
        topics.ensure(two)

    prepare(five)
    assert declared(five)
    assert {topics.builds(five)[topic] for topic in ITEM_FACTS} == {2}
    same_facts(before[0], facts(five))
    assert are_at_home(five)
    assert letters_name_their_records(five) == told
    with working(five):
        settled(five)
        assert letters(five) == before[1]
        equal(before[2], tables(five, PLACES))
        assert said(five, then) == before[3]
        for source in ("log", "clickhouse"):
            assert ran(five, snapshot, "verify", name, "--from", source) == before[4]
        exported(five, name, tmp_path / "after")
        assert contents(tmp_path / "before") == contents(tmp_path / "after")
        with Producer(five) as producer:
            producer.label("p", "later", "a", "cat")
            producer.correction("p", "i44", "rev", "corrected", "dog")
        settled(five)
        assert query(five, "SELECT count() FROM labels FINAL WHERE item_id = 'later'") == [(1,)]
        assert ran(five, snapshot, "verify", name) == before[4]
        assert audited(five) == findings


def audited(settings: Settings) -> list[tuple[str, int]]:
    """Return kind and number of what an audit finds."""
    found = json.loads(CliRunner().invoke(audit, ["--json"], env=settings.environment()).stdout)["findings"]
    return sorted((one["kind"], one["number"]) for one in found)


def exported(settings: Settings, name: str, folder: Path) -> None:
    ran(settings, snapshot, "export", name, "--out", str(folder))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.slow
def test_a_log_moves_twice_and_is_killed_at_every_step(settings: Settings, tmp_path: Path) -> None:
    two, five, three = filled(settings), replace(settings, partitions=5), replace(settings, partitions=3)
    with working(two):
        settled(two)
        first = ran(two, snapshot, "create", "--by", "lead").partition(":")[0]
        then = tmp_path / "then.json"
        then.write_text(ran(two, state, "--json"))
    before, verified, was, told = facts(two), ran(two, snapshot, "verify", first), said(two, then), letters(two)
    for step in STEPS:
        killed(two, step, 5)
        if step in ("noted", "frozen", "sealed"):
            same_facts(before, facts(two))
    assert topics.builds(two)["labels"] == 2, "it was whole when the last one died"
    assert "the log has 5 partitions already" in refused(two, 5)
    same_facts(before, facts(five))

    with working(prepare(five)):
        publish_more(five)
        with Producer(five) as producer:
            producer.correction("p", "i44", "rev", "corrected", "dog")
        settled(five)
        second = ran(five, snapshot, "create", "--by", "lead").partition(":")[0]
        settled(five)
    now, also, state_of = facts(five), ran(five, snapshot, "verify", second), tables(five, PLACES)
    done = moved(five, 3)
    assert done.exit_code == 0, (done.output, done.exception)
    same_facts(now, facts(three))
    assert are_at_home(three)
    with working(prepare(three)):
        settled(three)
        equal(state_of, tables(three, PLACES))
        assert letters(three) == told
        letters_name_their_records(three)
        assert ran(three, snapshot, "verify", first) == verified
        assert ran(three, snapshot, "verify", second) == also
        assert said(three, then) == was
        changed = [json.loads(line) for line in ran(three, snapshot, "diff", first, second, "--json").splitlines()]
        assert ("i44", "dog") in [(one["item_id"], one["after"]["choice"]) for one in changed]
