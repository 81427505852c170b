"""Nothing is lost and nothing is visible twice, however a worker ends."""

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.transport.positions import SUSPECTS
from tests.crash import work
from tests.crash.cluster import Cluster, cluster

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.timeout(300)]


@pytest.fixture(params=["memory", pytest.param("rocksdb", marks=pytest.mark.slow)])
def case(request: pytest.FixtureRequest, kafka: str, tmp_path: Path) -> Iterator[Cluster]:
    """Topics of one test, for either store."""
    with cluster(kafka, tmp_path, request.param) as made:
        yield made


def test_kill_in_mid_run(case: Cluster) -> None:
    """Kill -9 twice while batches are handled; the source ends with control records."""
    case.load(work.events(20_000), transaction=4000)
    for _ in range(2):
        worker = case.worker(slow=0.03, batch=500)
        worker.wait_for("first batch")
        case.wait_for_progress()
        worker.kill()
    worker = case.worker()
    case.drain(worker)
    assert worker.terminate() == 0
    case.verify()


def test_stop_in_mid_run(case: Cluster) -> None:
    """SIGTERM ends a busy worker with 0, and what it did is exactly what it committed."""
    case.load(work.events(20_000))
    worker = case.worker(slow=0.1, batch=500)
    worker.wait_for("first batch")
    case.wait_for_progress()
    assert worker.terminate() == 0
    committed = case.offsets().committed
    assert case.offsets().lag > 0
    passed = [
        work.Event(name, record.key, record.value)
        for name in work.SOURCES
        for record in case.read(name)
        if record.offset < max(0, committed[case.topic(name), record.partition])
    ]
    case.verify(passed)
    worker = case.worker()
    case.drain(worker)
    assert worker.terminate() == 0
    case.verify()


def test_zombie(case: Cluster) -> None:
    """A worker frozen for longer than its session, amid a transaction, can write nothing when it wakes."""
    case.load(work.events(20_000))
    frozen = case.worker(0, slow=0.1, batch=500, careless=True)
    frozen.wait_for("first batch")
    case.wait_for_progress()
    frozen.freeze()
    successor = case.worker(1)
    case.drain(successor)
    before = case.visible()
    frozen.thaw()
    assert frozen.wait() == 70
    after = case.visible()
    for topic, isolation in before:
        if isolation == "read_committed":
            assert after[topic, isolation] == before[topic, isolation]
    assert successor.terminate() == 0
    case.verify()


def test_transaction_decided_late(case: Cluster) -> None:
    """A dead worker's transaction is decided only when its successor has begun: the successor must wait for it.

    Played from outside: a producer of the test holds outputs, rows and positions of some events open.
    """
    case.load(work.events(10_000))
    first = case.worker()
    case.drain(first)
    assert first.terminate() == 0
    case.load(work.events(10_000, seed=8))
    with case.dead_worker(events=500) as decide:
        successor = case.worker(1)
        successor.wait_for("not stable")
        assert "ready" not in successor.log()
        decide()
        case.drain(successor)
    assert successor.terminate() == 0
    case.verify()


def test_bug(case: Cluster) -> None:
    """The record at which the handler fails becomes a dead letter; its neighbours are handled."""
    events = list(work.events(3000))
    for number, value in ((1500, work.BUG), (1502, work.BUG), (1700, work.POISON), (1800, work.HUGE)):
        events[number] = events[number]._replace(value=value)
    case.load(events)
    worker = case.worker()
    assert worker.wait() == 70
    assert any('"suspect"' in metadata for metadata in case.offsets().metadata.values())
    worker = case.worker_until_drained()
    assert worker.terminate() == 0
    case.verify()
    letters = case.dead_letters()
    assert sorted((letter["reason"], letter["value"]) for letter in letters) == [
        ("bug", work.BUG),
        ("bug", work.BUG),
        ("bug", work.HUGE),
        ("invalid", work.POISON),
    ]
    traces = [letter["detail"] for letter in letters if letter["value"] == work.BUG]
    assert all("ValueError: the handler has a bug" in trace for trace in traces)
    case.load(work.events(16 * SUSPECTS, seed=8))  # two topics of four partitions: each gets twice as many
    assert case.worker_until_drained().terminate() == 0
    case.verify()
    assert not any(case.offsets().metadata.values())


def test_bugs_that_come_one_by_one(case: Cluster) -> None:
    """They end one process; the next one bears a few, and then stops for good as if they had come together."""
    bug = next(work.events(1))._replace(value=work.BUG)
    statuses = list[int]()
    while 78 not in statuses:
        worker = case.worker()
        while worker.process.poll() is None:
            assert len(case.dead_letters()) <= 10
            if case.offsets().lag == 0:
                case.load([bug])
            time.sleep(0.05)
        statuses.append(worker.wait())
    assert statuses == [70, 78]


@pytest.mark.slow
def test_too_many_bugs(case: Cluster) -> None:
    """A handler that fails at everything stops for good instead of turning the topic into dead letters."""
    events = [event._replace(value=work.BUG) for event in work.events(200)]
    case.load(events)
    statuses = [case.worker().wait()]
    while statuses[-1] == 70:
        assert len(statuses) <= len(work.SOURCES) * case.config.partitions  # each partition's first batch once at most
        statuses.append(case.worker().wait())
    assert statuses[-1] == 78
    assert len(case.dead_letters()) <= 10 * len(work.SOURCES)
    assert case.offsets().lag > 150


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "status", "text"),
    [
        ({"away": True}, 70, "a server is away"),
        ({"refuse": True}, 78, "do something about it"),
        ({"hang": 60.0}, 70, "a handler does not end"),
    ],
    ids=["away", "refuse", "hang"],
)
def test_handler_cannot_go_on(case: Cluster, how: dict[str, Any], status: int, text: str) -> None:
    """Nothing of what the handler had is visible, and the next worker does it all."""
    case.load(work.events(1000))
    worker = case.worker(**how)
    assert worker.wait() == status
    assert text in worker.log()
    assert case.offsets().lag == 1000
    worker = case.worker()
    case.drain(worker)
    assert worker.terminate() == 0
    case.verify()


@pytest.mark.slow
def test_undeliverable(case: Cluster) -> None:
    """The output topic refuses what is sent: the worker ends, and nothing was committed or is visible."""
    case.recreate(work.OUTPUT, **{"max.message.bytes": "150"})
    case.load(work.events(4000))
    assert case.worker().wait() == 70
    assert max(case.offsets().committed.values()) < 0
    visible = case.visible()
    assert visible[work.OUTPUT, "read_committed"] == visible[work.CHANGELOG, "read_committed"] == 0


@pytest.mark.slow
def test_idle_zombie(case: Cluster) -> None:
    """A worker frozen between two transactions joins again when it wakes, and writes nothing stale."""
    case.load(work.events(5000))
    frozen = case.worker(0, careless=True)
    case.drain(frozen)
    frozen.freeze()
    case.load(work.events(5000, seed=8))
    successor = case.worker(1)
    case.drain(successor)
    frozen.thaw()
    case.load(work.events(5000, seed=9))
    case.drain()
    assert successor.terminate() == 0
    case.load(work.events(5000, seed=10))
    case.drain() if frozen.process.poll() is None else case.worker_until_drained()
    case.verify()


@pytest.mark.slow
def test_end_in_commit(case: Cluster) -> None:
    """The process ends some ms after the transaction's end was asked for; the slots take turns."""
    case.load(work.events(30_000), transaction=5000)
    rng = random.Random(1)
    for number in range(10):
        die = (rng.randrange(2, 5), rng.choice([0, 1, 2, 3, 4, 6, 8, 10, 15, 30]))
        assert case.worker(number % 2, batch=300, slow=0.03, commit=0.1, die=die).wait() == 71
    worker = case.worker(0)
    worker.wait_for("ready")  # there may be nothing left to drain
    case.drain(worker)
    assert worker.terminate() == 0
    case.verify()


@pytest.mark.slow
def test_trailing_control_records(case: Cluster) -> None:
    """A changelog that ends with aborted records and markers is restored to its end; with and without local data."""
    case.load(work.events(15_000), transaction=4000)
    worker = case.worker()
    case.drain(worker)
    assert worker.terminate() == 0
    case.abort_in_changelog()
    for seed, keep in ((8, True), (9, False), (10, True)):
        if not keep:
            shutil.rmtree(case.home / "state")
        case.load(work.events(2000, seed=seed), transaction=700)
        worker = case.worker()
        case.drain(worker)
        assert worker.terminate() == 0
        case.verify()


@pytest.mark.slow
def test_changelog_made_anew(case: Cluster) -> None:
    """Rows that came from another changelog stop the worker; with no rows left at all it says what is missing."""
    case.load(work.events(2000))
    worker = case.worker()
    case.drain(worker)
    assert worker.terminate() == 0
    case.recreate(work.CHANGELOG)
    worker = case.worker()
    if case.config.store == "rocksdb":
        assert worker.wait() == 78
        assert "the topic is another one" in worker.log()
    else:
        worker.wait_for("the changelog has no rows of that partition")
        assert worker.terminate() == 0
