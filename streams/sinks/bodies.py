"""Avro bodies of one schema become columns, all at once: numpy walks through every body in step, field by field.

A body that is not plainly one of the schema is left out, for `codec.decode` to judge: broken ones, and a few that are
sound but unusual, e.g. long lists. What is taken says exactly what `codec.decode` says of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from fastavro import parse_schema, schemaless_reader
from numpy.typing import NDArray

from streams import codec

Ints = NDArray[np.int64]

_PAD = bytes(4096)
"""Behind the bodies: where the walk of a broken one ends. All nulls and nothings, longer than a record of those."""

_MOST = {"record": 8, "array": 8, "map": 8}
"""Elements of a list of these that are walked through; each takes a turn of its own over all bodies."""
_MOST_PLAIN = 100


def decode(name: str, values: Sequence[bytes | None]) -> tuple[dict[str, list[Any]], list[int]]:
    """Return records by field, and which ones these are.

    Args:
        name: Schema; only bodies of its newest version are taken.
        values: Records in the Confluent wire format.

    Returns:
        The values of each field, and the indices of the records taken, rising. Equal values may be one object.
    """
    header, fields = codec.newest(name)[0], _fields(name)
    taken = [n for n, value in enumerate(values) if value is not None and value.startswith(header)]
    bodies = _Bodies([values[n] for n in taken])  # type: ignore[misc]
    part = _Part(bodies, np.arange(len(taken)), bodies.ends, bodies.starts + codec.HEADER_BYTES)
    found = {field: read(part) for field, read in fields}
    part.refuse(part.at != part.ends)
    if not bodies.odd.any():
        return found, taken
    good = np.flatnonzero(~bodies.odd).tolist()
    return {field: [column[n] for n in good] for field, column in found.items()}, [taken[n] for n in good]


class _Bodies:
    """Bodies one behind the other, and which of them turned out to be odd."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self.data = b"".join([*bodies, _PAD])
        self.text = self.data.decode("latin-1")  # a character a byte: where all is ASCII, slices of it are the texts
        self.bytes = np.frombuffer(self.data, np.uint8)
        self.ends = np.cumsum(np.fromiter(map(len, bodies), np.int64, len(bodies)))
        self.starts = np.concatenate((np.zeros(1, np.int64), self.ends[:-1]))[: len(bodies)]
        self.odd = np.zeros(len(bodies), bool)


class _Part:
    """Some of the bodies: their rows, their ends, and where each is read next."""

    def __init__(self, bodies: _Bodies, rows: Ints, ends: Ints, at: Ints) -> None:
        self.bodies, self.rows, self.ends, self.at = bodies, rows, ends, at

    def pick(self, which: Ints) -> "_Part":
        """Return some of them; give them back with `put`."""
        return _Part(self.bodies, self.rows[which], self.ends[which], self.at[which])

    def put(self, which: Ints, part: "_Part") -> None:
        """Go on behind what was read of some."""
        self.at[which] = part.at

    def refuse(self, bad: NDArray[np.bool_]) -> None:
        """Give up on some: they are read no further than to nothing."""
        if bad.any():
            self.bodies.odd[self.rows[bad]] = True
            self.at[bad] = self.bodies.bytes.size - len(_PAD)

    def take(self, sizes: Ints | int) -> Ints:
        """Pass over so many bytes and return where they begin."""
        start = self.at
        self.at = start + sizes
        return start

    def byte(self) -> NDArray[np.uint8]:
        """Read a byte of each."""
        return self.bodies.bytes[self.take(1)]

    def longs(self) -> Ints:
        """Read a zigzag variable-length integer of each, of at most 63 bits."""
        byte = self.byte()
        found = (byte & 0x7F).astype(np.int64)
        more, shift = np.flatnonzero(byte & 0x80), 7
        while more.size and shift < 63:
            next_ = self.bodies.bytes[self.at[more]]
            found[more] |= (next_ & 0x7F).astype(np.int64) << shift
            self.at[more] += 1
            more, shift = more[next_ >= 0x80], shift + 7
        if more.size:
            bad = np.zeros(found.size, bool)
            bad[more] = True
            self.refuse(bad)
        return (found >> 1) ^ -(found & 1)

    def blobs(self) -> Ints:
        """Pass over bytes with their length before them; return where they begin."""
        return self.take(self._sizes(self.ends - self.at))

    def count(self, most: int) -> Ints:
        """Read the number of elements of a first block; none is smaller than a byte."""
        return self._sizes(np.minimum(most, self.ends - self.at))

    def _sizes(self, most: Ints) -> Ints:
        sizes = self.longs()
        bad = (sizes < 0) | (sizes > most)
        self.refuse(bad)
        sizes[bad] = 0
        return sizes

    def branch(self) -> Ints:
        """Read which branch of a union with null it is; return which are not null."""
        byte = self.byte()
        self.refuse((byte != 0) & (byte != 2))
        return np.flatnonzero(byte == 2)


Read = Callable[[_Part], list[Any]]
Skip = Callable[[_Part], object]


@cache
def _fields(name: str) -> tuple[tuple[str, Read], ...]:
    """Return how each field of a schema is read."""
    names: dict[str, Any] = {}
    schema: Any = codec.newest(name)[1]
    _collect(schema, names)
    return tuple((field["name"], _reader(field["type"], names)) for field in schema["fields"])


def _collect(schema: Any, names: dict[str, Any]) -> None:
    """Note the records of a schema by their full names."""
    if isinstance(schema, list):
        for part in schema:
            _collect(part, names)
    elif isinstance(schema, dict):
        if schema["type"] == "record":
            names[schema["name"]] = schema
        for inner in [field["type"] for field in schema.get("fields", ())] + [
            schema.get("items"),
            schema.get("values"),
        ]:
            _collect(inner, names)


def _standalone(schema: Any, names: Mapping[str, Any], seen: set[str]) -> Any:
    """Return a part of a schema that needs no other: what it names is defined where it is named first."""
    if isinstance(schema, list):
        return [_standalone(part, names, seen) for part in schema]
    if isinstance(schema, str):
        return schema if schema not in names or schema in seen else _standalone(names[schema], names, seen)
    if schema["type"] == "record":
        seen.add(schema["name"])
        fields = [{**f, "type": _standalone(f["type"], names, seen)} for f in schema["fields"]]
        return {"type": "record", "name": schema["name"], "fields": fields}
    inner = {key: _standalone(schema[key], names, seen) for key in ("items", "values") if key in schema}
    return {"type": schema["type"], **inner}


def _reader(schema: Any, names: Mapping[str, Any]) -> Read:
    """Return what reads a field."""
    if isinstance(schema, list):  # the contract knows no union but with null, null first
        return _optional(_reader(schema[1], names))
    if isinstance(schema, str) and schema not in names:
        return _PLAIN[schema]
    whole, skip = parse_schema(_standalone(schema, names, set())), _skipper(schema, names)

    def read(part: _Part) -> list[Any]:
        starts = part.at
        skip(part)
        data, memo = part.bodies.data, _Memo(whole)
        slices = [data[start:stop] for start, stop in zip(starts.tolist(), part.at.tolist(), strict=True)]
        found = list(map(memo.__getitem__, slices))
        if memo.bad:
            part.refuse(np.fromiter((one in memo.bad for one in slices), bool, len(slices)))
        return found

    return read


class _Memo(dict[bytes, Any]):
    """What bytes say, by the bytes: what repeats is decoded once."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self.bad: set[bytes] = set()

    def __missing__(self, raw: bytes) -> Any:
        body = BytesIO(raw)
        try:
            found: Any = schemaless_reader(body, self._schema, None)
        except Exception:  # as in `codec.decode`, which judges it
            found = None
            self.bad.add(raw)
        if body.tell() != len(raw):
            self.bad.add(raw)
        self[raw] = found
        return found


def _optional(read: Read) -> Read:
    def read_some(part: _Part) -> list[Any]:
        some = part.branch()
        found: list[Any] = [None] * part.at.size
        if some.size == len(found):
            return read(part)
        if some.size:
            inner = part.pick(some)
            for n, value in zip(some.tolist(), read(inner), strict=True):
                found[n] = value
            part.put(some, inner)
        return found

    return read_some


def _texts(part: _Part) -> list[Any]:
    text = part.bodies.text
    found: list[Any] = [text[start:stop] for start, stop in _spans(part)]
    if not "".join(found).isascii():
        bad = np.zeros(len(found), bool)
        for n, one in enumerate(found):
            if not one.isascii():
                try:
                    found[n] = one.encode("latin-1").decode()
                except UnicodeDecodeError:
                    bad[n] = True
        part.refuse(bad)
    return found


def _bytes(part: _Part) -> list[Any]:
    data = part.bodies.data
    return [data[start:stop] for start, stop in _spans(part)]


def _spans(part: _Part) -> Iterator[tuple[int, int]]:
    return zip(part.blobs().tolist(), part.at.tolist(), strict=True)


def _longs(part: _Part) -> list[Any]:
    found: list[Any] = part.longs().tolist()
    return found


def _doubles(part: _Part) -> list[Any]:
    eight = part.bodies.bytes[part.take(8)[:, None] + np.arange(8)]
    found: list[Any] = eight.view("<f8").ravel().tolist()
    return found


def _booleans(part: _Part) -> list[Any]:
    byte = part.byte()
    part.refuse(byte > 1)
    found: list[Any] = byte.astype(bool).tolist()
    return found


_PLAIN: dict[str, Read] = {
    "string": _texts,
    "bytes": _bytes,
    "long": _longs,
    "int": _longs,
    "double": _doubles,
    "boolean": _booleans,
}


def _skipper(schema: Any, names: Mapping[str, Any]) -> Skip:
    """Return what passes over a value."""
    if isinstance(schema, list):
        inner = _skipper(schema[1], names)

        def skip_some(part: _Part) -> None:
            some = part.branch()
            if some.size:
                picked = part.pick(some)
                inner(picked)
                part.put(some, picked)

        return skip_some
    if isinstance(schema, str):
        return _skipper(names[schema], names) if schema in names else _PLAIN_SKIPS[schema]
    if schema["type"] == "record":
        skips = [_skipper(field["type"], names) for field in schema["fields"]]

        def skip_record(part: _Part) -> None:
            for skip in skips:
                skip(part)

        return skip_record
    element = schema.get("items", schema.get("values"))
    value = _skipper(element, names)
    resolved = names.get(element, element) if isinstance(element, str) else element
    most = _MOST.get(resolved["type"], _MOST_PLAIN) if isinstance(resolved, dict) else _MOST_PLAIN

    def skip_elements(part: _Part) -> None:
        counts = part.count(most)
        for turn in range(int(counts.max(initial=0))):
            more = np.flatnonzero(counts > turn)
            picked = part.pick(more)
            if "values" in schema:
                picked.blobs()
            value(picked)
            part.put(more, picked)
        some = np.flatnonzero(counts)
        if some.size:
            picked = part.pick(some)
            picked.refuse(picked.byte() != 0)  # another block
            part.put(some, picked)

    return skip_elements


_PLAIN_SKIPS: dict[str, Skip] = {
    "string": _Part.blobs,
    "bytes": _Part.blobs,
    "long": _Part.longs,
    "int": _Part.longs,
    "double": lambda part: part.take(8),
    "boolean": _booleans,
}
