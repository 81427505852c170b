"""Computes what derived topics must hold from the facts, and writes what they lack or have wrong in one transaction.

The workers may run. What is written is right as long as nothing of a worker lies between what was read of a partition
and what is written to it: so each record must get the offset it was meant for, or nothing is committed. What a worker
tells later lies behind it, and wins.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from streams.catalogue import ITEM_FACTS, TOPICS
from streams.clients import CLIENT_LOG, MAX_MESSAGE_BYTES, Config, kafka
from streams.errors import LabelloopError, NotNow
from streams.keys import make_key
from streams.processors.item_state import ItemState
from streams.query.lag import LagReader
from streams.query.log import Tell, part_of, reader, records
from streams.rebuild.compare import TIER_TOPICS, Comparison, Place, compare, compare_tier
from streams.replay.reading import PROJECTS, read_items
from streams.replay.settled import settled
from streams.settings import Settings
from streams.transport.topics import builds, check

_CLAIMS, _REFITS = "items-state-changelog", "quality-state-changelog"
_UNCLAIMED = b'"recent":[]'
"""What a state row holds of an item that nobody ever claimed; within a text the quotes would be escaped."""

_FINDS_REST_S = 30.0
_PAUSE_S = 0.1
_LIMIT_S = 60.0
_OPEN_MS, _RECORDS_A_MS = 10_000, 20
"""How long the transaction may last, and how much longer by the number of its records: readers wait for its end.

What a killed one leaves open is ended by the next rebuild, or after that time."""

_AGAIN = "records came meanwhile: compare again when it is quieter, or stop the workers"


class Instant(NamedTuple):
    """A moment at which no transaction of the processors was open.

    Args:
        passed: Committed position of each partition by consumer group, topic and partition.
        ends: End of each derived partition, by topic and partition.
    """

    passed: Mapping[tuple[str, str, int], int]
    ends: Mapping[tuple[str, int], int]


def check_stack(settings: Settings) -> None:
    """Check that a stack's topics are there and whole.

    Raises:
        LabelloopError: they are not, or Kafka does not answer.
    """
    try:
        check(settings, TOPICS)
    except NotNow as error:
        raise LabelloopError(str(error)) from error
    builds(settings)


def rebuild_topics(
    settings: Settings, topics: Sequence[str], *, write: bool, tell: Tell = lambda passed, of: None
) -> dict[str, Comparison]:
    """Compare derived topics with what the facts give as far as the processor "items" has folded them.

    Args:
        settings: Where Kafka is.
        topics: Some of `compare.BUILT`.
        write: Whether to put right what differs.
        tell: Told of the progress.

    Returns:
        What differed, by topic.

    Raises:
        LabelloopError: Kafka does not answer, a processor is behind, or it wrote to the topics meanwhile; nothing is
            written then.
    """
    if write:
        _transactional(settings, 0)  # ends what a killed one left open
    instant = _instant(settings, topics)
    read = (*topics, _CLAIMS, _REFITS) if {*topics} & {"review.state", *TIER_TOPICS} else (*topics, _REFITS)
    ends = {at: end for at, end in instant.ends.items() if at[0] in read}
    folded = {(topic, n): passed for (group, topic, n), passed in instant.passed.items() if group == "items"}
    facts = {at: end for at, end in folded.items() if at[0] in ITEM_FACTS}
    total = sum(facts.values()) + sum(ends.values())
    live = _newest(settings, ends, part_of(tell, 0, total))
    refits = {key.decode(): int(orjson.loads(row)["refit"]) for (_, key), row in live.pop(_REFITS).items()}
    claims = live.pop(_CLAIMS, {})
    expected, numbers = _expected(settings, facts, topics, refits, claims, part_of(tell, sum(ends.values()), total))
    found = {}
    for topic in topics:
        if topic in TIER_TOPICS:
            tier = topic.removeprefix("review.")
            found[topic] = compare_tier(tier, expected["review.state"], live[topic], settings.partitions)
        else:
            found[topic] = compare(topic, expected[topic], live[topic], settings.partitions, numbers)
    if write:
        _write(settings, found, instant)
    elif _ends(settings, topics) != {at: end for at, end in instant.ends.items() if at[0] in topics}:
        raise LabelloopError(_AGAIN)
    return found


def _instant(settings: Settings, topics: Sequence[str]) -> Instant:
    """Return a moment at which the processors had told all they had folded, waiting for one.

    Raises:
        LabelloopError: there is none, or they are behind in what they tell each other.
    """
    places = [
        *(("items", topic, n) for topic in (*ITEM_FACTS, "rescores") for n in range(settings.partitions)),
        *(("quality", "fits", n) for n in range(settings.partitions)),
    ]
    derived = (*topics, _CLAIMS, _REFITS, "rescores", "fits")
    limit = time.monotonic() + _FINDS_REST_S
    with LagReader(settings) as lag:
        while True:
            before = _stable(settings, places)
            ends = lag.settled_offsets(derived)
            if ends == lag.end_offsets(derived) and _stable(settings, places) == before:
                break
            if time.monotonic() > limit:
                raise LabelloopError("the processors do not come to rest: compare when it is quieter, or stop them")
            time.sleep(_PAUSE_S)
    for group, topic, n in places:
        if topic in ("rescores", "fits") and before[group, topic, n] < ends[topic, n]:
            behind = ends[topic, n] - before[group, topic, n]
            raise LabelloopError(
                f"{group} is {behind:,} records behind in {topic}-{n}: let it finish (`labelloop settle`), then compare"
            )
    return Instant(before, ends)


def _stable(settings: Settings, places: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str, int], int]:
    """Return committed positions, 0 where there is none; what is decided and not yet marked is waited for.

    Raises:
        LabelloopError: Kafka does not answer.
    """
    found: dict[tuple[str, str, int], int] = {}
    for group in dict.fromkeys(group for group, _, _ in places):
        mine = [(topic, n) for of, topic, n in places if of == group]
        asking = {"group.id": settings.topic(group), "isolation.level": "read_committed"}
        with closing(Consumer({**_client(settings), **asking}, logger=CLIENT_LOG)) as consumer:
            asked = [TopicPartition(settings.topic(topic), n) for topic, n in mine]
            answer = _answer(settings, partial(consumer.committed, asked, timeout=_LIMIT_S))
            if failed := next((position.error for position in answer if position.error), None):
                raise LabelloopError(f"Kafka at {settings.kafka} does not tell offsets: {failed.str()}")
            found |= {(group, *at): max(0, one.offset) for at, one in zip(mine, answer, strict=True)}
    return found


def _ends(settings: Settings, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    with LagReader(settings) as lag:
        return lag.end_offsets(topics)


def _newest(settings: Settings, ends: Mapping[tuple[str, int], int], tell: Tell) -> dict[str, dict[Place, bytes]]:
    """Return the newest value of each key in each partition, by topic."""
    found: dict[str, dict[Place, bytes]] = {topic: {} for topic, _ in ends}
    with reader(settings) as consumer:
        for topic, message in records(consumer, settings, {at: range(end) for at, end in ends.items()}, tell):
            at, value = (message.partition() or 0, message.key() or b""), message.value()
            if value is None or (topic == _CLAIMS and _UNCLAIMED in value):
                found[topic].pop(at, None)
            else:
                found[topic][at] = value
    return found


def _expected(
    settings: Settings,
    facts: Mapping[tuple[str, int], int],
    topics: Sequence[str],
    refits: Mapping[str, int],
    claims: Mapping[Place, bytes],
    tell: Tell,
) -> tuple[dict[str, dict[bytes, bytes]], dict[str, int]]:
    """Return the newest value of each key by topic, and the number of each project's last fit."""
    with LagReader(settings) as lag:
        ends = {**facts, **lag.settled_offsets([PROJECTS])}
    items, projects = read_items(settings, ends, tell)
    wanted = {*topics, *(["review.state"] if {*topics} & {*TIER_TOPICS} else [])} - {*TIER_TOPICS}
    found: dict[str, dict[bytes, bytes]] = {topic: {} for topic in wanted}
    numbers = {project: refits.get(make_key(project).decode(), 1) for project in items}
    decided = {key: row for (_, key), row in claims.items()}
    while items:  # the states of a project go when its records are there
        project = next(iter(items))
        states = items.pop(project)
        for key, state in states.items():
            _decide(state, decided.get(key))
        records_ = settled(project, states.values(), projects.latest(project), numbers[project]).records
        for topic in wanted:
            found[topic] |= records_.get(topic, {})
    return found, numbers


def _decide(state: ItemState, row: bytes | None) -> None:
    """Leave an item with whom the processor gave it to: two topics share no order, so a race is run only once."""
    if row is not None and state["claims"]["recent"]:
        kept: Any = orjson.loads(row)
        state["claims"] = kept["claims"]


def _write(settings: Settings, found: Mapping[str, Comparison], instant: Instant) -> None:
    """Write what puts the topics right, all of it or nothing.

    Raises:
        LabelloopError: something was written meanwhile, or Kafka does not take it; nothing is changed.
    """
    total = sum(len(one.writes) for one in found.values())
    if not total:
        return
    producer = _transactional(settings, total)
    _answer(settings, producer.begin_transaction)
    trouble = list[str]()

    def arrived(offset: int, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            trouble.append(f"{message.topic()} did not take a record: {error.str()}")
        elif message.offset() != offset:
            trouble.append(_AGAIN)

    try:
        for topic, comparison in found.items():
            following = {n: end for (of, n), end in instant.ends.items() if of == topic}
            for partition, key, value in comparison.writes:
                report = partial(arrived, following[partition])
                record = (settings.topic(topic), value, key, partition)
                _answer(settings, partial(_send, producer, record, report))
                following[partition] += 1
        while len(producer) and not trouble:
            producer.flush(1.0)
    finally:
        if trouble:
            _answer(settings, partial(producer.abort_transaction, _LIMIT_S))
    if trouble:
        raise LabelloopError(trouble[0])
    _commit(settings, producer)


def _transactional(settings: Settings, count: int) -> Producer:
    """Return a producer for a transaction of so many records; the one of an earlier rebuild is ended."""
    own: dict[str, str | int | float | bool] = {
        "transactional.id": settings.topic("rebuild"),
        "transaction.timeout.ms": _OPEN_MS + count // _RECORDS_A_MS,
        "compression.type": "lz4",
        "linger.ms": 20,
        "message.max.bytes": MAX_MESSAGE_BYTES,
    }
    producer = Producer({**_client(settings), **own}, logger=CLIENT_LOG)
    _answer(settings, partial(producer.init_transactions, _LIMIT_S))
    return producer


def _send(producer: Producer, record: tuple[str, bytes | None, bytes, int], report: Any) -> None:
    while True:
        try:
            producer.produce(*record, on_delivery=report)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


def _commit(settings: Settings, producer: Producer) -> None:
    _answer(settings, partial(producer.commit_transaction, _LIMIT_S))


def _client(settings: Settings) -> Config:
    return {**kafka(settings), "log_level": 0}


def _answer(settings: Settings, ask: Any) -> Any:
    """Return what Kafka answers.

    Raises:
        LabelloopError: it refuses, or does not answer.
    """
    try:
        return ask()
    except KafkaException as error:
        raise LabelloopError(
            f"Kafka at {settings.kafka} refuses: {error.args[0].str()}: nothing is changed, begin again"
        ) from error
