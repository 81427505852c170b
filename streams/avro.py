"""Readers and writers of Avro records, compiled to Python source from their schemas.

fastavro walks the schema at every record and tries the branches of a union; what is written out here once for each
schema does neither. The bytes and the records are the same (tests/unit/test_avro.py compares them): a reader is about
twice as fast, a writer about three times.

Only what our schemas are made of is known: records, arrays, maps, the primitive types but float, and null beside one
other type. Another schema is refused when it is compiled.
"""

from collections.abc import Callable
from struct import Struct
from struct import error as StructError
from typing import Any

Writer = Callable[[dict[str, Any]], bytes]
"""Returns a record's bytes."""

Reader = Callable[[bytes, int], tuple[dict[str, Any], int]]
"""Returns the record that begins at a place, and the place behind it, which may lie behind the end of the bytes."""

_DOUBLE = Struct("<d")
_LONGEST = 10  # bytes of a 64-bit number


def writer(schema: Any) -> Writer:
    """Return the writer of a parsed schema of a record.

    The writer raises ValueError, TypeError or KeyError for a record that does not match; the fields that are left out
    take their defaults, or null where that is allowed.
    """
    source = _Source("write")
    call = source.of_record(schema)
    source.line(0, "def writer(record):")
    source.line(1, "out = []")
    source.line(1, "try:")
    source.line(2, f"{call}(record, out.append)")
    source.line(1, "except (AttributeError, StructError) as error:")  # of what is no text, or no number
    source.line(2, "raise TypeError(error) from error")
    source.line(1, "return b''.join(out)")
    names = {"number": _number, "NUMBERS": _NUMBERS, "double": _DOUBLE.pack, "raw": _raw, "StructError": StructError}
    return source.compiled("writer", names)  # type: ignore[no-any-return]


def reader(schema: Any) -> Reader:
    """Return the reader of a parsed schema of a record.

    The reader raises ValueError, IndexError or struct.error for bytes that are no such record.
    """
    source = _Source("read")
    name = source.of_record(schema)
    return source.compiled(name, {"number": _read_number, "double": _DOUBLE.unpack_from})  # type: ignore[no-any-return]


class _Source:
    """Source text of the functions of one schema; a function for each record.

    Args:
        way: `write` or `read`.
    """

    def __init__(self, way: str) -> None:
        self._way, self._lines, self._records, self._names = way, list[str](), dict[str, str](), 0
        self._fields: dict[str, Any] = {}

    def compiled(self, name: str, names: dict[str, Any]) -> Any:
        """Return one of the functions."""
        exec("\n".join(self._lines), names)
        return names[name]

    def line(self, depth: int, text: str) -> None:
        """Add a line."""
        self._lines.append("    " * depth + text)

    def name(self) -> str:
        """Return a new name."""
        self._names += 1
        return f"v{self._names}"

    def of_record(self, schema: Any) -> str:
        """Return the name of a record's function, which is written if it is not there."""
        known = schema if isinstance(schema, str) else schema["name"]
        if known not in self._records:
            lines, self._lines = self._lines, []
            self._records[known] = f"{self._way}{len(self._records)}"
            (self._write_record if self._way == "write" else self._read_record)(self._records[known], schema["fields"])
            self._lines = self._lines + lines  # before those that call it
        return self._records[known]

    def _write_record(self, name: str, fields: list[dict[str, Any]]) -> None:
        self.line(0, f"def {name}(record, put):")
        for field in fields:
            got, value = self.name(), f"record[{field['name']!r}]"
            if "default" in field or "null" in field["type"]:
                value = f"record.get({field['name']!r}, {field.get('default')!r})"
            self.line(1, f"{got} = {value}")
            self._write(field["type"], got, 1)

    def _write(self, schema: Any, value: str, depth: int) -> None:
        """Add what puts `value`."""
        match _kind(schema):
            case "union":
                self.line(depth, f"if {value} is None:")
                self.line(depth + 1, r"put(b'\0')")
                self.line(depth, "else:")
                self.line(depth + 1, r"put(b'\2')")
                self._write(schema[1], value, depth + 1)
            case "string" | "bytes" as kind:
                self.line(depth, f"{value} = {f'{value}.encode()' if kind == 'string' else f'raw({value})'}")
                self.line(depth, f"n = len({value})")
                self.line(depth, f"put(NUMBERS[n] if n < {len(_NUMBERS)} else number(n))")
                self.line(depth, f"put({value})")
            case "int" | "long":
                self.line(depth, f"put(NUMBERS[{value}] if 0 <= {value} < {len(_NUMBERS)} else number({value}))")
            case "double":
                self.line(depth, f"put(double({value}))")
            case "boolean":
                self.line(depth, rf"put(b'\1' if {value} else b'\0')")
            case "array":
                one = self.name()
                self.line(depth, f"if len({value}):")
                self.line(depth + 1, f"put(number(len({value})))")
                self.line(depth + 1, f"for {one} in {value}:")
                self._write(schema["items"], one, depth + 2)
                self.line(depth, r"put(b'\0')")
            case "map":
                key, one = self.name(), self.name()
                self.line(depth, f"if len({value}):")
                self.line(depth + 1, f"put(number(len({value})))")
                self.line(depth + 1, f"for {key}, {one} in {value}.items():")
                self._write("string", key, depth + 2)
                self._write(schema["values"], one, depth + 2)
                self.line(depth, r"put(b'\0')")
            case _:
                self.line(depth, f"{self.of_record(schema)}({value}, put)")

    def _read_record(self, name: str, fields: list[dict[str, Any]]) -> None:
        self.line(0, f"def {name}(raw, at):")
        got = {field["name"]: self.name() for field in fields}
        for field in fields:
            self._read(field["type"], got[field["name"]], 1)
        self.line(1, f"return {{{', '.join(f'{field!r}: {value}' for field, value in got.items())}}}, at")

    def _read_number(self, depth: int) -> None:
        self.line(depth, "n = raw[at]")
        self.line(depth, "at += 1")
        self.line(depth, "if n > 127:")
        self.line(depth + 1, "n, at = number(raw, at - 1)")

    def _read(self, schema: Any, value: str, depth: int) -> None:
        """Add what reads `value`."""
        match _kind(schema):
            case "union":
                self._read_number(depth)
                self.line(depth, "if n == 0:")
                self.line(depth + 1, f"{value} = None")
                self.line(depth, "elif n == 2:")
                self._read(schema[1], value, depth + 1)
                self.line(depth, "else:")
                self.line(depth + 1, "raise ValueError(f'no branch {n >> 1} of a union')")
            case "string" | "bytes" as kind:
                self._read_number(depth)
                self.line(depth, "if n & 1:")
                self.line(depth + 1, "raise ValueError('a negative length')")
                self.line(depth, "end = at + (n >> 1)")
                self.line(depth, f"{value} = raw[at:end]{'.decode()' if kind == 'string' else ''}")
                self.line(depth, "at = end")
            case "int" | "long":
                self._read_number(depth)
                self.line(depth, f"{value} = n >> 1 ^ -(n & 1)")
            case "double":
                self.line(depth, f"({value},) = double(raw, at)")
                self.line(depth, "at += 8")
            case "boolean":
                self.line(depth, f"{value} = raw[at] != 0")
                self.line(depth, "at += 1")
            case "array":
                one = self.name()
                self.line(depth, f"{value} = []")
                self._read_blocks(depth)
                self._read(schema["items"], one, depth + 2)
                self.line(depth + 2, f"{value}.append({one})")
            case "map":
                key, one = self.name(), self.name()
                self.line(depth, f"{value} = {{}}")
                self._read_blocks(depth)
                self._read("string", key, depth + 2)
                self._read(schema["values"], one, depth + 2)
                self.line(depth + 2, f"{value}[{key}] = {one}")
            case _:
                self.line(depth, f"{value}, at = {self.of_record(schema)}(raw, at)")

    def _read_blocks(self, depth: int) -> None:
        """Add the loops over what an array or map holds; every one of them takes a byte at least."""
        self.line(depth, "while True:")
        self._read_number(depth + 1)
        self.line(depth + 1, "if n == 0:")
        self.line(depth + 2, "break")
        count = self.name()
        self.line(depth + 1, f"{count} = n + 1 >> 1")
        self.line(depth + 1, "if n & 1:")  # a negative count: the block's size in bytes follows
        self._read_number(depth + 2)
        self.line(depth + 1, f"for _ in range({count}):")


def _kind(schema: Any) -> str:
    """Return what a schema is: `union` of null and one other, `record`, or its type.

    Raises:
        NotImplementedError: it is something else.
    """
    if isinstance(schema, list):
        if len(schema) != 2 or schema[0] != "null":
            raise NotImplementedError(f"a union that is not null beside one other type: {schema}")
        return "union"
    kind: str = schema if isinstance(schema, str) else schema["type"]
    if kind in ("record", "array", "map", "string", "bytes", "int", "long", "double", "boolean"):
        return kind
    if "." in kind:
        return "record"  # by its name: it was defined before
    raise NotImplementedError(f"Avro's {kind} is in no schema of ours")


def _number(value: int) -> bytes:
    """Return a number as Avro writes it: zigzag, seven bits a byte, the lowest first.

    Raises:
        OverflowError: it has more than 64 bits.
        TypeError: it is no integer.
    """
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(f"{value} has more than 64 bits")
    left = (value << 1) ^ (value >> 63)
    found = bytearray()
    while left > 127:
        found.append(left & 127 | 128)
        left >>= 7
    found.append(left)
    return bytes(found)


_NUMBERS = tuple(map(_number, range(1024)))
"""The frequent ones: lengths of texts and small counts."""


def _raw(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{value!r} is not bytes")
    return value


def _read_number(raw: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, zigzag as it is there, and the place behind it.

    Raises:
        ValueError: it has more than 64 bits.
        IndexError: the bytes end before it does.
    """
    found = shift = 0
    while True:
        byte = raw[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift >= 7 * _LONGEST:
            raise ValueError("a number of more than 64 bits")
    if found >> 64:
        raise ValueError("a number of more than 64 bits")
    return found, at
