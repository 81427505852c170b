"""Has the processor "items" build its state again from the facts, for instance when its rows have another format."""

import shutil
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.clients import kafka
from streams.errors import LabelloopError
from streams.query.running import running
from streams.settings import Settings
from streams.transport import topics

_PROCESSOR = "items"
_LIMIT_S = 30.0


def refold(settings: Settings) -> None:
    """Forget what "items" has read and what it made of it; its next start begins with the first fact.

    The positions go before the state: a state without positions is folded into once more and stays what it is,
    positions without a state would lose it. So whatever breaks off here, the same call again completes it.

    Args:
        settings: Where Kafka is, and which data directory's stores are removed.

    Raises:
        LabelloopError: a worker of "items" runs, or the broker refuses.
    """
    if _PROCESSOR in running(settings):
        raise LabelloopError(f"workers of {_PROCESSOR!r} run, or did until 10 s ago: stop them all, then try again")
    forget_positions(settings, [_PROCESSOR])
    changelog = f"{_PROCESSOR}-state-changelog"
    topics.remove(settings, [changelog])
    topics.make(settings, [changelog])
    remove_stores(settings, [_PROCESSOR])


def forget_positions(settings: Settings, consumers: Iterable[str]) -> None:
    """Have consumers begin anew with the first record of every topic.

    Raises:
        LabelloopError: one runs, or the broker refuses.
    """
    admin = AdminClient(kafka(settings))
    groups = [*map(settings.topic, consumers)]
    for future in admin.delete_consumer_groups(groups, request_timeout=_LIMIT_S).values():
        try:
            future.result(_LIMIT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise LabelloopError(f"Kafka at {settings.kafka} refuses: {error.args[0].str()}") from error


def remove_stores(settings: Settings, processors: Iterable[str]) -> None:
    """Remove what processors keep of their state in this data directory."""
    for processor in processors:
        for store in (settings.home / "state").glob(f"{settings.topic(processor)}-*"):
            shutil.rmtree(store)
