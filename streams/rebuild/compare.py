"""What a derived topic holds beside what the facts give: counts, and the records that put it right. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams import codec
from streams.catalogue import TIERS, TOPICS
from streams.errors import Poison
from streams.keys import partition_of

FITS = ("annotators", "skill", "agreement")
"""Topics of what a fit says; their records bear its number."""

TIER_TOPICS = tuple(f"review.{tier}" for tier in TIERS)

BUILT = (*TIER_TOPICS, "review.state", "disagreement", "judgements", "labels.corrected", *FITS)
"""Topics that follow from the facts alone."""

_BY_PROJECT = ("judgements", "skill", "agreement")
"""Topics that are partitioned by the first part of a key, its project."""

Place = tuple[int, bytes]
"""Partition and key."""


class Write(NamedTuple):
    """A record that puts a topic right; without a value it ends what the key had."""

    partition: int
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a live topic or table and the one built from the log differ, in keys or rows.

    Args:
        equal: In both, with the same content.
        differing: In both, with other content.
        missing: Only in what was built.
        extra: Only in the live one.
        writes: Of a topic, the records that put it right.
    """

    equal: int = 0
    differing: int = 0
    missing: int = 0
    extra: int = 0
    writes: tuple[Write, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.differing or self.missing or self.extra)


def compare(
    topic: str,
    expected: Mapping[bytes, bytes],
    live: Mapping[Place, bytes],
    partitions: int,
    refits: Mapping[str, int] | None = None,
) -> Comparison:
    """Compare the newest record of each key of a compacted topic.

    Args:
        topic: Catalogue name.
        expected: The value that the facts give, by key.
        live: The newest value of each key in each partition; none where that record has no value.
        partitions: Partitions of every item-keyed topic.
        refits: Of a topic of fits, number of the last fit of each project.
    """
    equal, changed = 0, list[Write]()
    missing = extra = 0
    homes = {(home(topic, key, partitions), key) for key in expected}
    for at in sorted(homes):
        found, right = live.get(at), expected[at[1]]
        if found is not None and _is_same(found, right):
            equal += 1
            continue
        missing += found is None
        changed.append(Write(*at, right))
    differing = len(changed) - missing
    for at, value in sorted(live.items()):
        if at not in homes and not _is_past(topic, value, refits or {}):
            extra += 1
            changed.append(Write(*at, None))
    return Comparison(equal, differing, missing, extra, tuple(changed))


def compare_tier(
    tier: str, expected: Mapping[bytes, bytes], live: Mapping[Place, bytes], partitions: int
) -> Comparison:
    """Compare who stands in a tier: each open task of it is there when the newest record of its key names its revision.

    What else a tier topic holds was superseded, which its readers see in `review.state`; and what a record says beyond
    the revision is as of the day when the task was put there.

    Args:
        tier: The tier, `p0` to `p3`.
        expected: What the facts give for `review.state`, by key.
        live: The newest value of each key in each partition of the tier's topic.
        partitions: Partitions of every item-keyed topic.
    """
    equal, changed = 0, list[Write]()
    for key, value in sorted(expected.items()):
        task = codec.decode(value)[1]
        if task["status"] != "open" or task["tier"] != tier:
            continue
        at = partition_of(key, partitions), key
        found = _content(live.get(at))
        if found.get("revision") == task["revision"]:
            equal += 1
        else:
            changed.append(Write(*at, value))
    known = sum(write[:2] in live for write in changed)
    return Comparison(equal, known, len(changed) - known, 0, tuple(changed))


def home(topic: str, key: bytes, partitions: int) -> int:
    """Return the partition of a key in a derived topic."""
    named = key.split(b"/", 1)[0] if topic in _BY_PROJECT else key
    return partition_of(named, TOPICS[topic].partitions or partitions)


def _is_same(one: bytes, other: bytes) -> bool:
    """Return whether two records say the same; one may have been written under an older schema."""
    return one == other or (bool(found := _content(one)) and found == _content(other))


def _content(value: bytes | None) -> dict[str, Any]:
    """Return what a record says, nothing where it cannot be read."""
    try:
        return dict(codec.decode(value)[1])
    except Poison:
        return {}


def _is_past(topic: str, value: bytes, refits: Mapping[str, int]) -> bool:
    """Return whether a record that the facts do not give is right all the same.

    What is no more stays where it was told: part of an earlier fit, which readers know by its number, and that a model
    is silent which spoke before.
    """
    found = _content(value)
    if not found:
        return False
    if topic in FITS:
        return bool(found["refit"] < refits.get(found["project"], 0))
    return topic == "judgements" and found["actor_kind"] == "model" and found["value"] is None


def told(comparison: Comparison) -> Iterator[str]:
    """Yield what differs, for people; nothing where nothing does."""
    for count, what in (
        (comparison.differing, "differ"),
        (comparison.missing, "are missing"),
        (comparison.extra, "should not be there"),
    ):
        if count:
            yield f"{count:,} {what}"
