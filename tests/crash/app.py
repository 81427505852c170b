"""A worker process of the crash tests: `python -m tests.crash.app '{"kafka": ..., ...}'`.

What makes it slow, careless or mortal is put in from here; the transport itself has no switches for tests.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faust

from streams.errors import LabelloopError, NotNow
from streams.settings import ClickHouseAddress, Settings
from streams.transport import commit, pace, worker
from streams.transport.app import create_app
from streams.transport.batch import Batch, Effects, Rows
from streams.transport.consumer import Consumer
from streams.transport.producer import Producer
from tests.crash import work

log = logging.getLogger("labelloop.test")


@dataclass(frozen=True)
class Config:
    """How a worker runs.

    Args:
        kafka: Bootstrap servers.
        home: Data directory.
        prefix: Prefix of topics and group.
        store: memory or rocksdb.
        partitions: Partitions of the sources.
        slot: Slot of the worker.
        slow: Seconds each batch takes longer.
        batch: Records in a batch at most.
        commit: Seconds between two commits under load.
        careless: Leave out the guard that asks for the last heartbeat.
        die: (n, ms): end ms milliseconds after the n-th commit was asked for.
        hang: Seconds the first batch takes.
        away: Say that a server is away.
        refuse: Say that a person has to act.
        session: Session timeout in seconds.
    """

    kafka: str
    home: str
    prefix: str
    store: str = "memory"
    partitions: int = 4
    slot: int | None = 0
    slow: float = 0.0
    batch: int = 1000
    commit: float = 0.25
    careless: bool = False
    die: tuple[int, float] | None = None
    hang: float = 0.0
    away: bool = False
    refuse: bool = False
    session: float = 6.0

    def dump(self) -> str:
        """Return it as `main` reads it."""
        return json.dumps(asdict(self))

    def settings(self) -> Settings:
        """Return the settings of the worker."""
        nowhere = ClickHouseAddress("127.0.0.1", 9, "nobody", "")
        return Settings(
            Path(self.home),
            self.kafka,
            nowhere,
            nowhere,
            prefix=self.prefix,
            partitions=self.partitions,
            store=self.store,
        )


def _handler(config: Config) -> Callable[[Batch, Rows], Effects]:
    handle, seen = work.handler(config.prefix), 0

    def handler(batch: Batch, rows: Rows) -> Effects:
        nonlocal seen
        seen += 1
        if seen == 1:
            log.info("first batch")
            if config.hang:
                time.sleep(config.hang)
        if config.away:
            raise NotNow("played by the test")
        if config.refuse:
            raise LabelloopError("do something about it")
        effects = handle(batch, rows)
        if config.slow:
            time.sleep(config.slow)
        return effects

    return handler


def _die_in_commit(after: int, ms: float) -> None:
    """End the process some time after the transaction's end was asked for, while the broker decides it."""
    send_offsets, seen = Producer._send_offsets, 0

    def die() -> None:
        time.sleep(ms / 1000)
        os._exit(71)

    def wrapped(self: Producer, *args: Any) -> None:
        nonlocal seen
        send_offsets(self, *args)
        seen += 1
        if seen == after:
            threading.Thread(target=die, daemon=True).start()

    Producer._send_offsets = wrapped  # type: ignore[method-assign, assignment]


def main(text: str) -> None:
    """Run the worker."""
    fields = json.loads(text)
    config = Config(**fields)
    pace.BATCH_RECORDS = config.batch
    commit.COMMIT_INTERVAL_S = config.commit
    if config.careless:
        Consumer.check_alive = lambda self: None  # type: ignore[method-assign]
    if config.die is not None:
        _die_in_commit(*config.die)

    def create(settings: Settings, slot: int) -> faust.App:
        return create_app(
            settings, "items", work.SOURCES, _handler(config), slot=slot, session_timeout_s=config.session
        )

    worker.run(config.settings(), "items", create, config.slot)


if __name__ == "__main__":
    main(sys.argv[1])
