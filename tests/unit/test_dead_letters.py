"""A dead letter tells of every record, however large, and fits into its topic."""

from streams import codec
from streams.catalogue import MAX_FACT_BYTES
from streams.clients import MAX_RECORD_BYTES
from streams.dead_letters import MAX_CARRIED_BYTES, DeadLetter


def letter(key: bytes | None, value: bytes | None, detail: str = "why") -> DeadLetter:
    return DeadLetter("items", "x.labels", 1, 7, 5, key, value, "invalid", detail)


def test_it_carries_the_record_and_where_it_lies() -> None:
    name, told = codec.decode(letter(b"p/i", b"bytes").encode())
    assert name == "dead_letters"
    assert (told["topic"], told["partition"], told["offset"], told["reason"]) == ("x.labels", 1, 7, "invalid")
    assert (told["key"], told["value"], told["value_bytes"]) == (b"p/i", b"bytes", 5)
    assert codec.decode(letter(None, None).encode())[1]["key"] is None


def test_it_fits_whatever_the_record() -> None:
    key, value = b"\0" * 2_000_000, b"\xff" * (MAX_CARRIED_BYTES + 1)
    for one in (letter(key, value, repr(key)), letter(key, value[:-1], repr(key))):
        assert len(one.record_key) + len(one.encode()) < MAX_RECORD_BYTES
    told = codec.decode(letter(key, value).encode())[1]
    assert (told["value"], told["value_head"][:2], told["value_bytes"]) == (None, b"\xff\xff", len(value))
    assert MAX_FACT_BYTES < MAX_CARRIED_BYTES
