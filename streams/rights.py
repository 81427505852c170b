"""What each process may do at a Kafka that asks for rights: one table for people, for the broker and for ourselves.

A worker that lacks a right would find out late and in as many ways as there are calls: so it compares what it is
allowed with the table before it begins, and names in one line all that it lacks.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]

from streams import resources
from streams.clients import kafka
from streams.errors import Denied
from streams.settings import Settings

_LIMIT_S = 10.0
_NAMED = 5  # of the resources that a worker lacks


class Right(NamedTuple):
    """One line of the table: `names` are behind the prefix and a dot, in the pattern `literal` or `prefixed`."""

    user: str
    operation: str
    kind: str
    pattern: str
    names: tuple[str, ...]


@lru_cache
def table() -> tuple[Right, ...]:
    """Return the rights of all users."""
    lines = (resources.directory("deploy") / "kafka" / "rights.txt").read_text().splitlines()
    cells = (line.split() for line in lines if line and not line.startswith("#"))
    return tuple(
        Right(user, operation, kind, pattern, tuple("" if name == "*" else name for name in names))
        for user, operation, kind, pattern, *names in cells
    )


def check(settings: Settings, process: str) -> None:
    """Check that the user may do what a process has to; of a broker that is away nothing is asked.

    Raises:
        Denied: it may not, or is not let in.
    """
    if not settings.login.user:
        return
    lacking = [*_lacking(settings, [right for right in table() if right.user == process])]
    if lacking:
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        raise Denied(
            f"Kafka at {settings.kafka}: user {settings.login.user} may not {', '.join(lacking[:_NAMED])}{more}: "
            f"grant it the rights of {process!r} in docs/security.md"
        )


def _lacking(settings: Settings, wanted: list[Right]) -> Iterator[str]:
    admin = AdminClient(kafka(settings))
    for right in wanted:
        names = [settings.topic(name) for name in right.names]
        if right.kind == "topic":
            asked = admin.describe_topics(
                TopicCollection(names), include_authorized_operations=True, request_timeout=_LIMIT_S
            )
        elif right.kind == "group":
            asked = admin.describe_consumer_groups(names, include_authorized_operations=True, request_timeout=_LIMIT_S)
        else:
            continue  # the broker does not tell; it says so when the first transaction is begun
        operation = AclOperation[right.operation.upper()]
        for name, future in asked.items():
            try:
                allowed = future.result().authorized_operations
            except KafkaException as error:
                if "AUTHORIZATION" not in error.args[0].name():
                    continue  # away, or no such topic: what comes next tells
                allowed = []
            if allowed is not None and operation not in allowed:
                yield f"{right.operation.lower()} {right.kind} {name}"
