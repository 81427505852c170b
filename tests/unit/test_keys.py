"""Keys never collide, can be split again, and hash as every Java client hashes them."""

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from streams.keys import item_key, make_key, murmur2, partition_of, split_key

parts = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4)


@given(parts)
def test_a_key_splits_into_what_it_was_made_of(made_of: list[str]) -> None:
    assert split_key(make_key(*made_of)) == made_of


@given(parts, parts)
def test_no_two_keys_collide(one: list[str], other: list[str]) -> None:
    assert (make_key(*one) == make_key(*other)) == (one == other)


@given(parts)
def test_a_key_holds_only_characters_that_need_no_escape(made_of: list[str]) -> None:
    allowed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%/"
    assert not {*make_key(*made_of)} - {*allowed}


def test_an_item_key_is_percent_encoded_utf8() -> None:
    assert item_key("birds", "img-7") == b"birds/img-7"
    assert item_key("a/b", "Zaunkönig 1%") == b"a%2Fb/Zaunk%C3%B6nig%201%25"


@given(st.binary(max_size=64))
def test_murmur2_is_the_one_of_kafka(data: bytes) -> None:
    assert murmur2(data) == reference(data) & 0x7FFFFFFF


@given(st.binary(max_size=16), st.integers(1, 64))
def test_a_partition_exists(data: bytes, partitions: int) -> None:
    assert 0 <= partition_of(data, partitions) < partitions
