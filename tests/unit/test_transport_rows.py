"""State rows: one contract for either store, and an overlay that reaches the store only after the commit."""

from pathlib import Path

import orjson
import pytest

from streams.transport.batch import Row
from streams.transport.stores import MemoryStore, Store
from streams.transport.table import Overlay, PartitionRows, encode_rows
from tests.unit.transport_fakes import STORES


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path)


def encoded(row: Row) -> tuple[None, bytes]:
    """Return a row as the recovery has it: not decoded yet."""
    return None, orjson.dumps(row)


def test_unknown_rows_and_offsets_are_none(store: Store) -> None:
    assert store.get(0, b"a") is None
    assert store.offset(0) is None


def test_rows_are_read_back_with_the_offset_they_reach(store: Store) -> None:
    store.write(0, {b"a": encoded({"n": 1}), b"b": ({"n": 2}, b'{"n":2}')}, 7)
    assert (store.get(0, b"a"), store.get(0, b"b"), store.offset(0)) == ({"n": 1}, {"n": 2}, 7)


def test_rows_without_an_offset_leave_it_as_it_was(store: Store) -> None:
    store.write(0, {}, 7)
    store.write(0, {b"a": encoded({"n": 1})}, None)
    assert (store.get(0, b"a"), store.offset(0)) == ({"n": 1}, 7)


def test_the_same_key_in_two_partitions_is_two_rows(store: Store) -> None:
    store.write(0, {b"cursor": encoded({"n": 1})}, 1)
    store.write(3, {b"cursor": encoded({"n": 2})}, 2)
    assert (store.get(0, b"cursor"), store.get(3, b"cursor")) == ({"n": 1}, {"n": 2})
    assert (store.offset(0), store.offset(3)) == (1, 2)


def test_a_recovered_row_is_decoded_once_and_then_the_row_itself() -> None:
    store = MemoryStore()
    store.write(0, {b"a": encoded({"n": 1}), b"b": (None, b"never asked for, never decoded")}, 1)
    row = store.get(0, b"a")
    assert row == {"n": 1}
    assert store.get(0, b"a") is row
    assert store.scan(0, b"") == [b"a", b"b"]


def test_rows_of_kept_partitions_stay(store: Store) -> None:
    store.write(0, {b"a": encoded({"n": 1})}, 1)
    store.write(1, {b"b": encoded({"n": 2})}, 2)
    store.keep([1])
    assert (store.get(1, b"b"), store.offset(1)) == ({"n": 2}, 2)
    # what is forgotten is forgotten as a whole: rows without their offset, or the reverse, would be lost rows
    assert (store.get(0, b"a") is None) == (store.offset(0) is None)


def test_the_keys_of_a_prefix_are_found_and_no_others(store: Store) -> None:
    keys = [b"p/a", b"p/b", b"p%2Fx/a", b"pp/a", b"o/z", b"zz"]
    store.write(0, {key: encoded({"n": 1}) for key in keys}, 7)
    store.write(1, {b"p/elsewhere": encoded({"n": 1})}, 1)
    assert sorted(store.scan(0, b"p/")) == [b"p/a", b"p/b"]
    assert store.scan(2, b"p/") == []


# Overlay


def test_keys_are_found_before_the_commit_too_each_once(store: Store) -> None:
    overlay = Overlay(store)
    for keys in ([b"p/b"], [b"p/c", b"p/b"]):
        overlay.put(0, encode_rows({key: {"n": 1} for key in keys}))
        overlay.seal()
    overlay.put(0, encode_rows({b"p/a": {"n": 1}, b"q/a": {"n": 1}}))
    assert PartitionRows(overlay, 0).scan(b"p/") == [b"p/a", b"p/b", b"p/c"]


def test_rows_reach_the_store_only_after_the_commit(store: Store) -> None:
    overlay = Overlay(store)
    overlay.put(0, encode_rows({b"a": {"n": 1}}))
    assert overlay.get(0, b"a") == {"n": 1}
    assert store.get(0, b"a") is None
    overlay.seal()
    assert overlay.get(0, b"a") == {"n": 1}
    assert store.get(0, b"a") is None
    assert overlay.dirty()
    overlay.apply({0: 4})
    assert (store.get(0, b"a"), store.offset(0)) == ({"n": 1}, 4)
    assert not overlay.dirty()


def test_the_newest_layer_is_read(store: Store) -> None:
    store.write(0, {b"a": encoded({"n": 1})}, 1)
    overlay = Overlay(store)
    overlay.put(0, encode_rows({b"a": {"n": 2}}))
    overlay.seal()
    assert overlay.get(0, b"a") == {"n": 2}
    overlay.put(0, encode_rows({b"a": {"n": 3}}))
    assert overlay.get(0, b"a") == {"n": 3}
    overlay.apply({0: 2})
    assert overlay.get(0, b"a") == {"n": 3}
    assert store.get(0, b"a") == {"n": 2}


def test_overlays_of_two_partitions_do_not_mix(store: Store) -> None:
    overlay = Overlay(store)
    overlay.put(0, encode_rows({b"cursor": {"n": 1}}))
    overlay.put(1, encode_rows({b"cursor": {"n": 2}}))
    assert (overlay.get(0, b"cursor"), overlay.get(1, b"cursor")) == ({"n": 1}, {"n": 2})
    assert overlay.get(2, b"cursor") is None


def test_copies_protect_the_rows(store: Store) -> None:
    overlay = Overlay(store)
    overlay.put(0, encode_rows({b"a": {"tags": ["x"]}}))
    row = PartitionRows(overlay, 0, copies=True).get(b"a")
    assert row is not None
    row["tags"].append("y")
    assert overlay.get(0, b"a") == {"tags": ["x"]}
    assert PartitionRows(overlay, 0, copies=True).get(b"b") is None
