"""What a fact may hold when it is sent, beyond what the contract says of it.

A producer alone refuses what passes these limits: what lies in a log already stays valid, whoever made them stricter.
docs/limits.md has them as a table.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from streams.errors import Poison
from streams.events import Event

MAX_NAME = 2_000
"""Characters of whatever has no limit of its own: names, references, versions."""

MAX_TEXTS = {"text": 100_000, "anchor": 10_000, "attributes": 10_000}
"""Characters of what people write in lines: texts, anchors and the values of attributes."""

MAX_PARTS = 10_000
"""Parts of a list or mapping that has no limit of its own."""

MAX_PARTS_OF = {"attributes": 200, "features": 20_000}
"""Parts of these."""

_SHORT = MAX_PARTS_OF["attributes"] * len('"":"",')  # bytes of JSON in which no limit of a size can be passed

# As JSON has them: C0 controls are escaped, the others are UTF-8.
_SUSPICIOUS = re.compile(rb"\\[bfnrtu]|\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xef\xbf[\xbe\xbf]")

# Nothing that a terminal obeys, that turns the order of what is read (Unicode TR 36), or that is no character at all.
_IN_NO_TEXT = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff"
_BAD_TEXT = re.compile(f"[{_IN_NO_TEXT}]")
_BAD_NAME = re.compile(f"[{_IN_NO_TEXT}\\t\\n\\r\\u2028\\u2029]")


def check_sent(event: Event) -> None:
    """Check a fact that is about to be sent.

    Raises:
        Poison: `invalid`: a control character or half of a surrogate pair, a number that is not finite, a text that is
            too long, or a list of too many; with the field and the remedy.
    """
    try:
        said = orjson.dumps(event)
    except TypeError:  # half of a pair, which the search below names, or no value of the contract: the codec names it
        said = b"\\u"
    if len(said) <= _SHORT and not event.get("features") and _SUSPICIOUS.search(said) is None:
        return
    for name, part in event.items():
        for trouble in _troubles(name, name, part):
            raise Poison("invalid", trouble)


def _troubles(path: str, field: str, part: Any) -> Iterator[str]:
    """Yield what is wrong with a part of a fact.

    Args:
        path: Where it is, as people read it.
        field: The field that it is of; what lies in a mapping is of the mapping.
        part: The part.
    """
    match part:
        case str():
            yield from _troubles_of_text(path, field, part)
        case float():
            if not math.isfinite(part):
                yield f"{path} is {part}: give a finite number, or leave it out"
        case Mapping():
            yield from _too_many(path, field, part)
            for name, inner in part.items():
                yield from _troubles_of_text(f"a name in {path}", "", name)
                yield from _troubles(f"{path}.{name}", field if field == "attributes" else name, inner)
        case list() | tuple():
            yield from _too_many(path, field, part)
            for n, inner in enumerate(part):
                yield from _troubles(f"{path}[{n}]", field, inner)


def _too_many(path: str, field: str, parts: Mapping[str, Any] | Sequence[Any]) -> Iterator[str]:
    most = MAX_PARTS_OF.get(field, MAX_PARTS)
    if len(parts) > most:
        yield f"{path} has {len(parts):,} parts: give at most {most:,}"


def _troubles_of_text(path: str, field: str, text: str) -> Iterator[str]:
    if len(text) > (most := MAX_TEXTS.get(field, MAX_NAME)):
        yield f"{path} has {len(text):,} characters: give at most {most:,}"
    found = (_BAD_TEXT if field in MAX_TEXTS else _BAD_NAME).search(text)
    if found is not None:
        code = ord(found.group())
        what = "half of a surrogate pair" if 0xD800 <= code <= 0xDFFF else "a control character"
        yield f"{path[:200]!r} has {what}, U+{code:04X}, at {found.start()}: leave it out"
