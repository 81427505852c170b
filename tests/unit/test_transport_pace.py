"""How large batches become, and when none may begin before a commit."""

import asyncio
from typing import Any, cast

import pytest

from streams.transport import commit
from streams.transport.commit import Committer
from streams.transport.pace import BATCH_S, FIRST_RECORDS, Pace
from streams.transport.positions import Positions
from streams.transport.producer import Producer
from tests.unit.transport_fakes import TP, delivery, records


def after(*batches: tuple[int, float], most: int = 2000) -> int:
    """Return the size of batches after some of so many records that took so long."""
    found = Pace(most)
    for number, seconds in batches:
        found.learn(number, seconds)
    return found.records()


def test_batches_grow_while_they_are_full_and_quick() -> None:
    assert after() == FIRST_RECORDS
    assert after((FIRST_RECORDS, 0.01)) == 2 * FIRST_RECORDS
    assert after((3, 0.01)) == FIRST_RECORDS  # it says nothing of full ones
    assert after((FIRST_RECORDS, 0.6 * BATCH_S)) == FIRST_RECORDS
    assert after(*[(2000, 0.01)] * 9) == 2000
    assert after(*[(100, 0.01)] * 9, most=100) == 100


def test_slow_batches_shrink_to_what_can_be_done_in_time() -> None:
    assert after((FIRST_RECORDS, 10 * BATCH_S)) == FIRST_RECORDS // 10
    assert after((1, 10 * BATCH_S)) == 1
    assert after((1, 10 * BATCH_S), (1, 0.01)) == 2
    assert after((2000, 1.5 * BATCH_S)) == FIRST_RECORDS  # never larger by being slow


def test_each_batch_is_cut_as_its_turn_comes() -> None:
    positions, sizes = Positions(), iter((1, 4, 2, 9))
    positions.start(TP, 0, None)
    cuts = list(positions.cut(TP, records(range(10)), lambda: next(sizes)))
    assert cuts == [(0, 1, False), (1, 5, False), (5, 7, False), (7, 10, False)]


class Now:
    """A clock that is set, and a producer that takes everything."""

    def __init__(self) -> None:
        self.at = 100.0

    def monotonic(self) -> float:
        return self.at

    def commit(self, offsets: object, group: str, member: object) -> dict[tuple[str, int], int]:
        return {}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    found = Now()
    monkeypatch.setattr(commit, "time", found)
    return found


def finish(positions: Positions, committer: Committer, end: int, waiting: bool) -> None:
    """Handle a batch up to an offset, with another one waiting or none."""
    batch = delivery(end - 1, end)
    positions.deliver(batch)
    if waiting:
        positions.deliver(delivery(end, end + 1))
    committer.delivered()
    batch.done = True
    positions.finish(TP)
    committer.settled()


@pytest.mark.parametrize("waiting", [True, False])
def test_no_batch_begins_before_a_commit_that_is_overdue(now: Now, waiting: bool) -> None:
    async def play() -> None:
        positions = Positions()
        positions.start(TP, 0, None)
        committer = Committer("items", "items", positions, lambda: (1, "me"))
        producer = cast(Producer, now)
        await committer.commit(producer, [])
        finish(positions, committer, 1, waiting)
        assert committer.free.is_set()
        now.at += 2 * commit.COMMIT_INTERVAL_S
        committer.settled()
        assert not committer.free.is_set()
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        await asyncio.wait_for(committer.pause(now.at - 1, sleep), 1)  # it is not waited for any longer
        assert await committer.commit(producer, [])
        assert positions.committed(TP) == 1
        assert committer.free.is_set()

    asyncio.run(play())


def test_nothing_to_commit_lets_batches_begin_again(now: Now) -> None:
    async def play() -> None:
        committer = Committer("items", "items", Positions(), lambda: (1, "me"))
        committer.settled()
        assert not committer.free.is_set()
        assert not await committer.commit(cast(Any, now), [])
        assert committer.free.is_set()

    asyncio.run(play())
