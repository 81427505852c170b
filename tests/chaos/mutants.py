"""Deliberate faults of the product, and by which of the checker's rules each must be found."""

import itertools
import os
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.faults import Mutant

Patch = Callable[[Any, str, Any], None]
"""Replaces an attribute, e.g. `replace`, or pytest's `monkeypatch.setattr`, which puts it back."""


def replace(owner: Any, name: str, value: Any) -> None:
    """Replace an attribute that is there: what the product has renamed would be replaced without effect.

    Raises:
        AttributeError: it is not there.
    """
    getattr(owner, name)
    setattr(owner, name, value)


def commit_offsets_apart(patch: Patch) -> None:
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

    patch(producer.Producer, "_send_offsets", send)


def remove_fence(patch: Patch) -> None:
    """Let a worker that lost its partitions commit: no member's generation, no guard, no limits of time."""
    from streams.transport import commit, consumer, producer

    def of_nobody(group: str, generation: int, member: str) -> bytes:
        return b"CGMDv2:" + struct.pack("<i", -1) + group.encode() + b"\0\0\x01"

    patch(producer, "group_metadata", of_nobody)
    patch(producer, "TRANSACTION_TIMEOUT_MS", 120_000)
    patch(producer.Producer._retry, "__kwdefaults__", {"limit": 120.0})
    for limit in ("COMMIT_LIMIT_S", "HANDLER_LIMIT_S", "STALL_LIMIT_S"):
        patch(commit, limit, 120.0)
    patch(consumer.Consumer, "check_alive", lambda self: None)


def change_token(patch: Patch) -> None:
    """Give each insert a token of its own, so that a range that is written again is not recognised."""
    from streams.sinks.writer import Writer

    right, numbers = Writer.insert, itertools.count()

    def insert(self: Writer, table: str, names: Sequence[str], columns: Sequence[list[Any]], token: str) -> None:
        right(self, table, names, columns, f"{token} {os.getpid()} {next(numbers)}")

    patch(Writer, "insert", insert)


def let_last_claim_win(patch: Patch) -> None:
    """Give an item to whoever claims it last."""
    from streams.processors import claims, taking

    def apply_claim(held: Any, event: dict[str, Any], *rest: Any) -> bool:
        if event["action"] == "claim":
            held["owner"] = held["until"] = None
        return claims.apply_claim(held, event, *rest)

    patch(taking, "apply_claim", apply_claim)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A deliberate fault.

    Args:
        apply: Puts it into the product as this process has loaded it.
        rules: Those that tell of it. Any other violation is no sign that the checker knows it.
        rests: Whether the stack comes to rest in spite of it: where it does not, much is amiss for that reason alone.
    """

    apply: Callable[[Patch], None]
    rules: frozenset[str]
    rests: bool = True


MUTATIONS: Mapping[Mutant, Mutation] = {
    "offsets": Mutation(commit_offsets_apart, frozenset({"item state", "unprocessed"})),
    # it may set back positions that nobody commits again
    "fence": Mutation(remove_fence, frozenset({"queue", "unprocessed"}), rests=False),
    "token": Mutation(change_token, frozenset({"tables"})),
    "claims": Mutation(let_last_claim_win, frozenset({"claims"})),
}


def telling(mutant: Mutant, broken: Iterable[str]) -> Counter[str]:
    """Return how often each rule that tells of a mutant is among those that were broken, each named once for a case."""
    mutation, cases = MUTATIONS[mutant], Counter(broken)
    if mutation.rests and cases["passed"]:
        return Counter()
    return Counter({rule: times for rule, times in cases.items() if rule in mutation.rules})
