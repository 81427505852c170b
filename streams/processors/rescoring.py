"""Scoring the items of a project again, in slices.

A slice ends with a record that asks for the next one, in the same transaction as the offset that passes it: so a crash
costs a slice at most, and facts are handled between two slices.
"""

from bisect import bisect_right
from typing import Any

from streams.keys import item_key, make_key, split_key
from streams.transport.batch import Rows

SLICE_ITEMS = 500
"""Items of a slice: some 50 ms."""


class Slices:
    """Cuts the rows of a project into slices; it remembers their order between two of them."""

    def __init__(self) -> None:
        self._keys: dict[tuple[int, str], tuple[object, list[bytes]]] = {}  # and the order they were listed for

    def next(self, rescore: dict[str, Any], partition: int, rows: Rows) -> tuple[list[bytes], dict[str, Any] | None]:
        """Return the keys of a slice, and the record that asks for the next one, None after the last.

        Args:
            rescore: A record of the schema `rescores`.
            partition: Its partition.
            rows: The rows of that partition.
        """
        at, after = (partition, rescore["project"]), rescore["after"]
        order = rescore["refit"], rescore["request"]
        listed_for, keys = self._keys.get(at, (None, []))
        if listed_for != order or after is None:
            keys = rows.scan(make_key(rescore["project"]) + b"/")
            self._keys[at] = order, keys
        start = 0 if after is None else bisect_right(keys, item_key(rescore["project"], after))
        now = keys[start : start + SLICE_ITEMS]
        if start + SLICE_ITEMS >= len(keys):
            del self._keys[at]
            return now, None
        return now, {**rescore, "after": split_key(now[-1])[1]}
