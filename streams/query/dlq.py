"""Dead letters read from the log, and what is done about them written there: each action once, whoever else tries.

All actions are written in transactions under one name, and whoever begins to write takes that name from all others:
what they had not finished never happened. Only then are the letters read: nobody acts on what another has settled.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from streams import codec
from streams.catalogue import ACTIONS, TOPICS
from streams.clients import CLIENT_LOG, MAX_MESSAGE_BYTES, kafka, once_led, said
from streams.clock import Clock
from streams.dead_letters import MAX_CARRIED_KEY, Original
from streams.errors import LabelloopError, NotNow, Poison
from streams.projects import Projects
from streams.query.lag import LagReader
from streams.query.letters import Filter, Letter, Letters
from streams.query.log import reader, records
from streams.query.projects import read_projects
from streams.query.redriving import Way, way
from streams.settings import Settings
from streams.transport.plain import Follower, Read

LETTERS = "dead-letters"

_LIMIT_S = 30.0
_READ_LIMIT_S = 90.0
"""Longer than a dead worker's open transaction holds back readers."""

_TOGETHER, _TOGETHER_BYTES = 500, 8 * 1024 * 1024
"""Actions in one transaction; each may carry a whole record."""

Skipped = list[tuple[str, str]]
"""Names of letters that nothing was done about, each with the reason."""


class LetterReader:
    """Reads the letters again and again; what it is connected by is kept.

    Args:
        settings: Where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ends = LagReader(settings)
        self._actions = settings.topic(ACTIONS)
        self._follower = Follower(settings, [settings.topic(LETTERS), self._actions])
        partitions = [(self._actions, n) for n in range(settings.partitions)]
        self._follower.assign([(settings.topic(LETTERS), 0), *partitions])
        self._letters = Letters(settings.prefix)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._ends.__exit__()
        self._follower.close()

    def read(self) -> Letters:
        """Return all letters there are by now.

        Raises:
            LabelloopError: Kafka does not answer, or the topics were never made.
        """
        limit = time.monotonic() + _READ_LIMIT_S
        found = self._ends.settled_offsets([LETTERS, ACTIONS])
        ends = {(self._settings.topic(topic), n): end for (topic, n), end in found.items()}
        try:
            while any(self._follower.position(*at) < end for at, end in ends.items()):
                if time.monotonic() > limit:
                    raise NotNow(f"their ends did not come in {_READ_LIMIT_S:g} s")
                for read in self._follower.read(0.05):
                    self._learn(read)
        except NotNow as error:
            raise LabelloopError(f"the dead letters cannot be read ({error}): see `labelloop status`") from error
        return self._letters

    def _learn(self, read: Read) -> None:
        try:
            name, record = codec.decode_own(read.value)
        except Poison:  # the sink tells of it
            return
        if read.topic == self._actions and name == "dead_letter_actions":
            self._letters.settle(record, read.log_time)
        elif name == "dead_letters":
            self._letters.learn(record, read.offset, read.log_time)


def read_letters(settings: Settings) -> Letters:
    """Return all letters there are by now, read once (`LetterReader.read`)."""
    with LetterReader(settings) as reader:
        return reader.read()


def chosen(letters: Letters, names: Iterable[str], wanted: Filter) -> list[Letter]:
    """Return the letters of these names, or all that a filter takes.

    Raises:
        LabelloopError: there is none of a name.
    """
    found = []
    for name in names:
        letter = letters.get(name)
        if letter is None:
            raise LabelloopError(f"there is no dead letter {name!r}: `labelloop dlq list --each --all` names them")
        found.append(letter)
    return found or [letter for letter in letters if wanted.takes(letter)]


class Bodies:
    """Fetches records by their place: whole letters, and the originals in their topics.

    Args:
        settings: Where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._open = settings, ExitStack()
        self._consumer = self._open.enter_context(reader(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def letters(self, letters: Iterable[Letter]) -> Iterator[tuple[Letter, dict[str, Any]]]:
        """Yield letters with their whole records, in the order of the log; they are read in one go.

        Raises:
            LabelloopError: Kafka does not answer.
        """
        wanted = {letter.place: letter for letter in letters}
        if not wanted:
            return
        first, last = min(wanted), max(wanted)
        for message in self._from(self._settings.topic(LETTERS), 0, first, last):
            if message.offset() in wanted:
                yield wanted[message.offset() or 0], codec.decode(message.value())[1]

    def original(self, letter: Letter, record: Mapping[str, Any]) -> Original | None:
        """Return the record that a letter tells of; None: the letter does not carry it all, and its topic lost it."""
        consumer, topic, partition, offset = letter.identity
        key, value = record["key"], record["value"]
        if value is None or len(key or b"") >= MAX_CARRIED_KEY:
            message = self._at(topic, partition, offset)
            if message is None:
                return None
            key, value = message.key(), message.value()
        return Original(consumer, topic, partition, offset, letter.log_time, key, value, letter.next_attempt)

    def lies_there(self, letter: Letter, original: Original) -> bool:
        """Return whether a record still lies in its topic, where it lay."""
        _, topic, partition, offset = letter.identity
        message = self._at(topic, partition, offset)
        return message is not None and message.value() == original.value

    def _at(self, topic: str, partition: int, offset: int) -> Message | None:
        return next(self._from(topic, partition, offset, offset), None)

    def _from(self, topic: str, partition: int, first: int, last: int) -> Iterator[Message]:
        """Yield the records from `first` to `last`, of those that are there; `topic` is a full name."""
        try:
            at = TopicPartition(topic, partition)
            low, high = once_led(partial(self._consumer.get_watermark_offsets, at, _LIMIT_S))
        except KafkaException as error:
            raise LabelloopError(f"{topic} cannot be read: {said(error, self._settings)}") from error
        wanted = range(max(low, first), min(last + 1, high))
        name = topic.removeprefix(f"{self._settings.prefix}.")
        for _, message in records(self._consumer, self._settings, {(name, partition): wanted}):
            yield message


class Desk:
    """Acts on letters. From its making on nobody else can.

    Args:
        settings: Where Kafka is.
        by: Who acts, as a pseudonym.
        clock: Wall time.

    Raises:
        LabelloopError: Kafka does not answer.
    """

    def __init__(self, settings: Settings, by: str, clock: Clock) -> None:
        self._settings, self._by, self._clock = settings, by, clock
        self._producer = Producer(
            {
                **kafka(settings),
                "transactional.id": settings.topic("dlq"),
                "transaction.timeout.ms": 30_000,
                "compression.type": "lz4",
                "message.max.bytes": MAX_MESSAGE_BYTES,
            },
            logger=CLIENT_LOG,
        )
        try:
            self._producer.init_transactions(_LIMIT_S)
        except KafkaException as error:
            raise self._failure(error) from error
        self._projects: Projects | None = None

    def drop(self, names: Sequence[str], wanted: Filter, text: str) -> tuple[int, Skipped]:
        """Leave letters as they are, for a reason.

        Returns:
            How many were dropped, and those that were not.

        Raises:
            LabelloopError: Kafka does not answer, or somebody else has begun to act.
        """
        open_, skipped = self._open(names, wanted)
        for start in range(0, len(open_), _TOGETHER):
            self._send([self._action(letter, "drop", text) for letter in open_[start : start + _TOGETHER]])
        return len(open_), skipped

    def redrive(self, names: Sequence[str], wanted: Filter, text: str | None) -> tuple[int, int, Skipped]:
        """Give records back to whoever refused them, or publish them again (`redriving`).

        Returns:
            How many were given back, how many were published again, and those that were not.

        Raises:
            LabelloopError: Kafka does not answer, or somebody else has begun to act.
        """
        open_, skipped = self._open(names, wanted)
        done, together, size = Counter[str](), list[_Outgoing](), 0
        with Bodies(self._settings) as bodies, Bodies(self._settings) as originals:
            for letter, record in bodies.letters(open_):
                original = originals.original(letter, record)
                way_ = self._way(letter, original, originals)
                if way_.action is None or original is None:
                    skipped.append((letter.identity.name(self._settings.prefix), way_.why))
                    continue
                if way_.action == "redrive":
                    together.append(self._action(letter, "redrive", text, original))
                else:
                    copy = _Outgoing(letter.identity.topic, way_.partition, way_.key, original.value)
                    together += [copy, self._action(letter, "republish", text)]
                done[way_.action] += 1
                size += len(original.value or b"")
                if len(together) >= _TOGETHER or size >= _TOGETHER_BYTES:
                    self._send(together)
                    together, size = [], 0
        self._send(together)
        return done["redrive"], done["republish"], skipped

    def _open(self, names: Sequence[str], wanted: Filter) -> tuple[list[Letter], Skipped]:
        """Return what can be acted on, of what is meant."""
        meant = chosen(read_letters(self._settings), names, wanted)
        settled = [one for one in meant if one.state != "open"]
        skipped = [(one.identity.name(self._settings.prefix), f"it is {one.state} already") for one in settled]
        return [one for one in meant if one.state == "open"], skipped

    def _way(self, letter: Letter, original: Original | None, originals: Bodies) -> Way:
        if self._projects is None:
            self._projects = read_projects(self._settings)
        return find_way(self._settings, letter, original, originals, self._projects, self._clock.now_ms())

    def _action(self, letter: Letter, action: str, text: str | None, original: Original | None = None) -> "_Outgoing":
        key = None if original is None else original.key
        record = {
            **letter.identity._asdict(),
            "action": action,
            "by": self._by,
            "text": text,
            "log_time": letter.log_time,
            "attempt": letter.next_attempt,
            "reason": letter.reason,
            "key": key,
            "value": None if original is None else original.value,
        }
        value = codec.encode("dead_letter_actions", record)
        return _Outgoing(self._settings.topic(ACTIONS), letter.identity.partition, key, value)

    def _send(self, records: Sequence["_Outgoing"]) -> None:
        """Write all of the records or none.

        Raises:
            LabelloopError: they were not written.
        """
        if not records:
            return
        try:
            self._producer.begin_transaction()
            for topic, partition, key, value in records:
                self._producer.produce(topic, value, key, partition)
            self._producer.commit_transaction(_LIMIT_S)
        except KafkaException as error:
            raise self._failure(error) from error

    def _failure(self, error: KafkaException) -> LabelloopError:
        code = error.args[0].code()
        if code in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
            return LabelloopError("somebody else acts on the dead letters now: look at them again, then run it again")
        return LabelloopError(
            f"Kafka at {self._settings.kafka} does not take it: {said(error, self._settings)}; run it again"
        )


class _Outgoing(NamedTuple):
    """A record to write: full name of the topic, partition, key, value."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


def find_way(
    settings: Settings, letter: Letter, original: Original | None, originals: Bodies, projects: Projects, now_ms: int
) -> Way:
    """Return what can be done about a letter, looking where its record lies if that decides it."""
    if original is None:
        return Way(None, "its topic does not hold the record any more: drop the letter")
    topic = letter.identity.topic.removeprefix(f"{settings.prefix}.")
    derived = letter.identity.consumer == "sink" and TOPICS[topic].kind != "fact"
    if derived and not originals.lies_there(letter, original):
        return Way(None, "its topic has a newer record instead of it: drop the letter")
    return way(topic, letter.reason, original, projects, settings.partitions, now_ms)
