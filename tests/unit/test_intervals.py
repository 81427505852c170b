"""Intervals of agreement: each replica is what `Agreement` says of it, and they hold the value as often as they say."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.agreement import Agreement, Votes, cohen
from streams.quality.intervals import (
    LEVEL,
    Coefficient,
    Contributions,
    cohen_interval,
    draws,
    intervals,
    mean_interval,
)

READ: dict[Coefficient, Callable[[Agreement], float | None]] = {
    "raw": Agreement.raw,
    "fleiss": Agreement.fleiss,
    "ac1": lambda agreement: agreement.ac1(3),
    "alpha": Agreement.alpha,
    "alpha_ordinal": lambda agreement: agreement.alpha("ordinal"),
    "alpha_interval": lambda agreement: agreement.alpha("interval"),
    "alpha_ratio": lambda agreement: agreement.alpha("ratio"),
}

votes = st.dictionaries(st.sampled_from(["0", "1", "1.0", "3", "40"]), st.integers(1, 4), min_size=1, max_size=4)
replicas = st.lists(st.tuples(votes, st.lists(st.integers(0, 5), min_size=3, max_size=3)), min_size=1, max_size=8)


@pytest.mark.parametrize("coefficient", READ)
@given(drawn=replicas)
def test_a_replica_is_the_agreement_of_its_items(
    coefficient: Coefficient, drawn: list[tuple[Votes, list[int]]]
) -> None:
    times = np.array([many for _, many in drawn]).T
    times = times[times.sum(axis=1) > 0]
    found = Contributions([one for one, _ in drawn]).read(times, coefficient, classes=3)
    for row, value in zip(times, found, strict=True):
        agreement = Agreement()
        for (one, _), n in zip(drawn, row.tolist(), strict=True):
            if n:
                agreement.add(one, n)
        expected = READ[coefficient](agreement)
        assert value == pytest.approx(np.nan if expected is None else expected, abs=1e-9, nan_ok=True)


def test_an_interval_holds_the_value_and_narrows_with_more_items() -> None:
    few: list[Votes] = [{"1": 2, "2": 1}, {"1": 3}, {"2": 3}, {"1": 1, "2": 2}] * 10
    many, several, again = (intervals(items, [*READ], classes=3) for items in (few * 9, few, few))
    assert several == again
    for coefficient, read in READ.items():
        agreement = Agreement()
        for one in few * 9:
            agreement.add(one)
        value, narrow, wide = read(agreement), many[coefficient], several[coefficient]
        assert value is not None
        assert narrow is not None
        assert wide is not None
        assert wide[0] < narrow[0] < value < narrow[1] < wide[1]
        assert (wide[1] - wide[0]) / (narrow[1] - narrow[0]) == pytest.approx(3, rel=0.2)
    assert intervals([], ["raw"]) == intervals([{"1": 1}, {}], ["raw"]) == {"raw": None}
    with pytest.raises(ValueError, match="could not convert"):
        intervals([{"a": 2}, {"b": 2}], ["alpha_interval"])


def test_large_samples_are_drawn_in_blocks() -> None:
    whole = np.concatenate([*draws([3, 4], 50, seed=1, width=1)])
    in_blocks = [*draws([3, 4], 50, seed=1, width=300_000)]
    assert len(in_blocks) > 1
    assert (np.concatenate(in_blocks) == whole).all()
    assert (whole.sum(axis=1) == 7).all()


def test_intervals_of_pairs_and_means() -> None:
    table = {("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15}
    kappa, interval = cohen(table), cohen_interval(table)
    assert kappa is not None
    assert interval is not None
    assert interval[0] < kappa < interval[1]
    # the large-sample standard error of this table (Fleiss, Cohen, Everitt 1969) is .1277
    assert interval[1] - interval[0] == pytest.approx(2 * 1.96 * 0.1277, rel=0.1)
    assert cohen_interval({}) is cohen_interval({("y", "y"): 5}) is None
    mean = mean_interval([0.0, 1.0] * 50)
    assert mean is not None
    assert mean[1] - mean[0] == pytest.approx(2 * 1.96 * 0.05, rel=0.1)
    assert mean_interval([]) is None


def test_intervals_hold_the_value_as_often_as_they_say() -> None:
    """200 projects of 80 items, each item labelled by two to four annotators who are right in 75 % of the labels."""
    random = np.random.default_rng(3)

    def item() -> Votes:
        truth, said = random.choice(3, p=[0.6, 0.3, 0.1]), list[str]()
        for _ in range(random.integers(2, 5)):
            said.append(str(truth if random.random() < 0.75 else random.integers(3)))
        return {label: said.count(label) for label in said}

    whole = Agreement()
    for _ in range(20_000):
        whole.add(item())
    names: list[Coefficient] = ["raw", "fleiss", "ac1", "alpha", "alpha_interval"]
    held = dict.fromkeys(names, 0)
    for seed in range(200):
        found = intervals([item() for _ in range(80)], names, classes=3, replicas=300, seed=seed)
        for name in names:
            value, interval = READ[name](whole), found[name]
            assert value is not None
            assert interval is not None
            held[name] += interval[0] <= value <= interval[1]
    for name, count in held.items():
        # two standard errors of 200 trials are .03; percentile intervals of few items are a little short
        assert LEVEL - 0.05 <= count / 200 <= LEVEL + 0.04, name
