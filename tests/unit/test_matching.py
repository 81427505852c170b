"""One-to-one matching: the best there is, whatever the order of the regions."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.matching import assign, f1


def none_alike(rows: int, columns: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.zeros((rows, columns), dtype=bool)


def test_the_total_counts_and_not_the_best_pair_first() -> None:
    """The best single pair, 0.9, would leave the others unmatched."""
    similarity = np.array([[0.9, 0.8], [0.8, 0.1]])
    assert assign(similarity, none_alike(2, 2)) == [(0, 1, 0.8), (1, 0, 0.8)]


def test_pairs_below_the_threshold_do_not_match() -> None:
    similarity = np.array([[0.4, 0.0], [0.0, 0.5]])
    assert assign(similarity, none_alike(2, 2)) == [(1, 1, 0.5)]
    assert assign(similarity, none_alike(2, 2), 0) == [(0, 0, 0.4), (1, 1, 0.5)]


def test_of_equal_totals_more_pairs_win_then_pairs_alike() -> None:
    assert len(assign(np.array([[1.0, 0.5], [0.5, 0.0]]), none_alike(2, 2))) == 2
    same = np.ones((2, 2))
    assert [pair[:2] for pair in assign(same, np.array([[0, 1], [1, 0]], dtype=bool))] == [(0, 1), (1, 0)]
    assert [pair[:2] for pair in assign(same, np.array([[1, 0], [0, 1]], dtype=bool))] == [(0, 0), (1, 1)]


def test_f1_counts_pairs_and_two_empty_sides_agree() -> None:
    assert f1(3, 4, 6) == 0.6
    assert f1(0, 0, 2) == 0
    assert f1(0, 0, 0) == 1


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_no_matching_is_better(rows: int, columns: int, data: st.DataObject) -> None:
    """Against all matchings, by total, number of pairs and number of pairs alike."""
    n = rows * columns
    tenths = data.draw(st.lists(st.integers(0, 10), min_size=n, max_size=n))
    similarity = np.array(tenths).reshape(rows, columns) / 10
    alike = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))).reshape(rows, columns)
    found = assign(similarity, alike)
    assert len({pair.one for pair in found}) == len({pair.other for pair in found}) == len(found)
    assert all(pair.similarity == similarity[pair.one, pair.other] >= 0.5 for pair in found)

    def worth(pairs: list[tuple[int, int]]) -> tuple[int, int, int]:
        near = [pair for pair in pairs if similarity[pair] >= 0.5]
        return sum(round(10 * similarity[pair]) for pair in near), len(near), sum(bool(alike[pair]) for pair in near)

    wide = max(rows, columns)
    all_matchings = (
        [(i, j) for i, j in enumerate(order) if i < rows and j < columns] for order in permutations(range(wide))
    )
    assert worth([(pair.one, pair.other) for pair in found]) == max(map(worth, all_matchings))


def test_a_thousand_regions_a_side_match_their_moved_copies() -> None:
    """Large sides have coarser totals: still right where totals differ by more than 2e-7 a pair."""
    n = 1000
    rng = np.random.default_rng(0)
    similarity = rng.uniform(0.5, 0.6, (n, n))
    partner = rng.permutation(n)
    similarity[np.arange(n), partner] = 0.95
    assert [pair.other for pair in assign(similarity, none_alike(n, n))] == partner.tolist()


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_matches_nothing(shape: tuple[int, int]) -> None:
    assert assign(np.zeros(shape), none_alike(*shape)) == []
