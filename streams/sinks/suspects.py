"""Which facts of many might be invalid: judged by whole columns, for nearly all are valid.

`events.validate` alone says what is invalid. What depends on wide columns, where nearly every value is another, is
asked of the columns; then one fact stands for all that are equal in the rest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from streams import events
from streams.errors import Poison

_REST: Mapping[str, tuple[str, ...]] = {"items": (), "labels": ("value", "retracted")}
"""Fields that the check of a topic reads beside the envelope and `_durations`; of other topics each fact is checked."""


def suspects(topic: str, fields: Mapping[str, Sequence[Any]], log_times: Sequence[int]) -> set[int]:
    """Return the indices of the facts that might be invalid; all others are valid.

    Args:
        topic: Topic's name in the catalogue.
        fields: The facts by field; equal values that are no texts or numbers may be one object.
        log_times: The log's timestamps, ms.
    """
    names = tuple(fields)
    if topic not in _REST:
        facts = zip(*fields.values(), strict=True)
        return {
            n
            for n, (fact, log_time) in enumerate(zip(facts, log_times, strict=True))
            if not _is_valid(topic, dict(zip(names, fact, strict=True)), log_time)
        }
    found = {
        *_outside(fields["event_id"], 200),
        *_outside(fields["project"], 200),
        *_outside(fields["item_id"], 500),
        *_untimely(fields["occurred_at"], log_times),
        *_negative(fields.get("duration_ms", ())),
    }
    keys = [*zip(*(map(id, fields[name]) for name in ("actor", *_REST[topic])), strict=True)]
    first = {key: n for n, key in reversed([*enumerate(keys)]) if n not in found}
    bad = {key for key, n in first.items() if not _is_valid(topic, {f: fields[f][n] for f in names}, log_times[n])}
    return found | {n for n, key in enumerate(keys) if key in bad} if bad else found


def _is_valid(topic: str, fact: events.Event, log_time: int) -> bool:
    try:
        events.validate(topic, fact, log_time)
    except Poison:
        return False
    return True


def _outside(texts: Sequence[str], most: int) -> Sequence[int]:
    sizes = [*map(len, texts)]
    if min(sizes) > 0 and max(sizes) <= most:
        return ()
    return [n for n, size in enumerate(sizes) if not 0 < size <= most]


def _untimely(times: Sequence[int | None], log_times: Sequence[int]) -> Sequence[int]:
    if times.count(None) == len(times):
        return ()
    ahead = events.MAX_AHEAD_MS
    return [
        n
        for n, (time, log_time) in enumerate(zip(times, log_times, strict=True))
        if time is not None and not 0 <= time <= log_time + ahead
    ]


def _negative(numbers: Sequence[int | None]) -> Sequence[int]:
    if numbers.count(None) == len(numbers):
        return ()
    return [n for n, number in enumerate(numbers) if number is not None and number < 0]
