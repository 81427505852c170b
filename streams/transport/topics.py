"""Makes the catalogue's topics, and notes what they are in a topic of their own."""

import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from streams import codec
from streams.catalogue import TOPICS
from streams.clients import CLIENT_LOG, heed_hidden, kafka, reading, said
from streams.errors import Denied, LabelloopError, NotNow
from streams.settings import Settings

UNFINISHED = 0
"""Build number that is noted of a topic while a restore fills it; while a move does, its number with a minus is."""

_LIMIT_S = 30.0


def ensure(settings: Settings) -> None:
    """Create the topics that are missing and note build and partition count of each in the `catalogue` topic.

    Raises:
        LabelloopError: a topic has another partition count than the settings say, the broker does not answer, or a
            restore or a move broke off.
    """
    make(settings, ["catalogue"])
    known = builds(settings)  # first of all: while a move goes on, the counts are those of no settings
    make(settings, TOPICS)
    note(settings, {name: 1 for name in TOPICS if name not in known})


def make(settings: Settings, names: Collection[str], config: Mapping[str, str] | None = None) -> None:
    """Create the topics that are missing.

    Args:
        settings: Where the servers are.
        names: Names in the catalogue.
        config: The broker's settings that are to be other ones than the catalogue's.

    Raises:
        LabelloopError: a topic has another partition count than the settings say, or the broker does not answer.
    """
    admin = AdminClient(kafka(settings))
    wanted = {settings.topic(name): TOPICS[name].partitions or settings.partitions for name in names}
    found = found_partitions(admin, settings)
    _check_counts(found, wanted)
    missing = [name for name in names if settings.topic(name) not in found]
    if missing:
        new = [
            NewTopic(
                settings.topic(name),
                wanted[settings.topic(name)],
                settings.replication,
                config={**TOPICS[name].config(), **(config or {})},
            )
            for name in missing
        ]
        for name, future in admin.create_topics(new, operation_timeout=_LIMIT_S).items():
            try:
                future.result(_LIMIT_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process was faster
                    raise LabelloopError(f"topic {name} cannot be created: {said(error, settings)}") from error
        _wait_for_leaders(admin, settings, wanted)


def remove(settings: Settings, names: Collection[str]) -> None:
    """Delete the topics of those names in the catalogue that there are, and return when they are gone.

    Raises:
        LabelloopError: the broker refuses, or does not answer.
    """
    admin = AdminClient(kafka(settings))
    old = found_partitions(admin, settings).keys() & {*map(settings.topic, names)}
    for name, future in admin.delete_topics(sorted(old), operation_timeout=_LIMIT_S).items() if old else ():
        try:
            future.result(_LIMIT_S)
        except KafkaException as error:
            raise LabelloopError(f"topic {name} cannot be deleted: {error.args[0].str()}") from error
    limit = time.monotonic() + _LIMIT_S
    while left := found_partitions(admin, settings).keys() & old:
        if time.monotonic() > limit:
            raise LabelloopError(f"Kafka at {settings.kafka} does not delete {', '.join(sorted(left))}")
        time.sleep(0.05)


def configure(settings: Settings, names: Iterable[str], config: Mapping[str, str] | None = None) -> None:
    """Change the broker's settings of topics, and see that they are changed.

    Args:
        settings: Where the servers are.
        names: Names in the catalogue.
        config: What they are to be; None: what the catalogue declares.

    Raises:
        LabelloopError: the broker refuses, does not answer, or does not change them.
    """
    wanted = {
        ConfigResource(ResourceType.TOPIC, settings.topic(name)): config or TOPICS[name].config() for name in names
    }
    if not wanted:
        return
    admin, change = AdminClient(kafka(settings), logger=CLIENT_LOG), AlterConfigOpType.SET
    asked = [
        ConfigResource(
            ResourceType.TOPIC,
            resource.name,
            incremental_configs=[ConfigEntry(*one, incremental_operation=change) for one in changes.items()],
        )
        for resource, changes in wanted.items()
    ]
    limit = time.monotonic() + _LIMIT_S
    try:
        for future in admin.incremental_alter_configs(asked, request_timeout=_LIMIT_S).values():
            future.result()
        while True:
            found = {resource: future.result() for resource, future in admin.describe_configs([*wanted]).items()}
            if all(
                found[resource][one].value == value for resource in wanted for one, value in wanted[resource].items()
            ):
                return
            if time.monotonic() > limit:
                raise LabelloopError(f"Kafka at {settings.kafka} does not change its topics: begin again")
            time.sleep(0.05)
    except KafkaException as error:
        raise LabelloopError(f"Kafka at {settings.kafka} refuses: {said(error, settings)}: begin again") from error


def check(settings: Settings, names: Iterable[str]) -> None:
    """Check that topics exist, with the partition counts the settings say.

    Args:
        settings: Where the servers are.
        names: Names in the catalogue.

    Raises:
        NotNow: the broker does not answer.
        LabelloopError: a topic is missing, or has another partition count.
    """
    admin = AdminClient(kafka(settings))
    wanted = {settings.topic(name): TOPICS[name].partitions or settings.partitions for name in names}
    try:
        found = found_partitions(admin, settings)
    except Denied:
        raise
    except LabelloopError as error:
        raise NotNow(str(error)) from error
    _check_counts(found, wanted)
    for name in wanted:
        if name not in found:
            heed_hidden(admin, name, settings)
            raise LabelloopError(
                f"topic {name} does not exist: start the stack with `labelloop up`, it makes the topics"
            )


def builds(settings: Settings) -> dict[str, int]:
    """Return the build number of each topic, by its name in the catalogue.

    Raises:
        LabelloopError: the broker does not answer, the topics were never made, or a restore or a move broke off.
    """
    entries = noted(settings)
    numbers = {name: entry.build for name, entry in entries.items()}
    if UNFINISHED in numbers.values():
        raise LabelloopError("a restore broke off here, or still runs: `labelloop restore DIR` begins it again")
    if (count := moving(entries)) is not None:
        raise LabelloopError(
            f"a move to {count} partitions broke off here, or still runs: `labelloop rebuild --partitions {count}` "
            "goes on with it"
        )
    return numbers


class Entry(NamedTuple):
    """What is noted of a topic: its build number (see `UNFINISHED`), and how many partitions it has or is to have."""

    build: int
    partitions: int


def noted(settings: Settings) -> dict[str, Entry]:
    """Return what is noted of each topic, also while a restore or a move goes on.

    Raises:
        LabelloopError: the broker does not answer, or the topics were never made.
    """
    return {name: Entry(entry["build"], entry["partitions"]) for name, entry in _entries(settings).items()}


def moving(entries: Mapping[str, Entry]) -> int | None:
    """Return to how many partitions a move is under way that did not end, None where none is."""
    counts = (entry.partitions for name, entry in entries.items() if entry.build < 0 and not TOPICS[name].partitions)
    return next(counts, None)


def found_partitions(admin: AdminClient, settings: Settings) -> dict[str, int]:
    """Return the partition count of each topic that there is, by its full name.

    Raises:
        LabelloopError: the broker does not answer.
    """
    try:
        metadata = admin.list_topics(timeout=_LIMIT_S)
    except KafkaException as error:
        raise LabelloopError(f"Kafka at {settings.kafka} does not answer: {said(error, settings)}") from error
    mine = {settings.topic(name) for name in TOPICS}
    return {name: len(topic.partitions) for name, topic in metadata.topics.items() if name in mine}


def _check_counts(found: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    for name, partitions in found.items():
        if partitions != wanted.get(name, partitions):
            raise LabelloopError(
                f"topic {name} has {partitions} partitions, not {wanted[name]}: set LABELLOOP_PARTITIONS={partitions}; "
                f"to have {wanted[name]}, move the log: `labelloop rebuild --partitions {wanted[name]}`"
            )


def _wait_for_leaders(admin: AdminClient, settings: Settings, wanted: dict[str, int]) -> None:
    limit = time.monotonic() + _LIMIT_S
    while time.monotonic() < limit:
        topics = admin.list_topics(timeout=_LIMIT_S).topics
        partitions = [p for name in wanted if name in topics for p in topics[name].partitions.values()]
        if len(partitions) == sum(wanted.values()) and all(p.leader >= 0 for p in partitions):
            return
        time.sleep(0.05)
    raise LabelloopError(f"the topics have no leaders after {_LIMIT_S:.0f} s: look at the broker's log")


def note(settings: Settings, numbers: Mapping[str, int]) -> None:
    """Write down build number and partition count of topics.

    Args:
        settings: Where the servers are.
        numbers: Build number by name in the catalogue.

    Raises:
        LabelloopError: the broker does not take it.
    """
    if not numbers:
        return
    producer = Producer({**kafka(settings), "enable.idempotence": True, "partitioner": "murmur2_random"})
    for name, build in numbers.items():
        entry = {"topic": name, "build": build, "partitions": TOPICS[name].partitions or settings.partitions}
        producer.produce(settings.topic("catalogue"), codec.encode("catalogue", entry), name.encode())
    if producer.flush(_LIMIT_S):
        raise LabelloopError(f"Kafka at {settings.kafka} did not take the catalogue's entries in {_LIMIT_S:.0f} s")


def _entries(settings: Settings) -> dict[str, codec.Record]:
    consumer = Consumer(
        {
            **reading(settings),
            "fetch.wait.max.ms": 10,
        }
    )
    entries: dict[str, codec.Record] = {}
    topic = settings.topic("catalogue")
    try:
        # asked first: a consumer waits half a minute before it reports a topic as unknown
        if consumer.list_topics(topic, timeout=_LIMIT_S).topics[topic].error is not None:
            raise LabelloopError("the topics were never made: start the stack with `labelloop up`")
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        limit = time.monotonic() + _LIMIT_S
        while time.monotonic() < limit:
            for message in consumer.consume(1000, timeout=0.05):
                error = message.error()
                if error is None:
                    entry = codec.decode_own(message.value())[1]
                    entries[entry["topic"]] = entry
                elif error.code() == KafkaError._PARTITION_EOF:
                    return entries
    except KafkaException as error:
        raise LabelloopError(f"Kafka at {settings.kafka} does not answer: {said(error, settings)}") from error
    finally:
        consumer.close()
    raise LabelloopError(f"Kafka at {settings.kafka} does not answer")
