"""Scoring the items of a project again, in slices.

A slice ends with a record that asks for the next one, in the same transaction as the offset that passes it: so a crash
costs a slice at most, and facts are handled between two slices. While facts come a slice is short, for they wait for
its end; with nothing else to do slices grow, for each costs a transaction. An order that comes while another one of the
project is carried out waits for its last slice: begun anew by each refit, the last items would never have their turn.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from streams import codec
from streams.keys import item_key, make_key, split_key
from streams.transport.batch import Batch, Rows

LEAST_ITEMS, MOST_ITEMS = 25, 500
"""Items of a slice while facts come, and while none do: some 3 and 60 ms."""

LISTING = 25
"""To find the items of a project goes over all rows of the partition: counted as so many items."""


def begins(batch: Batch) -> bool:
    """Return whether an order is among the records of a batch, rather than slices of orders alone."""
    return any(codec.decode_own(record.value)[1].get("after") is None for record in batch.records)


@dataclass(slots=True)
class _UnderWay:
    """An order that is being carried out.

    Args:
        keys: The items' keys as they were listed when it began, sorted.
        stands: The last one of the last slice.
        waited: Where it stood when another order last waited for it.
    """

    keys: list[bytes]
    stands: bytes = b""
    waited: bytes | None = None


class Slices:
    """Cuts the rows of a project into slices; it remembers their order between two of them."""

    def __init__(self) -> None:
        self._orders: dict[tuple[int, str, object], _UnderWay] = {}  # by partition, project, and which order it is
        self._sizes: dict[int, int] = {}  # by partition

    def interrupt(self, partition: int) -> None:
        """Note that facts of a partition came in between: its next slice is short."""
        self._sizes.pop(partition, None)

    def size(self, partition: int) -> int:
        """Return how many items may be scored now; the next time twice as many, if nothing comes in between."""
        size = self._sizes.get(partition, LEAST_ITEMS)
        self._sizes[partition] = min(2 * size, MOST_ITEMS)
        return size

    def waits(self, rescore: dict[str, Any], partition: int) -> bool:
        """Return whether an order has to wait for one that is being carried out, by the newest fit as well.

        One that stands where it stood the last time is carried out by nobody: another worker had the partition since.
        """
        if rescore["all"] or rescore["after"] is not None:
            return False
        waits = False
        for at in [at for at in self._orders if at[:2] == (partition, rescore["project"])]:
            order = self._orders[at]
            if order.waited == order.stands:
                del self._orders[at]
            else:
                order.waited, waits = order.stands, True
        return waits

    def next(
        self, rescore: dict[str, Any], partition: int, rows: Rows, most: int
    ) -> tuple[list[bytes], dict[str, Any] | None]:
        """Return the keys of a slice, and the record that asks for the next one, None after the last.

        Args:
            rescore: A record of the schema `rescores`.
            partition: Its partition.
            rows: The rows of that partition.
            most: Keys of the slice at most, above 0.
        """
        after, which = rescore["after"], (rescore["refit"], rescore["request"], rescore["all"])
        at = partition, rescore["project"], which
        order = self._orders.get(at)
        if order is None or after is None:
            order = self._orders[at] = _UnderWay(rows.scan(make_key(rescore["project"]) + b"/"))
        start = 0 if after is None else bisect_right(order.keys, item_key(rescore["project"], after))
        now = order.keys[start : start + most]
        if start + most >= len(order.keys):
            del self._orders[at]
            return now, None
        order.stands = now[-1]
        return now, {**rescore, "after": split_key(now[-1])[1]}
