"""The pause between two fetches: it is kept, and a fetch that is cancelled in it ends as aiokafka expects."""

import asyncio
import time

import pytest

from streams.transport import fetcher


async def fetched(number: int) -> int:
    return number


def test_a_fetch_begins_no_sooner_than_the_pause_after_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "FETCH_PAUSE_S", 0.05)

    async def two() -> tuple[list[int], float]:
        paced, began = fetcher._paced(fetched), time.monotonic()
        return [await paced(1), await paced(2)], time.monotonic() - began

    answers, took = asyncio.run(two())
    assert answers == [1, 2]
    assert took >= 0.045


def test_a_fetch_that_is_cancelled_in_its_pause_brings_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "FETCH_PAUSE_S", 60.0)

    async def closed() -> object:
        paced = fetcher._paced(fetched)
        await paced(1)
        pausing = asyncio.ensure_future(paced(2))
        await asyncio.sleep(0)
        pausing.cancel()
        return await pausing  # what aiokafka's `close` does

    assert asyncio.run(closed()) is False
