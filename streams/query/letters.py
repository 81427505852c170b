"""What became of every dead letter: pure, fed with the letters and with what people did about them, in any order.

A letter is known by who refused which record: further copies of it change nothing. Actions on it are numbered; a
refusal after the n-th bears the number n, and opens it again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from streams.keys import split_key

State = Literal["open", "redriven", "republished", "dropped"]

STATES: dict[str, State] = {"redrive": "redriven", "republish": "republished", "drop": "dropped"}
"""What an action makes of a letter."""


class Identity(NamedTuple):
    """Who refused which record: consumer, full name of its topic, partition, offset."""

    consumer: str
    topic: str
    partition: int
    offset: int

    def name(self, prefix: str) -> str:
        """Return the name by which people call the letter, e.g. `items:labels:2:41`; `prefix` is that of all topics."""
        return f"{self.consumer}:{self.topic.removeprefix(f'{prefix}.')}:{self.partition}:{self.offset}"


class Done(NamedTuple):
    """What was done about a letter; of two with one number the first counts, so `before` is minus the log time, ms."""

    attempt: int
    before: int
    action: str
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter as it is now.

    Args:
        identity: Who refused which record.
        project: Project that the record's key names; empty where it names none.
        reason: Code of the last refusal.
        log_time: The record's timestamp, ms.
        at: When it was refused last, ms.
        attempt: Number of the action that the last refusal followed, 0: none.
        place: Offset of the last refusal in the dead-letter topic.
        done: The last thing done about it; None: nothing.
    """

    identity: Identity
    project: str
    reason: str
    log_time: int
    at: int
    attempt: int
    place: int
    done: Done | None = None

    @property
    def state(self) -> State:
        """Return what became of it."""
        return "open" if self.done is None or self.done.attempt <= self.attempt else STATES[self.done.action]

    @property
    def next_attempt(self) -> int:
        """Return the number of the next action on it."""
        return max(self.attempt, 0 if self.done is None else self.done.attempt) + 1


class Letters:
    """All dead letters.

    Args:
        prefix: First part of every topic's name.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._refused: dict[Identity, Letter] = {}
        self._done: dict[Identity, Done] = {}

    def learn(self, record: dict[str, Any], place: int, at: int) -> None:
        """Take a letter.

        Args:
            record: A record of the schema `dead_letters`.
            place: Its offset in the dead-letter topic.
            at: Its log time, ms.
        """
        identity = identity_of(record)
        before = self._refused.get(identity)
        if before is None or (before.attempt, before.place) < (record["attempt"], place):
            project = _project(record["key"])
            self._refused[identity] = Letter(
                identity, project, record["reason"], record["log_time"], at, record["attempt"], place
            )

    def settle(self, record: dict[str, Any], at: int) -> None:
        """Take what was done about a letter: a record of the schema `dead_letter_actions`, of log time `at`, ms."""
        identity = identity_of(record)
        done = Done(record["attempt"], -at, record["action"], record["by"], record["text"] or "")
        if done > self._done.get(identity, (0,)):
            self._done[identity] = done

    def __iter__(self) -> Iterator[Letter]:
        """Yield all letters, in the order in which they were refused last."""
        for letter in sorted(self._refused.values(), key=lambda one: one.place):
            yield self._now(letter)

    def _now(self, letter: Letter) -> Letter:
        done = self._done.get(letter.identity)
        if done is None:
            return letter
        return replace(letter, done=done)

    def get(self, name: str) -> Letter | None:
        """Return the letter of a name, None where there is none."""
        try:
            consumer, topic, partition, offset = name.split(":")
            letter = self._refused.get(Identity(consumer, f"{self._prefix}.{topic}", int(partition), int(offset)))
        except ValueError:
            return None
        return None if letter is None else self._now(letter)

    def open_by(self) -> Counter[tuple[str, str]]:
        """Return how many letters are open, by consumer and reason."""
        return Counter((one.identity.consumer, one.reason) for one in self if one.state == "open")


def identity_of(record: dict[str, Any]) -> Identity:
    """Return which letter a record speaks of."""
    return Identity(record["consumer"], record["topic"], record["partition"], record["offset"])


def _project(key: bytes | None) -> str:
    try:
        return split_key(key or b"")[0]
    except UnicodeDecodeError:
        return ""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant; None: it does not matter.

    Args:
        reason: Code of the refusal.
        consumer: Who refused.
        topic: Full name of the topic the record lies in.
        project: Project of the record.
        since: Refused at or after this time, ms.
        everything: Also letters that are settled.
    """

    reason: str | None = None
    consumer: str | None = None
    topic: str | None = None
    project: str | None = None
    since: int | None = None
    everything: bool = False

    def takes(self, letter: Letter) -> bool:
        """Return whether a letter is meant."""
        return (
            (self.everything or letter.state == "open")
            and self.reason in (None, letter.reason)
            and self.consumer in (None, letter.identity.consumer)
            and self.topic in (None, letter.identity.topic)
            and self.project in (None, letter.project)
            and (self.since is None or letter.at >= self.since)
        )


class Group(NamedTuple):
    """Letters with one reason, consumer and topic: how many, how many are open, when the first and last came, ms."""

    reason: str
    consumer: str
    topic: str
    letters: int
    open: int
    first: int
    last: int


def grouped(letters: Iterable[Letter]) -> list[Group]:
    """Return letters in groups, the largest number of open ones first."""
    groups: dict[tuple[str, str, str], list[Letter]] = {}
    for letter in letters:
        names = letter.reason, letter.identity.consumer, letter.identity.topic
        groups.setdefault(names, []).append(letter)
    found = [
        Group(
            *names,
            len(its),
            sum(one.state == "open" for one in its),
            min(one.at for one in its),
            max(one.at for one in its),
        )
        for names, its in groups.items()
    ]
    return sorted(found, key=lambda group: (-group.open, -group.letters, group))
