"""Followers notice that their client lost its way."""

from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from streams.errors import NotNow
from streams.settings import NOWHERE, ClickHouseAddress, Settings
from streams.transport import plain

_NOBODY = ClickHouseAddress.parse(NOWHERE)
_SETTINGS = Settings(Path("/nowhere"), "nowhere:9092", _NOBODY, _NOBODY)


class _End:
    """What the client tells at the end of a partition."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def error(self) -> KafkaError:
        return KafkaError(KafkaError._PARTITION_EOF)

    def topic(self) -> str:
        return "judgements"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset


class _Client:
    """Reads up to an offset and no further, whatever the broker has."""

    def __init__(self, reads: int, end: int) -> None:
        self.reads, self.end = reads, end

    def assign(self, _: object) -> None:
        """Take any partition."""

    def consume(self, _: int, timeout: float) -> list[_End]:
        found, self.reads = ([_End(self.reads)] if self.reads >= 0 else []), -1
        return found

    def get_watermark_offsets(self, _: object, timeout: float) -> tuple[int, int]:
        return 0, self.end


def _follower(monkeypatch: pytest.MonkeyPatch, client: _Client) -> plain.Follower:
    monkeypatch.setattr(plain, "Consumer", lambda *_, **__: client)
    monkeypatch.setattr(plain, "_STALL_S", 0.0)
    follower = plain.Follower(_SETTINGS, ["judgements"])
    follower.assign([("judgements", 0)])
    return follower


def test_a_partition_that_stands_still_short_of_its_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = _follower(monkeypatch, _Client(reads=5, end=7))
    assert [*follower.read(0)] == []
    assert follower.position("judgements", 0) == 5
    assert [*follower.read(0)] == []  # seen at 5 for the first time
    with pytest.raises(NotNow, match="judgements-0 stands still at offset 5"):
        [*follower.read(0)]


def test_one_that_never_began_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = _follower(monkeypatch, _Client(reads=-1, end=7))
    assert [*follower.read(0)] == []
    with pytest.raises(NotNow, match="stands still at offset 0"):
        [*follower.read(0)]


def test_a_quiet_partition_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = _follower(monkeypatch, _Client(reads=7, end=7))
    for _ in range(4):
        assert [*follower.read(0)] == []


def test_what_came_just_before_the_look_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client(reads=7, end=7)
    follower = _follower(monkeypatch, client)
    for _ in range(3):
        assert [*follower.read(0)] == []
    client.end = client.reads = 9
    for _ in range(3):
        assert [*follower.read(0)] == []  # at 7 in two looks, but short of the end only in the second
    assert follower.position("judgements", 0) == 9
