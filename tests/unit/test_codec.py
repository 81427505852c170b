"""The wire format, and what cannot be read from it."""

import pytest

from streams import codec, contract
from streams.errors import Poison

LABEL = contract.examples()["labels"]["minimal"]
RAW = codec.encode("labels", LABEL)


def test_a_record_begins_with_zero_and_its_schema_id() -> None:
    assert RAW[0] == 0
    assert int.from_bytes(RAW[1:5], "big") == codec.schema_id("labels")


@pytest.mark.parametrize(
    ("raw", "reason", "said"),
    [
        (None, "undecodable", "0x00"),
        (b"", "undecodable", "0x00"),
        (b"{}", "undecodable", "0x00"),
        (b"\x01" + RAW[1:], "undecodable", "0x00"),
        (RAW[:-1], "undecodable", "not a labels record"),
        (RAW + b"\0", "undecodable", "1 bytes follow"),
        (b"\0\xff\xff\xff\xff" + RAW[5:], "unknown_schema", "lock.json"),
    ],
    ids=["none", "empty", "json", "other magic", "cut", "too long", "unknown id"],
)
def test_what_cannot_be_read_is_poison_with_a_remedy(raw: bytes | None, reason: str, said: str) -> None:
    with pytest.raises(Poison, match=said) as caught:
        codec.decode(raw)
    assert caught.value.reason == reason


def test_fields_left_out_take_their_defaults() -> None:
    assert codec.decode(RAW)[1]["attributes"] == {}


def test_a_record_of_another_shape_is_not_encoded() -> None:
    with pytest.raises((TypeError, ValueError)):
        codec.encode("labels", {**LABEL, "value": {"kind": "choice", "choice": 3}})


@pytest.mark.timeout(30, method="thread")  # no signal ends it in fastavro
def test_an_endless_array_that_a_newer_schema_passes_over_is_refused_at_once() -> None:
    """Schema 1 has an array of doubles that the newest schema of its name lacks: it claims 2**40 of them."""
    start, skill = b"\0" * 6 + b"\2", b"\0\0" + bytes(8) + b"\0\0"
    sane = b"\0" + (1).to_bytes(4, "big") + start + skill
    assert codec.decode(sane + b"\0\0")[1]["annotators"][0]["annotator"] == ""
    with pytest.raises(Poison, match="not a annotators record of schema 1"):
        codec.decode(sane + b"\x80\x80\x80\x80\x80\x40" + b"\0")
