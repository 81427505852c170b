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
