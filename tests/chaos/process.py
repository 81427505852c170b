"""Runs one of our own commands with what a test wants to be wrong: `python -m tests.chaos.process FLAG... WORDS`.

`--clock FILE` makes every clock wrong by the milliseconds in the file; `--mutant NAME` puts a deliberate fault into
the product, which the checker must find. The product itself has no switch for either.
"""

import itertools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.faults import Mutant


def move_clock(file: Path) -> None:
    """Make this process's wall time wrong by what the file says, from one look to the next."""
    from streams.clock import SystemClock

    right = SystemClock.now_ms

    def now_ms(self: SystemClock) -> int:
        return right(self) + int(file.read_text() or 0)

    SystemClock.now_ms = now_ms  # type: ignore[method-assign]


def commit_offsets_apart() -> None:
    """Commit the offsets in a transaction of their own, a moment before that of the effects."""
    import confluent_kafka
    from confluent_kafka import TopicPartition

    from streams.clients import kafka
    from streams.transport import producer

    others: dict[int, Any] = {}

    def send(self: Any, offsets: Any, group: str, member: tuple[int, str], started: float) -> None:
        if id(self) not in others:
            other = confluent_kafka.Producer(
                {
                    **kafka(self.app.surroundings),
                    "transactional.id": f"{self.app.transactional_id}-offsets",
                }
            )
            other.init_transactions(20)
            others[id(self)] = other
        other = others[id(self)]
        other.begin_transaction()
        positions = [TopicPartition(at[0], at[1], position, note) for at, (position, note) in offsets.items()]
        other.send_offsets_to_transaction(positions, producer.group_metadata(group, *member), 9)
        other.commit_transaction(9)
        time.sleep(0.3)

    producer.Producer._send_offsets = send  # type: ignore[method-assign]


def remove_fence() -> None:
    """Let a worker that lost its partitions commit: no member's generation, no guard, no limits of time."""
    import struct

    from streams.transport import commit, consumer, producer

    def of_nobody(group: str, generation: int, member: str) -> bytes:
        return b"CGMDv2:" + struct.pack("<i", -1) + group.encode() + b"\0\0\x01"

    producer.group_metadata = of_nobody
    producer.TRANSACTION_TIMEOUT_MS = 120_000
    producer.Producer._retry.__kwdefaults__ = {"limit": 120.0}
    vars(commit)["COMMIT_LIMIT_S"] = 120.0
    commit.HANDLER_LIMIT_S = commit.STALL_LIMIT_S = 120.0
    consumer.Consumer.check_alive = lambda self: None  # type: ignore[method-assign]


def change_token() -> None:
    """Give each insert a token of its own, so that a range that is written again is not recognised."""
    from streams.sinks.writer import Writer

    right, numbers = Writer.insert, itertools.count()

    def insert(self: Writer, table: str, names: Sequence[str], columns: Sequence[list[Any]], token: str) -> None:
        right(self, table, names, columns, f"{token} {os.getpid()} {next(numbers)}")

    Writer.insert = insert  # type: ignore[method-assign]


def let_last_claim_win() -> None:
    """Give an item to whoever claims it last."""
    from streams.processors import claims, taking

    def apply_claim(held: Any, event: dict[str, Any], *rest: Any) -> bool:
        if event["action"] == "claim":
            held["owner"] = held["until"] = None
        return claims.apply_claim(held, event, *rest)

    vars(taking)["apply_claim"] = apply_claim


MUTATIONS = {
    "offsets": commit_offsets_apart,
    "fence": remove_fence,
    "token": change_token,
    "claims": let_last_claim_win,
}


def mutate(mutant: Mutant) -> None:
    """Put a deliberate fault into the product as this process has loaded it."""
    MUTATIONS[mutant]()


if __name__ == "__main__":
    words = sys.argv[1:]
    while words[0].startswith("--"):
        flag, value, *words = words
        if flag == "--clock":
            move_clock(Path(value))
        else:
            mutate(value)  # type: ignore[arg-type]
    from streams.cli import main

    sys.argv = ["labelloop", *words]
    main()
