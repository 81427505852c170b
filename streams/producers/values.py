"""What may be given as a label or a time, and what it means."""

import re
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from numbers import Integral, Real
from typing import Any

from streams import events
from streams.errors import LabelloopError
from streams.events import Value

Answer = str | bool | int | float | Sequence[str] | Set[str] | Mapping[str, Any]
"""What may be given as a label value; `as_value` says what becomes of each."""


_NUMBER = re.compile(r"\d+(\.\d*)?")
_EPOCH_S = (1e8, 1e11)  # 1973 to 5138; outside of both: a date without hyphens, microseconds, a slip
_EPOCH_MS = (1e11, 1e14)


class InvalidFact(LabelloopError, ValueError):
    """A fact that breaks the contract; it cannot be sent."""


def as_value(answer: Answer) -> Value:
    """Return the label value that `answer` means.

    A text, a whole number or a truth value is a choice ("3", "true"); a float is a number; a list, tuple or set of
    texts or whole numbers is a set of choices, kept sorted; a mapping is a value record: `kind`, and the field of
    that name.

    Raises:
        InvalidFact: it is nothing of these.
    """
    match answer:
        case str():
            return events.choice(answer)
        case Integral():  # numpy's too
            return events.choice(_class_name(answer))
        case Real():
            return events.value_of("number", float(answer))
        case Mapping() if answer.get("kind") in events.VALUE_KINDS and not {*answer} - {"kind", *events.VALUE_KINDS}:
            kind = answer["kind"]
            if any(answer.get(other) is not None for other in events.VALUE_KINDS if other != kind):
                raise InvalidFact(f"a value of kind {kind} sets other fields too: set {kind} only")
            content = answer.get(kind)
            return events.value_of(kind, sorted(content) if kind == "choices" and content else content)
        case list() | tuple() | Set() if all(isinstance(part, str | Integral) for part in answer):
            return events.value_of("choices", sorted(map(_class_name, answer)))
    raise InvalidFact(
        f"{answer!r:.100} is no label value: give a class, a list of classes, a float, or {{'kind': …}} with one of "
        + ", ".join(events.VALUE_KINDS)
    )


def as_time(moment: object) -> int | None:
    """Return a time in ms since 1970 UTC, None if it is unusable.

    Args:
        moment: ISO 8601, where no zone means UTC; or seconds or milliseconds since 1970 UTC, told apart by their size.
    """
    if isinstance(moment, str):
        if not _NUMBER.fullmatch(moment):
            try:
                parsed = datetime.fromisoformat(moment)
            except ValueError:
                return None
            return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
        moment = float(moment)
    if isinstance(moment, int | float) and not isinstance(moment, bool):
        if _EPOCH_S[0] <= moment < _EPOCH_S[1]:
            return round(moment * 1000)
        if _EPOCH_MS[0] <= moment < _EPOCH_MS[1]:
            return int(moment)
    return None


def _class_name(label: object) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)
