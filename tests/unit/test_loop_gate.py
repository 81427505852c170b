"""The gate: a significant loss is refused, noise is not, and a poisoned batch is told from a hard or a new one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.gate import (
    Example,
    Foretold,
    agreement,
    check,
    interval,
    is_right,
    outcome,
    reason,
    regressed,
    unsupported,
)

A, B = {"kind": "choice", "choice": "a"}, {"kind": "choice", "choice": "b"}


def examples(both: int, lost: int, won: int) -> list[Example]:
    found = [*[(A, A)] * both, *[(A, B)] * lost, *[(B, A)] * won]
    return [Example(f"i{n:03}", A, 1.0, before, after) for n, (before, after) in enumerate(found)]


def test_a_significant_loss_is_refused_and_named_and_noise_is_not() -> None:
    lost = check("held_out", examples(80, 20, 0), 0.0, 0.05, 0)
    assert (lost.champion, lost.challenger, lost.regressions, lost.passed) == (1.0, 0.8, 20, False)
    assert lost.low < -0.2 < lost.high < 0
    assert check("held_out", examples(80, 10, 10), 0.0, 0.05, 0).passed
    text = reason([lost], False, [f"i{n}" for n in range(7)])
    assert text is not None
    assert "0.800 of 100 held-out examples right, the champion 1.000" in text
    assert text.endswith("look at i0, i1, i2, i3, i4 and 2 more")
    assert reason([check("fixed", examples(5, 0, 0), 0.0, 0.05, 0)], False, ["i0"]) is None


def test_corrected_examples_allow_a_share_rounded_up() -> None:
    assert check("corrected", examples(91, 6, 4), 0.0, 0.05, 0).allowed == 6
    assert check("corrected", examples(91, 6, 4), 0.0, 0.05, 0).passed
    assert not check("corrected", examples(91, 7, 4), 0.0, 0.05, 0).passed


def test_the_first_model_has_nothing_to_regress_from() -> None:
    assert check("corrected", examples(30, 20, 50), 0.0, None, 0).passed
    assert not check("corrected", examples(30, 60, 10), 0.0, None, 0).passed


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from((-1.0, 0.0, 1.0)), st.floats(0.1, 1)), min_size=1, max_size=30))
def test_an_interval_is_the_same_twice_and_turns_with_the_sides(pairs: list[tuple[float, float]]) -> None:
    difference, weight = (np.array(column) for column in zip(*pairs, strict=True))
    low, high = interval(difference, weight, 0)
    assert -1 <= low <= high <= 1
    assert interval(difference, weight, 0) == (low, high)
    assert interval(-difference, weight, 0) == pytest.approx((-high, -low), abs=2e-6)


def foretold(right: int, wrong: int, sure: float) -> list[Foretold]:
    return [Foretold(n < right, sure) for n in range(right + wrong)]


def test_what_is_less_foretold_than_the_older_ones_is_refused() -> None:
    found = agreement(foretold(55, 45, 0.9), foretold(90, 10, 0.9), 0)
    assert found is not None
    assert found.champion == pytest.approx(0.9)
    assert (found.challenger, found.passed) == (0.55, False)
    assert "agree with 0.550 of them, 0.900 were expected" in (reason([found], False) or "")


def test_a_batch_of_which_the_model_is_unsure_is_expected_to_be_hard() -> None:
    found = agreement(foretold(55, 45, 0.6), foretold(90, 10, 0.9), 0)
    assert found is not None
    assert found.passed


def test_too_few_say_nothing_of_agreement() -> None:
    assert agreement(foretold(0, 49, 0.9), foretold(90, 10, 0.9), 0) is None
    assert agreement(foretold(0, 90, 0.9), foretold(40, 9, 0.9), 0) is None


def test_new_corrections_that_nobody_believed_are_counted() -> None:
    new = [Example(f"i{n}", A, 1.0, B, A, support=0.05 if n < 30 else 0.5) for n in range(100)]
    found = check("new", new, 0.0, 0.05, 0)
    assert (found.regressions, found.allowed, found.passed) == (30, 18, False)
    assert len(unsupported(new)) == 30
    assert regressed({"new": new, "fixed": examples(0, 1, 0)}, 0.0, True)[-1] == "i000"
    assert regressed({"new": new, "fixed": examples(0, 1, 0)}, 0.0, False) == ["i000"]


@pytest.mark.parametrize(
    ("told", "truth", "right"),
    [
        (None, A, False),
        (B, A, False),
        ({"kind": "choices", "choices": ["x", "y"]}, {"kind": "choices", "choices": ["y", "x"]}, True),
        ({"kind": "choices", "choices": ["x"]}, {"kind": "choices", "choices": ["y", "x"]}, False),
        ({"kind": "number", "number": 2.5}, {"kind": "number", "number": 2}, True),
        ({"kind": "number", "number": 2.6}, {"kind": "number", "number": 2}, False),
        ({"kind": "number", "number": 2}, A, False),
    ],
)
def test_what_is_right(told: Any, truth: Any, right: bool) -> None:
    assert is_right(told, truth, 0.5) == right


def test_outcomes() -> None:
    found = [outcome(Example("i", A, 1.0, before, after), 0.0) for before in (A, B) for after in (A, B)]
    assert found == [None, "newly_wrong", "now_right", "still_wrong"]


def test_who_contradicts_a_close_vote_loses_little_and_who_contradicts_all_annotators_nearly_everything() -> None:
    def against(shares: dict[str, float]) -> Example:
        a, b = ({"kind": "choice", "choice": label} for label in "ab")
        return Example("i", a, 1.0, champion=a, challenger=b, shares=shares)

    close, clear = ([against({"a": p, "b": 1 - p})] * 30 for p in (0.55, 0.99))
    assert round(check("held_out", close, 0.0, 0.0, 0).challenger, 6) == 0.45
    assert round(check("held_out", clear, 0.0, 0.0, 0).challenger, 6) == 0.01
    assert check("held_out", close, 0.0, 0.0, 0).regressions == 30
