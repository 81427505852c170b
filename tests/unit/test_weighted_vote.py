"""The weighted vote casts doubt where it has reason to, and never changes an answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.quality.labels import ALL_CLASSES, arrange
from streams.quality.truth import infer
from streams.quality.weighted_vote import PART, doubted, doubted_item, log_share, scale_of, weighted_vote

Rows = list[tuple[str, str, str]]

rows_of = st.lists(
    st.tuples(st.sampled_from("ijklm"), st.sampled_from("vwxyz"), st.sampled_from("abc")),
    min_size=1,
    max_size=25,
    unique_by=lambda row: row[:2],
)


def test_a_vote_that_agrees_makes_surer_and_one_that_does_not_makes_doubtful() -> None:
    surer, doubtful = doubted_item([0.9, 0.1], [0.99, 0.01], 2), doubted_item([0.9, 0.1], [0.2, 0.8], 2)
    assert surer[0] > 0.9 > doubtful[0] > doubtful[1]
    assert doubtful[0] > (1 - PART) * 0.9 + PART * 0.2  # it has less than its part against the models


@given(st.floats(1e-9, 1.0), st.floats(0.0, 1.0))
def test_no_vote_overtakes_the_likeliest_class(behind: float, for_it: float) -> None:
    first = 0.5 + behind / 2
    mixed = doubted_item([first, 1 - first], [for_it, 1 - for_it], 2)
    assert mixed[0] >= mixed[1]
    assert sum(mixed) == pytest.approx(1)


def test_where_two_classes_change_places_nothing_jumps() -> None:
    for vote in ([0.0, 1.0], [1.0, 0.0]):
        one, other = (
            doubted_item([0.5 + 1e-12, 0.5 - 1e-12], vote, 2),
            doubted_item([0.5 - 1e-12, 0.5 + 1e-12], vote, 2),
        )
        assert one == pytest.approx(other, abs=1e-9)


@given(rows_of, st.booleans())
def test_many_items_are_doubted_as_each_alone(rows: Rows, many: bool) -> None:
    classes = [*"abc", *(f"c{n}" for n in range(ALL_CLASSES if many else 0))]
    labels = arrange(rows, classes)
    random = np.random.default_rng(len(rows))
    one, vote = (labels.normalised(3 * random.standard_normal(len(labels.candidate))) for _ in range(2))
    mixed = doubted(labels, one, vote)
    for n in range(len(labels.items)):
        span = slice(*labels.starts[n : n + 2])
        named = int((~labels.unnamed[span]).sum())
        assert mixed[span] == pytest.approx(doubted_item(one[span].tolist(), vote[span].tolist(), named), abs=1e-12)


@settings(max_examples=40)
@given(rows_of, st.booleans())
def test_the_answer_is_the_label_models(rows: Rows, many: bool) -> None:
    labels = arrange(rows, [*"abc", *(f"c{n}" for n in range(ALL_CLASSES if many else 0))])
    result = infer(labels)
    models = np.array([result.weights[name] * fit.posterior for name, fit in result.models.items()]).sum(axis=0)
    assert result.vote is not None
    for n in range(len(labels.items)):
        span = slice(*labels.starts[n : n + 2])
        named = ~labels.unnamed[span]
        top = np.where(named, models[span], -1.0).argmax()
        assert result.posterior[span][top] >= result.posterior[span][named].max() - 1e-12


def crowd() -> tuple[Rows, list[str]]:
    """Return labels of 200 items by two who know, one who knows half and one who guesses, and the truth."""
    random = np.random.default_rng(1)
    truth = random.choice(["a", "b", "c"], 200).tolist()
    rows = []
    for annotator, knows in (("best", 0.95), ("good", 0.95), ("half", 0.5), ("guesses", 0.0)):
        for n, right in enumerate(truth):
            label = right if random.random() < knows else str(random.choice(["a", "b", "c"]))
            rows.append((f"i{n:03}", annotator, label))
    return rows, truth


def test_who_knows_more_weighs_more_and_who_guesses_next_to_nothing() -> None:
    vote = infer(arrange(crowd()[0])).vote
    assert vote is not None
    best, good, guesses, half = vote.weights.tolist()  # by name
    assert 0.0 < guesses < 0.15 < half < good <= 1.0
    assert best == pytest.approx(good, abs=0.1)
    assert guesses < vote.of_others < good


def test_a_vote_is_worth_what_it_tells_of_what_is_known() -> None:
    rows, truth = crowd()
    labels = arrange(rows)
    known = np.array([label == right for right in truth for label in labels.classes], dtype=float)
    telling = weighted_vote(labels, known, np.zeros(len(known)))
    assert (telling.posterior * known).sum() / len(truth) > 0.9
    shuffled = np.random.default_rng(2).permutation(known.reshape(-1, 3)).ravel()
    useless = weighted_vote(labels, shuffled, np.zeros(len(known)))
    assert np.abs(useless.posterior - useless.prior[labels.candidate]).max() < 0.1


def test_what_is_ruled_out_has_no_votes() -> None:
    rows, _ = crowd()
    labels = arrange(rows)
    scores = np.where(labels.candidate == 0, -np.inf, 0.0)
    vote = weighted_vote(labels, infer(labels).posterior, scores)
    assert (vote.posterior[labels.candidate == 0] == 0).all()
    assert np.isfinite(vote.posterior).all()


def test_the_more_labels_a_share_is_of_the_more_it_says() -> None:
    says = [log_share(n, n, 0.8, 3) - log_share(0.0, n, 0.8, 3) for n in (1.0, 2.0, 4.0)]
    assert says[1] == pytest.approx(2**0.5 * says[0])
    assert says[2] == pytest.approx(2 * says[0])
    assert log_share(0.0, 0.0, 0.8, 3) == 0.0


def test_the_scale_is_found_that_made_a_posterior() -> None:
    labels = arrange([(f"i{n}", "w", "ab"[n % 2]) for n in range(50)], "ab")
    evidence = np.random.default_rng(3).standard_normal(100)
    made = labels.normalised(1.7 * evidence)
    assert scale_of(labels, made, evidence, np.zeros(100), 4.0) == pytest.approx(1.7, abs=1e-6)
    assert scale_of(labels, made, evidence, np.zeros(100), 1.0) == pytest.approx(1.0, abs=1e-6)


def test_a_model_that_tells_moves_the_vote_too() -> None:
    rows = [(f"i{n}", f"w{n % 3 + w}", "ab"[n % 2]) for n in range(60) for w in range(2)]
    rows += [("odd", "w0", "a"), ("odd", "w1", "b")]
    predicted = {item: {"a": 0.9, "b": 0.1} if label == "a" else {"a": 0.1, "b": 0.9} for item, _, label in rows[:-2]}
    predicted["odd"] = {"a": 0.05, "b": 0.95}
    result = infer(arrange(rows), predicted=predicted)
    assert result.vote is not None
    at = result.labels.items.index("odd")
    assert result.vote.posterior[result.labels.starts[at] + 1] > 0.8
