"""How far a batch's neighbours in the log have come."""

from typing import NamedTuple

from streams.transport.consumer import horizons
from streams.transport.positions import Partition


class Stamped(NamedTuple):
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None
    offset: int = 0


def test_the_horizon_of_a_topic_is_that_of_all_its_partitions() -> None:
    fetched = {
        Partition("labels", 0): [Stamped(5), Stamped(9), Stamped(7)],
        Partition("labels", 1): [Stamped(8)],
        Partition("rescores", 0): [Stamped(99)],
        Partition("flags", 0): [],
    }
    assert horizons(fetched) == {"labels": 9, "rescores": 99, "flags": -1}
    assert horizons({}) == {}
