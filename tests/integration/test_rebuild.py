"""Whatever is derived is built from the log again: it equals the live one, and what was damaged is put right."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer as Raw

from streams import codec
from streams.cli.audit import audit
from streams.cli.rebuild import rebuild
from streams.errors import LabelloopError
from streams.keys import item_key, make_key, partition_of
from streams.producers.import_file import import_file
from streams.producers.producer import Producer
from streams.query.review import ReviewQueue
from streams.query.settle import settle
from streams.query.wait import wait
from streams.rebuild import topics as rebuilding
from streams.rebuild.compare import BUILT
from streams.settings import Settings
from streams.sinks.migrate import views
from tests.crash.cluster import ROOT, read, wait_until
from tests.crash.real import Process
from tests.integration.sinking import prepare, query
from tests.replay.test_regions_on_real_labels import raters

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

P = "p"


class Stack:
    """The workers of a test: the sink can be stopped alone."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sink = Process(settings, "sink")
        self.others = [Process(settings, name, "--slot", "0") for name in ("items", "quality")]


@pytest.fixture
def stack(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    prepare(settings)
    made = Stack(settings)
    with ExitStack() as ends:
        for process in (made.sink, *made.others):
            process.start()
            ends.callback(process.end)
        yield made


def told(*words: str, status: int = 0) -> dict[tuple[str, str], dict[str, Any]]:
    """Run the command and return what it tells of each target."""
    result = CliRunner().invoke(rebuild, [*words, "--json"])
    assert result.exit_code == status, (result.output, result.exception)
    return {(one["kind"], one["name"]): one for one in json.loads(result.stdout)} if status < 2 else {}


def differing(found: dict[tuple[str, str], dict[str, Any]]) -> dict[str, tuple[int, int, int]]:
    counts = {name: (one["differing"], one["missing"], one["extra"]) for (_, name), one in found.items()}
    return {name: count for name, count in counts.items() if any(count)}


def refused(*words: str) -> str:
    result = CliRunner().invoke(rebuild, [*words])
    assert result.exit_code == 2, (result.output, result.exception)
    return result.stderr


def killed(settings: Settings, step: str, *words: str) -> None:
    command = [sys.executable, "-m", "tests.integration.rebuild_app", step, *words]
    done = subprocess.run(command, env={**os.environ, **settings.environment()}, cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def publish(settings: Settings, folder: Path, most: int | None) -> None:
    """Publish a data set, and what people do beside labelling."""
    with Producer(settings) as producer:
        members = {"lea": "lead", "rita": "reviewer", "rob": "reviewer"}
        producer.project(P, "lea", members=members, policy={"ageing_per_day": 0.02})
        producer.flush()
        said: dict[str, Any] = {}
        left = most or sys.maxsize

        def send(fact: Any) -> None:
            nonlocal left
            if left:
                left -= 1
                said[fact.event["item_id"]] = fact.event["value"]
                producer.send(fact)

        if folder.name == "lvis_double200":
            for n, image in enumerate(raters(folder)):
                for rater, boxes in zip(("r1", "r2"), image, strict=True):
                    said[f"{n}"] = {"kind": "boxes", "boxes": boxes}
                    producer.label(P, f"{n}", rater, said[f"{n}"])
        else:
            import_file(folder / "labels.jsonl", "labels", P, send)
        producer.flush()
        known = sorted(said)
        for item in known[::7]:
            producer.claim(P, item, "rita")
            producer.correction(P, item, "rita", "confirmed", said[item], reason="looked twice")
        for item in known[1::9]:
            producer.flag(P, item, "anna", "unclear", severity=0.5)
            producer.comment(P, item, "anna", "t1", "which one is it?")
        for n, item in enumerate(known[2::5]):
            producer.prediction(P, item, "m-1", "1", probabilities={"1": 0.8, "0": 0.2}, out_of_sample=n % 2 == 0)
        producer.prediction(P, known[2], "m-2", "1", probabilities={"1": 0.8, "0": 0.2}, out_of_sample=False)
        producer.claim(P, known[3], "rob")
        producer.claim(P, known[3], "nobody")  # may not: a dead letter
        producer.flush()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["bluebird", "labelme", "zencrowd_us", "sentiment_polarity", "crowdtruth_mre", "lvis_double200"]
)
def test_all_that_is_built_again_of_a_data_set_equals_the_live_one(
    stack: Stack, name: str, data_dir: Callable[[str], Path]
) -> None:
    publish(stack.settings, data_dir(name), None)
    settle(stack.settings, P, 600)
    every_target_is_equal(stack.settings)


def every_target_is_equal(settings: Settings) -> None:
    found = told("all", "--dry-run")
    assert not differing(found)
    full = {at for at, one in found.items() if one["equal"]}
    assert full >= {("topic", name) for name in ("review.state", "disagreement", "judgements", "labels.corrected")}
    assert full >= {("topic", "agreement"), ("table", "review_tasks"), ("table", "dead_letters"), ("table", "claims")}
    there = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"
    assert {name for (name,) in query(settings, there)} == {*views()}
    assert {name for kind, name in full if kind == "view"} == {*views()}


def write(settings: Settings, topic: str, key: bytes, value: bytes | None, partition: int | None = None) -> None:
    """Put a record into a derived topic, as nobody but its processor may."""
    producer = Raw({"bootstrap.servers": settings.kafka})
    home = partition_of(key, settings.partitions) if partition is None else partition
    producer.produce(settings.topic(topic), value, key, home)
    assert producer.flush(30) == 0


def newest(settings: Settings, topic: str) -> dict[bytes, bytes]:
    return {one.key: one.value for one in read(settings.kafka, settings.topic(topic)) if one.value}


def test_what_was_damaged_is_found_and_put_right(
    stack: Stack, data_dir: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = stack.settings
    publish(settings, data_dir("bluebird"), 500)
    settle(settings, P, 120)
    every_target_is_equal(settings)
    topics_are_put_right_beside_the_workers(settings, monkeypatch)
    settle(settings, P, 120)
    tables_are_put_right_when_the_sink_is_stopped(stack)
    topics_are_put_right_between_two_settlements(settings)
    assert not differing(told("all", "--dry-run"))
    result = CliRunner().invoke(audit, ["--project", P, "--json"])
    assert {one["kind"] for one in json.loads(result.stdout)["findings"]} <= {"open_dead_letter"}


def topics_are_put_right_beside_the_workers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    right = newest(settings, "review.state")
    damaged, lost, *_ = sorted(right)
    ghost = item_key(P, "ghost")
    task = codec.decode(right[damaged])[1]
    write(settings, "review.state", damaged, codec.encode("review_task", task | {"priority": 99.0, "n_labels": 0}))
    write(settings, "review.state", ghost, codec.encode("review_task", task | {"item_id": "ghost"}))
    write(settings, "disagreement", lost, None)
    expected = {"review.state": (1, 0, 1), "disagreement": (0, 1, 0)}
    of_topics = ("review.p0", "review.state", "disagreement", "judgements", "skill_now", "annotators")
    there = told(*of_topics, "--dry-run", status=1)
    assert differing({at: one for at, one in there.items() if at[0] == "topic"}) == expected

    with monkeypatch.context() as patch:  # a worker tells of an item between the look and the write
        fold = rebuilding._expected

        def late(*args: Any) -> Any:
            found = fold(*args)
            write(settings, "review.state", damaged, right[damaged])
            return found

        patch.setattr(rebuilding, "_expected", late)
        assert "records came meanwhile" in refused("review.state")
    assert ghost in newest(settings, "review.state")
    write(settings, "review.state", damaged, codec.encode("review_task", task | {"priority": 99.0}))

    killed(settings, "commit", "review.state")
    assert newest(settings, "review.state")[damaged] != right[damaged]
    found = CliRunner().invoke(rebuild, ["review.state", "topic-that-is-none"])
    assert found.exit_code == 2
    found = CliRunner().invoke(rebuild, ["review.state"])
    assert found.exit_code == 0, found.output
    assert "topic review.state: " in found.output
    assert " equal, 1 differ, 1 should not be there: put right" in found.output
    assert newest(settings, "review.state") | {ghost: b""} == right | {ghost: b""}
    with ReviewQueue(P, settings=settings) as queue, pytest.raises(LabelloopError, match="no item 'ghost'"):
        queue.get("ghost")
    sinking = ("disagreement", "--dry-run")
    assert differing({at: one for at, one in told(*sinking, status=1).items() if at[0] == "topic"}) == {
        "disagreement": (0, 1, 0)
    }
    rebuilding.rebuild_topics(settings, ["disagreement"], write=True)
    assert newest(settings, "disagreement")[lost]


def topics_are_put_right_between_two_settlements(settings: Settings) -> None:
    """It does early what the next settlement does, and nothing that it would not do."""
    with Producer(settings) as producer:
        for n in range(20):
            producer.label(P, f"{n}", "late", "1")
        producer.flush()

    def is_done() -> bool:
        with suppress(LabelloopError):  # a worker was faster
            rebuilding.rebuild_topics(settings, BUILT, write=True)
            return True
        return False

    wait(settings, 120)
    wait_until(is_done, "no worker tells anything for a moment")
    settle(settings, P, 120)


def tables_are_put_right_when_the_sink_is_stopped(stack: Stack) -> None:
    settings = stack.settings
    assert differing(told("review_state", "--dry-run", status=1)) == {"review_state": (0, 0, 1)}, "the row of the ghost"
    count = "SELECT count(), countIf(label = 'unicorn') FROM labels FINAL"
    ((labels, _),) = query(settings, count)
    query(settings, "ALTER TABLE labels UPDATE label = 'unicorn' WHERE source_seq = 1 SETTINGS mutations_sync = 1")
    query(settings, "DELETE FROM labels WHERE source_seq IN (2, 3)")
    query(
        settings,
        "INSERT INTO labels (project, item_id, event_id, _topic, _partition, _offset, _version) "
        "SELECT 'p', 'ghost', 'no such event', 'labels', 0, 999999, 1",
    )
    query(settings, "CREATE OR REPLACE VIEW skill_now AS SELECT 1 AS one")
    query(settings, "DROP VIEW drift_alarms")
    damage = {"labels": (1, 2, 1), "review_state": (0, 0, 1), "skill_now": (1, 0, 0), "drift_alarms": (0, 1, 0)}
    assert differing(told("labels", "review_state", "skill_now", "drift_alarms", "--dry-run", status=1)) == damage

    assert "the sink runs" in refused("labels")
    assert query(settings, count) == [(labels - 1, 1)]
    assert stack.sink.stop() == 0
    killed(settings, "exchange", "labels")
    assert query(settings, count) == [(labels - 1, 1)]
    assert len(query(settings, "SHOW TABLES LIKE '%rebuild%'")) == 1

    assert differing(told("labels", "review_state", "skill_now", "drift_alarms")) == damage
    assert query(settings, count) == [(labels, 0)]
    assert query(settings, "SHOW TABLES LIKE '%rebuild%'") == []
    assert query(settings, "SELECT count() FROM review_state WHERE item_id = 'ghost'") == [(0,)]
    ((before,),) = query(settings, "SELECT count() FROM review_history FINAL")
    stack.sink.start()
    with Producer(settings) as producer:
        producer.label(P, "after", "anna", "1")
        producer.flush()
    wait_until(
        lambda: query(settings, "SELECT count() FROM review_history FINAL")[0][0] > before,
        "the feed of review_history follows the new table",
    )


def test_no_stack_and_no_workers_are_said_in_a_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert "labelloop up" in refused("all", "--dry-run")
    prepare(settings)
    assert not differing(told("all", "--dry-run")), "nothing came, so nothing differs"
    write(settings, "rescores", make_key(P), codec.encode("rescores", {"project": P, "refit": 0, "all": True}), 0)
    assert "items is 1 records behind in rescores-0" in refused("review.state")
