"""The pure parts of the benchmark of latency."""

import pytest

from bench.latency.events import LABELS_PER_ITEM, OPEN_ITEMS, Arrivals, Place, item_number, label, number, place
from bench.latency.figures import of_rounds, percentile, percentiles


def test_every_event_has_a_place_of_its_own() -> None:
    places = [place(n) for n in range(5 * OPEN_ITEMS * LABELS_PER_ITEM)]
    assert len({*places}) == len(places)
    assert [number(at) for at in places] == [*range(len(places))]


def test_the_labels_of_an_item_come_in_order_from_different_annotators() -> None:
    mine = [n for n in range(3 * OPEN_ITEMS * LABELS_PER_ITEM) if place(n).item == 301]
    assert [place(n).labels for n in mine] == [1, 2, 3]
    assert len({label(place(n))[1] for n in mine}) == LABELS_PER_ITEM
    assert {item_number(label(place(n))[0]) for n in mine} == {301}


def test_a_count_of_labels_shows_all_events_up_to_it_once() -> None:
    arrivals = Arrivals(2 * OPEN_ITEMS * LABELS_PER_ITEM)
    assert arrivals.labels(7, 1, 10.0) == [number(Place(7, 1))]
    assert arrivals.labels(7, 3, 11.0) == [number(Place(7, 2)), number(Place(7, 3))]
    assert arrivals.labels(7, 2, 12.0) == []
    assert [arrivals.at[number(Place(7, n))] for n in (1, 2, 3)] == [10.0, 11.0, 11.0]
    assert arrivals.missing() == len(arrivals.at) - 3


def test_an_event_is_seen_once_and_only_if_it_was_published() -> None:
    arrivals = Arrivals(3)
    assert arrivals.event(1, 5.0)
    assert not arrivals.event(1, 6.0)
    assert not arrivals.event(3, 6.0)
    assert arrivals.at == [None, 5.0, None]


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(share: float, wanted: int) -> None:
    assert percentile(range(1, 101), share) == wanted


def test_rounds_are_told_by_their_median_and_ends() -> None:
    told = of_rounds([percentiles([value]) for value in (3.0, 1.0, 2.0)])
    assert told["p99"] == {"median": 2.0, "lowest": 1.0, "highest": 3.0}
