"""Who waits sits out a broker that is started again, but not a refusal."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from streams.errors import Denied, LabelloopError
from streams.query import wait
from streams.settings import ClickHouseAddress, Settings

NOWHERE = ClickHouseAddress("nowhere", 1, "analyst", "")


class Reader:
    """A log without records, which first raises what it is given."""

    def __init__(self, *failures: LabelloopError) -> None:
        self._failures = [*failures]

    def end_offsets(self, topics: object) -> dict[tuple[str, int], int]:
        if self._failures:
            raise self._failures.pop(0)
        return {}

    def lag(self) -> list[Any]:
        return []


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    monkeypatch.setattr(wait, "_PAUSE_S", 0.0)

    def call(seconds: float, *failures: LabelloopError) -> None:
        reader = Reader(*failures)
        monkeypatch.setattr(wait, "LagReader", lambda _: nullcontext(reader))
        wait.wait(Settings(tmp_path, "nowhere:1", NOWHERE, NOWHERE), seconds)

    return call


def test_a_broker_that_is_away_is_waited_for(waited: Callable[..., None]) -> None:
    waited(30.0, LabelloopError("away"), LabelloopError("away"))
    with pytest.raises(LabelloopError, match="not settled after 0 s, away"):
        waited(0.0, LabelloopError("away"))


def test_who_may_not_ask_is_told_at_once(waited: Callable[..., None]) -> None:
    with pytest.raises(Denied, match="not yours"):
        waited(30.0, Denied("not yours"))
