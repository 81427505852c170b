"""The truth behind labels: annotators of every kind, items of every kind, and nothing depends on the order."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.label_models import PLAIN, confusion
from streams.quality.labels import ALL_CLASSES, Labels, arrange
from streams.quality.truth import Truth, best, infer, voice_evidence, voice_scale

Rows = list[tuple[str, str, str]]


def named(labels: Labels, truth: "np.typing.NDArray[np.int64]") -> dict[str, str]:
    """Return the class of each item by name."""
    return {item: labels.classes[k] for item, k in zip(labels.items, truth, strict=True)}


def right(truth: dict[str, str], found: dict[str, str]) -> float:
    return sum(found[item] == label for item, label in truth.items()) / len(truth)


class Crowd:
    """A simulated project.

    Args:
        classes: Its classes.
        items: Number of items.
        seed: Of everything that is drawn.
    """

    def __init__(self, classes: Sequence[str], items: int, seed: int = 1) -> None:
        self.classes, self.random = classes, random.Random(seed)
        self.truth = {f"i{n:04}": self.random.choice(classes) for n in range(items)}
        self.rows: Rows = []

    def other(self, label: str) -> str:
        return self.random.choice([one for one in self.classes if one != label])

    def annotator(self, name: str, accuracy: float, share: float = 1.0) -> None:
        """Add an annotator who labels a share of the items and errs evenly."""
        for item, truth in self.truth.items():
            if self.random.random() < share:
                self.rows.append((item, name, truth if self.random.random() < accuracy else self.other(truth)))

    def swapping(self, name: str, swap: dict[str, str]) -> None:
        """Add an annotator who takes one class for another, always."""
        self.rows += [(item, name, swap.get(truth, truth)) for item, truth in self.truth.items()]

    def spammer(self, name: str) -> None:
        """Add an annotator who answers at random."""
        self.rows += [(item, name, self.random.choice(self.classes)) for item in self.truth]

    def inferred(self, **also: object) -> tuple[Truth, float]:
        """Return what is inferred, and the share of it that is right."""
        result = infer(arrange(self.rows, self.classes), **also)  # type: ignore[arg-type]
        return result, right(self.truth, named(result.labels, best(result.labels, result.posterior)))


def test_the_votes_of_the_many_are_overruled_by_who_can_tell() -> None:
    """The discriminating case: two annotators answer 1 to all, and the majority is wrong twice."""
    truth = "10101010"
    given_ = ["10101010", "10001010", "10111011", "11111111", "11111111"]
    rows = [(f"i{n}", f"w{w}", answers[n]) for w, answers in enumerate(given_) for n in range(len(truth))]
    labels = arrange(rows)
    assert "".join(named(labels, best(labels, labels.shares())).values()) == "10111011"
    fit = confusion(labels, shrinkage=0.5, traits=PLAIN)  # nearly Dawid and Skene's own
    for posterior in (fit.posterior, infer(labels).posterior):
        assert "".join(named(labels, best(labels, posterior)).values()) == truth


def test_spammers_count_for_nothing_and_a_swapper_for_what_he_tells() -> None:
    crowd = Crowd("abc", 300)
    for n in range(3):
        crowd.annotator(f"good{n}", 0.8)
        crowd.spammer(f"spam{n}")
    crowd.swapping("swaps", {"a": "b", "b": "a"})
    result, accuracy = crowd.inferred()
    labels = result.labels
    votes = right(crowd.truth, named(labels, best(labels, labels.shares())))
    assert result.weights["confusion"] > 0.5
    assert accuracy > 0.97 > 0.8 > votes


@pytest.mark.parametrize("mistaken", [0.3, 0.45, 0.55])
def test_errors_that_depend_on_the_class_are_told_from_truth(mistaken: float) -> None:
    """Class b is taken for a by everybody, in the end more often than not."""
    crowd = Crowd("ab", 400)
    for n in range(9):
        for item, truth in crowd.truth.items():
            said = "a" if truth == "b" and crowd.random.random() < mistaken else truth
            crowd.rows.append((item, f"w{n}", said if crowd.random.random() < 0.95 else crowd.other(said)))
    result, accuracy = crowd.inferred()
    coin = right(crowd.truth, named(result.labels, best(result.labels, result.models["one coin"].posterior)))
    assert result.weights["confusion"] > 0.5
    assert accuracy > max(0.88, coin)


def test_where_nothing_speaks_for_more_both_models_count() -> None:
    crowd = Crowd("abcd", 300)
    for n in range(5):
        crowd.annotator(f"w{n}", 0.75)
    result, accuracy = crowd.inferred()
    assert 0.35 < result.weights["confusion"] < 0.75
    assert accuracy > 0.93


def test_a_misleading_item_is_held_for_less_certain() -> None:
    crowd = Crowd("ab", 200)
    for n in range(7):
        crowd.annotator(f"w{n}", 0.9)
    crowd.rows += [("odd", f"w{n}", "b" if n < 5 else "a") for n in range(7)]
    labels = arrange(crowd.rows, "ab")
    plain, aware = confusion(labels, traits=PLAIN), confusion(labels)
    at = slice(*labels.starts[labels.items.index("odd") : labels.items.index("odd") + 2])
    assert plain.posterior[at][1] > 0.999 > aware.posterior[at][1] > 0.5


def test_what_is_fixed_stays_and_teaches_who_can_tell() -> None:
    crowd = Crowd("ab", 60)
    crowd.annotator("knows", 1.0)
    for n in range(2):
        crowd.annotator(f"guesses{n}", 0.5)
    fixed = {item: truth for n, (item, truth) in enumerate(crowd.truth.items()) if n % 3 == 0}
    result, accuracy = crowd.inferred(fixed=fixed)
    assert all(result.of(item)[truth] == 1.0 for item, truth in fixed.items())
    assert accuracy > max(0.95, crowd.inferred()[1])


def test_a_fixed_truth_that_nobody_named_must_be_a_candidate() -> None:
    classes = [f"c{n}" for n in range(ALL_CLASSES + 1)]
    rows = [("i", "w", "c1"), ("j", "w", "c2")]
    with pytest.raises(ValueError, match="'c9' is no candidate of item 'i'"):
        infer(arrange(rows, classes), {"i": "c9"})
    assert infer(arrange(rows, classes, {"i": ["c9"]}), {"i": "c9"}).of("i") == {"c1": 0.0, "c9": 1.0}
    infer(arrange(rows, classes), {"unknown": "c9"})  # an item without labels has no posterior to fix


def voice_of(crowd: Crowd, predicted: dict[str, dict[str, float]]) -> float:
    """Return how far predictions move the log odds of the classes, on the average."""
    labels = arrange(crowd.rows, crowd.classes)
    evidence, _ = voice_evidence(labels, predicted)
    voice = voice_scale(labels, infer(labels).posterior, evidence) * evidence
    return float(np.abs(np.diff(voice.reshape(-1, len(crowd.classes)), axis=1)).mean())


def predictions(crowd: Crowd, accuracy: float, sure: float) -> dict[str, dict[str, float]]:
    told = {}
    for item, truth in crowd.truth.items():
        says = truth if crowd.random.random() < accuracy else crowd.other(truth)
        told[item] = {one: sure if one == says else 1 - sure for one in crowd.classes}
    return told


def test_a_model_counts_for_what_it_is_worth_whatever_it_claims() -> None:
    crowd = Crowd("ab", 800)
    for n in range(3):
        crowd.annotator(f"w{n}", 0.75)
    honest, boasting, shy = (voice_of(crowd, predictions(crowd, 0.85, sure)) for sure in (0.85, 0.99, 0.65))
    useless = voice_of(crowd, predictions(crowd, 0.5, 0.99))
    assert useless < 0.1 * honest
    assert boasting == pytest.approx(honest, rel=0.25)
    assert shy == pytest.approx(honest, rel=0.25)
    alone = crowd.inferred()[1]
    assert crowd.inferred(predicted=predictions(crowd, 0.85, 0.99))[1] > alone + 0.02
    assert crowd.inferred(predicted=predictions(crowd, 0.5, 0.99))[1] > alone - 0.02


def test_a_model_that_says_the_same_of_all_says_nothing() -> None:
    """What it says of every item is the class prior, and that is counted already."""
    crowd = Crowd("aaab", 300)
    crowd.classes = "ab"
    for n in range(3):
        crowd.annotator(f"w{n}", 0.75)
    assert voice_of(crowd, {item: {"a": 0.9, "b": 0.1} for item in crowd.truth}) < 1e-6
    biased = {}
    for item, told in predictions(crowd, 0.9, 0.9).items():
        both = 4 * told["a"] + told["b"]
        biased[item] = {"a": 4 * told["a"] / both, "b": told["b"] / both}
    assert crowd.inferred(predicted=biased)[1] > crowd.inferred()[1] + 0.02


@pytest.mark.parametrize("share", [float("nan"), float("inf"), -0.1])
def test_a_prediction_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="no probability"):
        infer(arrange([("i", "w", "a"), ("j", "w", "b")]), predicted={"i": {"a": share}})


def test_labels_that_cannot_be_arranged() -> None:
    with pytest.raises(ValueError, match="'w' labels item 'i' twice"):
        arrange([("i", "w", "a"), ("i", "w", "b")])
    with pytest.raises(ValueError, match="declared twice"):
        arrange([("i", "w", "a")], ["a", "b", "a"])


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([("i", "w", "a")], id="one label"),
        pytest.param([("i", "w", "a"), ("j", "w", "a")], id="one class"),
        pytest.param([("i", "w", "a"), ("j", "w", "b"), ("k", "w", "a")], id="one annotator"),
        pytest.param([("i", f"w{n}", "a") for n in range(50)], id="one item"),
        pytest.param([(f"i{n}", f"w{n}", "ab"[n % 2]) for n in range(20)], id="everybody labels once"),
    ],
)
def test_the_smallest_projects_have_an_answer(rows: Rows) -> None:
    result = infer(arrange(rows, ["a", "b", "nobody used it"]))
    for item, _, label in rows:
        posterior = result.of(item)
        assert sum(posterior.values()) == pytest.approx(1)
        assert all(0 <= p <= 1 for p in posterior.values())
        assert max(posterior, key=posterior.__getitem__) == label


def test_an_item_without_labels_and_no_labels_at_all() -> None:
    with pytest.raises(KeyError):
        infer(arrange([("i", "w", "a")])).of("j")
    with pytest.raises(ValueError, match="no labels"):
        arrange([])


def test_a_thousand_classes() -> None:
    crowd = Crowd([f"c{n:03}" for n in range(1000)], 500)
    for n in range(4):
        crowd.annotator(f"w{n}", 0.8)
    result, accuracy = crowd.inferred()
    assert len(result.posterior) < 5 * 500
    assert accuracy > 0.93


labels_of = st.lists(
    st.tuples(st.sampled_from("ijklm"), st.sampled_from("vwxyz"), st.sampled_from("abc")),
    min_size=1,
    max_size=25,
    unique_by=lambda row: row[:2],
)


@given(labels_of, st.randoms(use_true_random=False))
def test_the_order_of_the_labels_changes_not_one_bit(rows: Rows, shuffle: random.Random) -> None:
    mixed = [*rows]
    shuffle.shuffle(mixed)
    one, other = infer(arrange(rows)), infer(arrange(mixed))
    assert np.array_equal(one.posterior, other.posterior)
    assert one.weights == other.weights


@given(labels_of)
def test_a_posterior_is_one(rows: Rows) -> None:
    result = infer(arrange(rows))
    assert np.isfinite(result.posterior).all()
    assert np.add.reduceat(result.posterior, result.labels.starts[:-1]) == pytest.approx(
        np.ones(len(result.labels.items))
    )
    for item in {row[0] for row in rows}:
        assert sum(result.of(item).values()) == pytest.approx(1)
