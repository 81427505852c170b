"""Who asked for a model waits for it, also through a broker that is started again."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from streams import codec
from streams.errors import Denied, LabelloopError
from streams.settings import ClickHouseAddress, Settings
from tests.unit.test_loop_history import PROJECT, whole_loop
from workers import ask
from workers.history import History

Read = Callable[[], History]
NOWHERE = ClickHouseAddress("nowhere", 1, "analyst", "")


class Reader:
    """Gives what is told of each read in turn, the last one again and again."""

    def __init__(self, reads: list[Read]) -> None:
        self._reads = reads

    def read(self) -> History:
        return (self._reads.pop(0) if len(self._reads) > 1 else self._reads[0])()


def failing(error: LabelloopError) -> Read:
    def read() -> History:
        raise error

    return read


def told() -> History:
    found = History()
    for n, (topic, event) in enumerate(whole_loop()):
        found.learn(codec.encode(topic, event), 1_000 * n)
    return found


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., object]:
    monkeypatch.setattr(ask, "_PAUSE_S", 0.0)
    monkeypatch.setattr(ask, "wait", lambda *_: None)
    settings = Settings(tmp_path, "nowhere:1", NOWHERE, NOWHERE)

    def call(seconds: float, *reads: Read) -> object:
        reader = Reader([*reads])
        monkeypatch.setattr(ask, "HistoryReader", lambda _: nullcontext(reader))
        return ask.outcome(settings, PROJECT, whole_loop()[0][1]["event_id"], seconds)[1]

    return call


def test_a_broker_that_is_away_for_a_while_is_waited_for(outcome: Callable[..., object]) -> None:
    away = failing(LabelloopError("Kafka does not tell offsets"))
    assert outcome(30.0, away, History, away, told) == outcome(30.0, told)


def test_one_that_stays_away_is_named_in_the_end(outcome: Callable[..., object]) -> None:
    with pytest.raises(LabelloopError, match=r"no model after 0.01 s \(Kafka does not tell offsets\): see whether"):
        outcome(0.01, failing(LabelloopError("Kafka does not tell offsets")))


def test_who_may_not_read_it_is_told_at_once(outcome: Callable[..., object]) -> None:
    with pytest.raises(Denied, match="not yours"):
        outcome(30.0, failing(Denied("not yours")), told)
