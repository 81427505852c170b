"""What a fit has learnt gives each item the posterior that the fit gave it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.quality.fitted import learnt
from streams.quality.labels import ALL_CLASSES, arrange
from streams.quality.skill import Scorer, likeliest
from streams.quality.truth import infer

Rows = list[tuple[str, str, str]]


def votes_of(rows: Rows, item: str) -> list[tuple[str, str]]:
    return sorted((annotator, label) for one, annotator, label in rows if one == item)


def world(classes: int, seed: int) -> tuple[Rows, dict[str, dict[str, float]]]:
    """Return labels of 60 items by 9 annotators, and a model's predictions of most items."""
    draw = random.Random(seed)
    names = [f"c{n}" for n in range(classes)]
    rows, predicted = [], {}
    for n in range(60):
        truth = draw.choice(names)
        for w in draw.sample(range(9), draw.randint(1, 5)):
            rows.append((f"i{n}", f"w{w}", truth if draw.random() < 0.5 + 0.05 * w else draw.choice(names)))
        if n % 5:
            told = {name: draw.random() for name in (draw.sample(names, min(classes, 5)))}
            told[truth] = 2.0
            total = sum(told.values())
            predicted[f"i{n}"] = {name: p / total for name, p in told.items()}
    return rows, predicted


@pytest.mark.parametrize("with_model", [False, True])
@pytest.mark.parametrize("classes", [2, 5, ALL_CLASSES, ALL_CLASSES + 1, 200])
def test_an_items_posterior_is_the_fits(classes: int, with_model: bool) -> None:
    rows, predicted = world(classes, classes)
    if not with_model:
        predicted = {}
    also = {item: [likeliest(told)] for item, told in predicted.items()}
    truth = infer(arrange(rows, [f"c{n}" for n in range(classes)], also), predicted=predicted)
    scorer = Scorer(learnt(truth))
    for item in truth.labels.items:
        assert scorer.posterior(votes_of(rows, item), predicted.get(item)) == pytest.approx(truth.of(item), abs=1e-9)


rows_of = st.lists(
    st.tuples(st.sampled_from("ijk"), st.sampled_from("wxyz"), st.sampled_from("abc")),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=40)
@given(rows_of)
def test_an_items_posterior_is_the_fits_where_two_classes_are_as_likely(rows: Rows) -> None:
    """Few labels by few, so that much is alike: a bit of rounding must not decide between two classes."""
    truth = infer(arrange(rows, "abc"))
    scorer = Scorer(learnt(truth))
    for item in truth.labels.items:
        assert scorer.posterior(votes_of(rows, item)) == pytest.approx(truth.of(item), abs=1e-9)


@given(rows_of, st.lists(st.tuples(st.sampled_from("wxyz!"), st.sampled_from("abc?")), unique_by=lambda v: v[0]))
def test_labels_after_the_fit_have_a_posterior_too(rows: Rows, votes: list[tuple[str, str]]) -> None:
    """Also by annotators and of classes that the fit has not seen; and without any label the prior is left."""
    posterior = Scorer(learnt(infer(arrange(rows, "abc")))).posterior(sorted(votes))
    assert sum(posterior.values()) == pytest.approx(1)
    assert {*posterior} == {*"abc"} | {label for _, label in votes}


def test_of_many_classes_one_label_leaves_room_for_the_others() -> None:
    """The fewer are right, the less is one label worth."""
    rows = [(f"i{n}", f"w{w}", f"c{n if w else n + 1}") for n in range(40) for w in range(3)]
    rows.append(("alone", "w0", "c3"))
    result = infer(arrange(rows, [f"c{n}" for n in range(100)]))
    assert 0.0 < result.of("alone")["c3"] < 0.9  # w0 is never right
    assert result.of("i7")["c7"] > 0.99
    new = Scorer(learnt(result)).posterior([("w1", "c3")])
    assert new["c3"] > 0.9


def test_the_likeliest_class() -> None:
    assert likeliest({"b": 0.4, "a": 0.4, "c": 0.2}) == "a"
