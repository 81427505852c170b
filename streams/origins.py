"""Where a fact lay before its topic was moved to another partition count, and which facts offsets of that time mean.

A moved topic is another build: its offsets are other ones, and what lay in one partition lies in several. So each
record takes a header along with every place that it had. Whoever names an offset names the build too, and means the
facts that lay before it there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

HEADER = "labelloop.origins"

Headers = Sequence[tuple[str, bytes | None]]


class Origin(NamedTuple):
    """A place in an earlier build of the same topic."""

    build: int
    partition: int
    offset: int


def origins(headers: Headers | None, *, copied: bool) -> tuple[Origin, ...]:
    """Return where a record lay before, in the order of the builds.

    Args:
        headers: Its headers.
        copied: Whether its time is one that was given to the log (CreateTime): only a copy has that in a topic of
            facts, and whoever publishes can write any header, but cannot give it a time.
    """
    if not copied:
        return ()
    try:
        noted = b" ".join(value or b"" for name, value in headers or () if name == HEADER).decode()
        return tuple(Origin(*map(int, place.split(":"))) for place in noted.split())
    except (ValueError, TypeError):  # none of ours
        return ()


def moved(headers: Headers, known: Iterable[Origin], here: Origin) -> tuple[tuple[str, bytes | None], ...]:
    """Return the headers that a record takes along.

    Args:
        headers: Its headers.
        known: Where it lay before.
        here: Where it lies now.
    """
    noted = " ".join(":".join(map(str, place)) for place in (*known, here))
    return (*((name, value) for name, value in headers if name != HEADER), (HEADER, noted.encode()))


Then = Mapping[tuple[str, int, int], int]
"""Offset behind the last record that counts, by topic (without the prefix), build and partition."""


def counts(topic: str, places: Iterable[Origin], then: Then) -> bool:
    """Return whether a record counts that has or had some places in a topic."""
    return any(place.offset < then.get((topic, place.build, place.partition), 0) for place in places)


@dataclass(frozen=True)
class Cut:
    """How far the log counts.

    Args:
        ends: The offset behind the last record to read, by topic (without the prefix) and partition.
        then: Of each topic that was moved since: how far it counted in that build.
    """

    ends: Mapping[tuple[str, int], int]
    then: Then = field(default_factory=dict)

    def of(self, topics: Iterable[str]) -> "Cut":
        """Return how far some of the topics count."""
        names = {*topics}
        return Cut(
            {at: end for at, end in self.ends.items() if at[0] in names},
            {at: end for at, end in self.then.items() if at[0] in names},
        )

    def takes(self, topic: str, earlier: Iterable[Origin]) -> bool:
        """Return whether a record before the ends counts that lay in some places earlier."""
        return topic not in self._moved or counts(topic, earlier, self.then)

    @cached_property
    def _moved(self) -> set[str]:
        return {topic for topic, _, _ in self.then}


def cut(
    named: Iterable[tuple[str, int, int, int]], builds: Mapping[str, int], ends: Mapping[tuple[str, int], int]
) -> Cut:
    """Return how far the log counts by positions of any build.

    Args:
        named: Topic, partition, offset behind the last record that counts, and build.
        builds: Build number of each topic now.
        ends: Where each partition of those topics ends now.

    Raises:
        ValueError: there is no such topic, build or partition, or it ends before.
    """
    now, then = dict[tuple[str, int], int](), dict[tuple[str, int, int], int]()
    for topic, partition, offset, build in named:
        if topic not in builds or not any(name == topic for name, _ in ends):
            raise ValueError(f"{topic} is no topic of facts")
        if not 0 < build <= builds[topic]:
            raise ValueError(f"{topic} is build {builds[topic]} here, and this is about build {build}")
        if build < builds[topic]:
            then[topic, build, partition] = offset
            continue
        end = ends.get((topic, partition))
        if end is None:
            raise ValueError(f"{topic} has no partition {partition}")
        if not 0 <= offset <= end:
            raise ValueError(f"{topic}-{partition} ends at {end:,}, before {offset:,}")
        now[topic, partition] = offset
    older = {topic for topic, _, _ in then}
    return Cut({**now, **{at: end for at, end in ends.items() if at[0] in older}}, then)
