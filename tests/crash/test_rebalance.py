"""Partitions change hands while work goes on; the next owner finds the rows as the last one left them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import work
from tests.crash.cluster import Cluster, cluster

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.timeout(300)]


@pytest.fixture(params=["memory", pytest.param("rocksdb", marks=pytest.mark.slow)])
def case(request: pytest.FixtureRequest, kafka: str, tmp_path: Path) -> Iterator[Cluster]:
    with cluster(kafka, tmp_path, request.param) as made:
        yield made


def test_join_kill_restart_stop(case: Cluster) -> None:
    """A second worker joins, the first is killed and restarted, the second stops; events keep coming."""
    events = list(work.events(60_000))
    case.load(events[:20_000])
    first = case.worker(0, slow=0.2, batch=500)
    first.wait_for("first batch")
    case.wait_for_progress()
    second = case.worker(1, slow=0.2, batch=500)
    case.load(events[20_000:35_000])
    second.wait_for("first batch")
    case.wait_for_progress()
    first.kill()
    case.load(events[35_000:])
    second.wait_for("ready", times=2)
    case.wait_for_progress()
    first = case.worker(0, slow=0.2, batch=500)
    first.wait_for("first batch")
    assert second.terminate() == 0
    case.drain(first)
    assert first.terminate() == 0
    case.verify()


@pytest.mark.slow
def test_takeover_soon_after_the_first_recovery(case: Cluster) -> None:
    """A worker that has just recovered and is idle takes up what another one leaves, rows and backlog."""
    case.load(work.events(40_000))
    leaving = case.worker(0, slow=0.15)
    leaving.wait_for("first batch")
    staying = case.worker(1)
    staying.wait_for("ready")
    assert leaving.terminate() == 0
    case.drain(staying)
    assert staying.terminate() == 0
    case.verify()


@pytest.mark.slow
def test_there_and_back(case: Cluster) -> None:
    """Partitions come back to a worker after another one wrote their rows."""
    case.load(work.events(10_000))
    owner = case.worker(0)
    case.drain(owner)
    guest = case.worker(1)
    guest.wait_for("ready")
    case.load(work.events(10_000, seed=8))
    guest.wait_for("first batch")
    case.drain(owner, guest)
    assert guest.terminate() == 0
    case.load(work.events(10_000, seed=9))
    case.drain(owner)
    assert owner.terminate() == 0
    case.verify()


@pytest.mark.slow
def test_spare_worker(case: Cluster) -> None:
    """A worker beyond the number of partitions waits for its turn."""
    owners = [case.worker(slot) for slot in range(case.config.partitions)]
    for owner in owners:
        owner.wait_for("ready")
    spare = case.worker(len(owners))
    spare.wait_for("starts in slot")
    case.load(work.events(5000))
    case.drain(*owners, spare)
    for owner in owners:
        assert owner.terminate() == 0
    case.load(work.events(5000, seed=8))
    case.drain(spare)
    assert spare.terminate() == 0
    case.verify()
