"""Near duplicates share a key, others do not, and an item's keys depend on its content alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.duplicates import BANDS, near_keys

WORDS = [f"word{n}" for n in range(500)]


def share_of_pairs_found(changed: int, length: int = 40) -> float:
    """Return how often a text and one with `changed` other words share a key."""
    draw, found = random.Random(7), 0
    for _ in range(200):
        words = draw.sample(WORDS, length)
        other = [*words]
        for place in draw.sample(range(length), changed):
            other[place] = f"else{place}"
        found += bool({*near_keys(" ".join(words), None)} & {*near_keys(" ".join(other), None)})
    return found / 200


def test_the_more_alike_two_texts_are_the_likelier_they_share_a_key() -> None:
    assert share_of_pairs_found(1) > 0.9  # Jaccard similarity .90: by the formula .96
    assert 0.3 < share_of_pairs_found(5) < 0.75  # some .6: .34; neighbours among the changed words make it more
    assert share_of_pairs_found(30) < 0.05


def test_case_width_punctuation_and_spaces_do_not_count() -> None:
    assert near_keys("A wren, or is it?", None) == near_keys("a  WREN or\nis \uff49\uff54", None)
    assert len(near_keys("wren", None)) == BANDS
    assert near_keys("wren", None) != near_keys("robin", None)


@pytest.mark.parametrize(("text", "features"), [(None, None), ("", []), ("?!", None)])
def test_nothing_has_no_keys(text: str | None, features: list[float] | None) -> None:
    assert near_keys(text, features) == []


def test_features_that_differ_a_little_share_a_key_whatever_their_scales() -> None:
    draw = random.Random(3)
    found = others = 0
    for _ in range(100):
        one = [draw.gauss(0, 10.0 ** (n % 7 - 3)) for n in range(50)]
        near = [value * (1 + draw.gauss(0, 0.002)) for value in one]
        found += bool({*near_keys(None, one)} & {*near_keys(None, near)})
        others += bool({*near_keys(None, one)} & {*near_keys(None, one[::-1])})
    assert found > 90
    assert not others


def test_the_keys_are_the_same_on_every_machine() -> None:
    assert near_keys("the cat sat on the mat", None) == ["20bc2893e912", "2faffb7d87ee", "da6327a38ad2"]


@given(st.text(max_size=60))
def test_any_text_has_keys_or_no_words(text: str) -> None:
    keys = near_keys(text, None)
    assert keys == near_keys(text, [1.0]) or not keys
    assert len(keys) in (0, BANDS)


@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_any_features_have_keys(features: list[float]) -> None:
    assert len(near_keys(None, features)) == BANDS
