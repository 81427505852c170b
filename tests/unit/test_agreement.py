"""Agreement coefficients: published values, and the same after any sequence of changes as computed at once."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.agreement import Agreement, Metric, Votes, cohen

# K. Krippendorff's example of four observers and twelve units, `-` where one gave no value
_OBSERVERS = """
1 2 3 3 2 1 4 1 2 - - -
1 2 3 3 2 2 4 1 2 5 - 3
- 3 3 3 2 3 4 2 2 5 1 -
1 2 3 3 2 4 4 1 2 5 1 -
"""
KRIPPENDORFF = [
    Counter(value for value in unit if value != "-")
    for unit in zip(*(row.split() for row in _OBSERVERS.strip().splitlines()), strict=True)
]

# J. L. Fleiss' kind of table: 14 raters, labels of each item by category
_RATERS = """
0 0 0 0 14 | 0 2 6 4 2 | 0 0 3 5 6 | 0 3 9 2 0 | 2 2 8 1 1 | 7 7 0 0 0 | 3 2 6 3 0 | 2 5 3 2 2 | 6 5 2 1 0 | 0 2 2 3 7
"""
FLEISS = [
    {str(k): int(count) for k, count in enumerate(item.split()) if int(count)} for item in _RATERS.strip().split("|")
]


def of(items: Sequence[Votes]) -> Agreement:
    agreement = Agreement()
    for votes in items:
        agreement.add(votes)
    return agreement


@pytest.mark.parametrize(
    ("metric", "alpha"),
    [("nominal", 0.743421), ("ordinal", 0.815388), ("interval", 0.849107), ("ratio", 0.797403)],
)
def test_krippendorffs_alpha_of_his_example(metric: Metric, alpha: float) -> None:
    assert of(KRIPPENDORFF).alpha(metric) == pytest.approx(alpha, abs=1e-6)


def test_fleiss_kappa_of_fourteen_raters() -> None:
    assert of(FLEISS).fleiss() == pytest.approx(0.209931, abs=1e-6)


def test_cohens_kappa_of_a_table_of_two() -> None:
    table = {("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15}
    assert cohen(table) == pytest.approx(0.4, abs=1e-9)


def test_gwets_ac1_stays_high_where_nearly_all_is_of_one_class_and_kappa_falls() -> None:
    """By hand: 118 of 125 items agree; 119.5 of 125 labels are of one class."""
    skewed = of([{"+": 2}] * 118 + [{"+": 1, "-": 1}] * 5 + [{"-": 2}] * 2)
    share = (118 * 2 + 5) / 250
    chance = 2 * share * (1 - share)
    assert skewed.ac1() == pytest.approx((120 / 125 - chance) / (1 - chance), abs=1e-12)
    fleiss, ac1 = skewed.fleiss(), skewed.ac1()
    assert fleiss is not None
    assert ac1 is not None
    assert fleiss < 0.5 < 0.9 < ac1


def test_an_order_that_is_given_counts_for_ordinal_labels() -> None:
    sizes = ["small", "middle", "large"]
    near, far = of([{"small": 1, "middle": 1}, {"large": 2}]), of([{"small": 1, "large": 1}, {"middle": 2}])
    one, other = near.alpha("ordinal", sizes), far.alpha("ordinal", sizes)
    assert one is not None
    assert other is not None
    assert one > other
    with pytest.raises(ValueError, match="not in the order: large"):
        near.alpha("ordinal", sizes[:2])
    with pytest.raises(ValueError, match="could not convert"):
        near.alpha("interval")


COEFFICIENTS: dict[str, Callable[[Agreement], float | None]] = {
    "raw": Agreement.raw,
    "fleiss": Agreement.fleiss,
    "ac1": Agreement.ac1,
    "nominal": Agreement.alpha,
    "ordinal": lambda agreement: agreement.alpha("ordinal"),
    "interval": lambda agreement: agreement.alpha("interval"),
    "ratio": lambda agreement: agreement.alpha("ratio"),
}


@pytest.mark.parametrize("name", COEFFICIENTS)
@pytest.mark.parametrize("items", [[], [{"1": 1}], [{"1": 1}, {"2": 1}], [{}]])
def test_nothing_to_compare_is_no_agreement(name: str, items: list[Votes]) -> None:
    assert COEFFICIENTS[name](of(items)) is None


@pytest.mark.parametrize("name", sorted(COEFFICIENTS.keys() - {"raw"}))
def test_one_label_alone_is_explained_by_chance(name: str) -> None:
    assert COEFFICIENTS[name](of([{"1": 3}, {"1": 2}])) is None


def test_full_agreement_on_more_than_one_label_is_one() -> None:
    full = of([{"1": 3}, {"2": 2}])
    assert {name: read(full) for name, read in COEFFICIENTS.items()} == dict.fromkeys(COEFFICIENTS, 1.0)
    assert cohen({("1", "1"): 1, ("2", "2"): 1}) == 1.0
    assert cohen({}) is cohen({("1", "1"): 5}) is None


votes = st.dictionaries(st.sampled_from(["1", "2", "3", "40"]), st.integers(1, 4), max_size=4)


@given(st.lists(st.tuples(st.integers(0, 5), votes), max_size=40))
def test_changes_one_by_one_give_exactly_what_all_at_once_gives(changes: list[tuple[int, dict[str, int]]]) -> None:
    """Insertions, updates and, by an item without labels, retractions; not a bit may differ."""
    changing, items = Agreement(), dict[int, dict[str, int]]()
    for item, now in changes:
        changing.exchange(items.get(item, {}), now)
        items[item] = now
    at_once = of([items[item] for item in sorted(items)])
    for read in COEFFICIENTS.values():
        assert read(changing) == read(at_once)


DISTANCES: dict[Metric, Callable[[float, float], float]] = {
    "nominal": lambda a, b: float(a != b),
    "interval": lambda a, b: (a - b) ** 2,
    "ratio": lambda a, b: ((a - b) / (a + b)) ** 2,
}


@pytest.mark.parametrize("metric", DISTANCES)
@given(items=st.lists(votes, min_size=1, max_size=12))
def test_alpha_is_its_definition(metric: Metric, items: list[dict[str, int]]) -> None:
    """Computed from single values: every pair within an item against every pair of all values."""
    units = [[float(label) for label, count in votes.items() for _ in range(count)] for votes in items]
    units = [unit for unit in units if len(unit) > 1]
    pool = [value for unit in units for value in unit]
    distance = DISTANCES[metric]
    expected = sum(distance(a, b) for a in pool for b in pool) / max(1, len(pool) * (len(pool) - 1))
    found = of(items).alpha(metric)
    if not expected:
        assert found is None
        return
    observed = sum(distance(a, b) / (len(unit) - 1) for unit in units for a in unit for b in unit) / len(pool)
    assert found == pytest.approx(1 - observed / expected, abs=1e-9)


def pairs_that_agree(unit: list[str]) -> float:
    same = sum(a == b for n, a in enumerate(unit) for m, b in enumerate(unit) if n != m)
    return same / (len(unit) * (len(unit) - 1))


@given(st.lists(votes, min_size=1, max_size=12), st.integers(0, 6))
def test_raw_fleiss_and_ac1_are_their_definitions(items: list[dict[str, int]], classes: int) -> None:
    """An item with one label says something of how often a class is chosen (AC1), but nothing of agreement."""
    units = [[label for label, count in votes.items() for _ in range(count)] for votes in items if votes]
    compared = [unit for unit in units if len(unit) > 1]
    agreement = of(items)
    if not compared:
        assert agreement.raw() is agreement.fleiss() is agreement.ac1(classes) is None
        return
    raw = sum(map(pairs_that_agree, compared)) / len(compared)
    assert agreement.raw() == pytest.approx(raw, abs=1e-12)
    pool = [label for unit in compared for label in unit]
    by_chance = sum((pool.count(label) / len(pool)) ** 2 for label in {*pool})
    if len({*pool}) > 1:
        assert agreement.fleiss() == pytest.approx((raw - by_chance) / (1 - by_chance), abs=1e-9)
    used = {label for unit in units for label in unit}
    k = max(classes, len(used))
    if k > 1:
        prevalence = [sum(unit.count(label) / len(unit) for unit in units) / len(units) for label in used]
        by_chance = sum(share * (1 - share) for share in prevalence) / (k - 1)
        assert agreement.ac1(classes) == pytest.approx((raw - by_chance) / (1 - by_chance), abs=1e-9)


def test_numbers_of_any_size_and_spelling() -> None:
    numeric: tuple[Metric, ...] = ("ordinal", "interval", "ratio")
    for items in ([{"1e200": 2}, {"1": 2}], [{"1e-200": 2}, {"2e-200": 2}], [{"1.7e308": 2}, {"1": 2}]):
        assert [of(items).alpha(metric) for metric in numeric] == [1.0] * 3
    assert of([{"-1.7e308": 2}, {"1.7e308": 2}]).alpha("interval") == 1.0
    for metric in numeric:
        assert of([{"0.1": 2, "0.10": 1}, {"0.100": 5}]).alpha(metric) is None
        assert of([{"1": 1, "1.0": 1}, {"2": 2}]).alpha(metric) == 1.0
    with pytest.raises(ValueError, match="from 0"):
        of([{"1": 1, "-1": 1}]).alpha("ratio")


def test_shares_may_be_taken_away_before_they_were_added() -> None:
    agreement = Agreement()
    changes: list[tuple[Votes, int]] = [({"a": 1, "b": 1}, 1), ({"b": 2}, -1), ({"b": 2}, 1)]
    for item, times in changes:
        agreement.add(item, times)
    assert agreement.raw() == 0.0
