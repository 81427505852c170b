"""What the chaos runs change in the product has an effect: a fault of which nothing is seen would prove nothing."""

import struct
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import confluent_kafka
import pytest

from streams import codec
from streams.clock import SystemClock
from streams.keys import make_key
from streams.processors.fits import Skills
from streams.processors.items import Items
from streams.producers import facts
from streams.producers.wire import key_of
from streams.projects import Projects
from streams.settings import ClickHouseAddress, Settings
from streams.sinks import writer
from streams.sinks.writer import Writer
from streams.transport import commit, consumer
from streams.transport.batch import Batch, MemoryRows
from streams.transport.commit import Committer
from streams.transport.consumer import Consumer
from streams.transport.positions import Positions
from streams.transport.producer import Producer
from tests.chaos import mutants
from tests.chaos.evidence import Record
from tests.chaos.faults import MUTANTS, Mutant
from tests.chaos.mutants import MUTATIONS, telling
from tests.chaos.process import INSERT_LIMIT_S, hurry_inserts, move_clock
from tests.unit.transport_fakes import TP

P, T0 = "crowd", 1_700_000_000_000
ADDRESS = ClickHouseAddress("h", 9000, "u", "p")

Mutate = Callable[[Mutant], None]


@pytest.fixture
def mutate(monkeypatch: pytest.MonkeyPatch) -> Mutate:
    """Return what puts a mutant into the product, for the time of one test."""
    return lambda mutant: MUTATIONS[mutant].apply(monkeypatch.setattr)


def test_there_is_a_mutation_of_each_name() -> None:
    assert {*MUTATIONS} == {*MUTANTS}


@pytest.mark.parametrize(
    ("mutant", "broken", "told"),
    [
        ("token", ["tables", "tables", "queue"], {"tables": 2}),
        ("token", ["processes", "queue"], {}),
        ("token", ["processes", "passed", "tables"], {}),  # what is not at rest lacks rows
        ("fence", ["processes", "passed", "queue"], {"queue": 1}),
    ],
)
def test_only_what_tells_of_a_mutant_is_its_find(mutant: Mutant, broken: list[str], told: dict[str, int]) -> None:
    assert telling(mutant, broken) == told


def test_what_is_not_there_is_not_replaced() -> None:
    with pytest.raises(AttributeError):
        mutants.replace(SimpleNamespace(), "renamed", 1)


# Transactions


class FakeBroker:
    """Makes librdkafka's producers that write down what they are asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[Any] = []
        monkeypatch.setattr(confluent_kafka, "Producer", self._make)
        monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def _make(self, config: dict[str, Any], logger: Any = None) -> Any:
        calls: list[tuple[Any, ...]] = []

        def noting(name: str) -> Callable[..., None]:
            return lambda *arguments: calls.append((name, *arguments))

        names = ("init_transactions", "begin_transaction", "send_offsets_to_transaction", "commit_transaction")
        made = SimpleNamespace(config=config, calls=calls, **{name: noting(name) for name in names})
        self.made.append(made)
        return made

    def committed(self) -> Any:
        """Return what the producer of a worker did for a commit."""
        producer: Any = Producer.__new__(Producer)
        settings = Settings(Path(), "broker:1", ADDRESS, ADDRESS)
        conf = SimpleNamespace(broker_client_id="client")
        producer.app = SimpleNamespace(surroundings=settings, transactional_id="slot", conf=conf)
        producer._acked = {}
        producer._rd = producer._connect()
        producer.commit({TP: (5, "")}, "group", (3, "member"))
        return producer._rd


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    return FakeBroker(monkeypatch)


def called(producer: Any) -> list[str]:
    return [name for name, *_ in producer.calls]


def test_offsets_are_committed_apart_by_the_mutant(broker: FakeBroker, mutate: Mutate) -> None:
    assert called(broker.committed()) == ["send_offsets_to_transaction", "commit_transaction", "begin_transaction"]
    mutate("offsets")
    assert called(broker.committed()) == ["commit_transaction", "begin_transaction"]
    assert called(broker.made[-1]) == [
        *("init_transactions", "begin_transaction", "send_offsets_to_transaction", "commit_transaction")
    ]


def generation_and_limits(producer: Any) -> tuple[int, int, float, float]:
    """Return the generation a commit was sent under, and the limits of the transaction and of both calls."""
    sent, committed = producer.calls[:2]
    (generation,) = struct.unpack_from("<i", sent[2], len(b"CGMDv2:"))
    return generation, producer.config["transaction.timeout.ms"], round(sent[3]), round(committed[1])


def test_a_worker_without_its_partitions_may_commit_by_the_mutant(broker: FakeBroker, mutate: Mutate) -> None:
    assert generation_and_limits(broker.committed()) == (3, 10_000, 9, 9)
    mutate("fence")
    assert generation_and_limits(broker.committed()) == (-1, 120_000, 120, 120)


def left(why: str, *_: Any) -> None:
    raise SystemExit(why)


def test_a_worker_that_was_frozen_goes_on_by_the_mutant(monkeypatch: pytest.MonkeyPatch, mutate: Mutate) -> None:
    monkeypatch.setattr(commit, "leave", left)
    monkeypatch.setattr(consumer, "leave", left)
    committer = Committer("items", "group", Positions(), lambda: (3, "member"))
    worker: Any = Consumer.__new__(Consumer)
    worker._thread = SimpleNamespace(alive=time.monotonic() - 20)
    worker.app = SimpleNamespace(conf=SimpleNamespace(broker_session_timeout=10.0))
    committer.handler_begins()
    frozen = time.monotonic() + 20
    monkeypatch.setattr(time, "monotonic", lambda: frozen)
    for look in (committer.check_handler, worker.check_alive):
        with pytest.raises(SystemExit):
            look()
    mutate("fence")
    committer.check_handler()
    worker.check_alive()
    for reader, name in ((Committer.commit, "COMMIT_LIMIT_S"), (Committer._check_stalled, "STALL_LIMIT_S")):
        assert name in reader.__code__.co_names, "it is replaced where it is read"
    assert "check_alive" in Consumer.begin.__code__.co_names


# Inserts


def connecting(monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], list[str]]:
    """Return lists that get the time limits of connections to ClickHouse and the tokens of inserts."""
    limits, tokens = list[float](), list[str]()

    def execute(statement: str, columns: Any, columnar: bool, settings: dict[str, Any]) -> None:
        tokens.append(settings["insert_deduplication_token"])

    def connect(address: ClickHouseAddress, *, timeout_s: float) -> Any:
        limits.append(timeout_s)
        return SimpleNamespace(execute=execute)

    monkeypatch.setattr(writer, "connect", connect)
    return limits, tokens


def test_a_range_gets_another_token_each_time_by_the_mutant(monkeypatch: pytest.MonkeyPatch, mutate: Mutate) -> None:
    _, tokens = connecting(monkeypatch)

    def insert_twice() -> None:
        for _ in range(2):
            Writer(ADDRESS).insert("labels", ["a"], [[1]], "labels:0:1-1")

    insert_twice()
    assert len({*tokens}) == 1
    mutate("token")
    tokens.clear()
    insert_twice()
    assert len({*tokens}) == 2


def test_an_insert_is_given_up_before_a_frozen_server_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, _ = connecting(monkeypatch)
    Writer(ADDRESS)
    hurry_inserts(monkeypatch.setattr)
    Writer(ADDRESS)
    assert limits == [60.0, INSERT_LIMIT_S]


# Claims


def owner() -> str | None:
    """Return who holds an item that two have claimed, as a worker sees it."""
    projects, rows, state = Projects(), MemoryRows(), None
    told = facts.project(P, "lea", classes=["cat", "dog"], members={"ria": "reviewer", "rob": "reviewer"})
    projects.learn(codec.encode(*told), T0)
    items = Items("labelloop", 1, projects, Skills())
    race = [facts.claim(P, "i1", who, source="review", lease_ms=60_000) for who in ("ria", "rob")]
    for n, one in enumerate(race):
        record = Record(n, T0 + 1 + n, key_of(one), codec.encode(*one))
        effects = items.handle(Batch("labelloop.claims", 0, [record], n, n + 1), rows)
        assert not effects.dead
        rows.update(effects.rows)
        state = effects.rows[make_key(P, "i1")]
    assert state is not None
    found: str | None = state["claims"]["owner"]
    return found


def test_the_second_claim_holds_by_the_mutant(mutate: Mutate) -> None:
    assert owner() == "ria"
    mutate("claims")
    assert owner() == "rob"


# The clock


def test_the_product_and_its_libraries_see_the_wrong_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, right = tmp_path / "clock", SystemClock().now_ms()
    file.write_text("3600000")
    move_clock(file, monkeypatch.setattr)
    assert 3_600_000 <= SystemClock().now_ms() - right < 3_700_000
    assert 3_600 <= time.time() - right / 1000 < 3_700  # noqa: TID251
