"""The same numbers as the libraries of the field give: krippendorff, scikit-learn and crowd-kit."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import krippendorff
import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import DawidSkene, OneCoinDawidSkene
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import cohen_kappa_score, confusion_matrix, roc_auc_score

from bench.quality.measures import area, calibration_error
from streams.quality.agreement import Agreement, Metric, cohen
from streams.quality.label_models import PLAIN, Fit, confusion, one_coin
from streams.quality.labels import Floats, Labels, arrange
from streams.quality.truth import ruled_out

METRICS: tuple[Metric, ...] = ("nominal", "ordinal", "interval", "ratio")

counts_of_items = st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=1, max_size=15)


@pytest.mark.parametrize("metric", METRICS)
@given(counts=counts_of_items, values=st.sets(st.integers(0, 60), min_size=4, max_size=4))
def test_alpha_is_that_of_krippendorff(metric: Metric, counts: list[list[int]], values: set[int]) -> None:
    domain, table = sorted(values), np.array(counts)
    paired = table[table.sum(axis=1) > 1]
    assume((paired.sum(axis=0) > 0).sum() > 1)  # of one value alone that library has no alpha either
    agreement = Agreement()
    for item in counts:
        agreement.add({str(value): n for value, n in zip(domain, item, strict=True) if n})
    with np.errstate(invalid="ignore"):  # it divides 0 by 0 where it compares a value 0 with itself
        theirs = krippendorff.alpha(value_counts=table, value_domain=domain, level_of_measurement=metric)
    assert agreement.alpha(metric) == pytest.approx(theirs, abs=1e-9)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_kappa_of_a_pair_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    ours = cohen(Counter(pairs))
    if len({*map(tuple, pairs)}) == 1 and pairs[0][0] == pairs[0][1]:
        assert ours is None  # chance alone explains it
        return
    assert ours == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)), abs=1e-12)


probabilities = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


@given(probabilities)
def test_the_area_of_an_order_is_that_of_scikit_learn(scored: list[tuple[float, bool]]) -> None:
    score, wrong = np.array([round(one, 6) for one, _ in scored]), np.array([one for _, one in scored])
    assume(0 < wrong.sum() < len(wrong))
    assert area(score, wrong) == pytest.approx(roc_auc_score(wrong, score), abs=1e-12)


@given(probabilities)
def test_the_calibration_error_is_the_weighted_gap_of_scikit_learns_curve(scored: list[tuple[float, bool]]) -> None:
    score, wrong = np.array([one for one, _ in scored]), np.array([one for _, one in scored])
    assume((np.abs(score * 10 - np.rint(score * 10)) > 1e-9).all())  # on an edge that library takes the bin below
    share, mean = calibration_curve(wrong, score, n_bins=10)
    filled = np.bincount((score * 10).astype(int), minlength=10)
    gap = float((np.abs(share - mean) * filled[filled > 0]).sum() / len(score))
    assert calibration_error(score, wrong) == pytest.approx(gap, abs=1e-12)


ITEMS, CLASSES = 400, ("a", "b", "c")


@pytest.fixture(scope="module")
def crowd() -> pd.DataFrame:
    """Return labels by ten annotators, of whom each labels most of the items: some good, some poor, some biased."""
    random = np.random.default_rng(4)
    truth = random.choice(3, ITEMS, p=[0.5, 0.3, 0.2])
    rows = []
    for annotator, accuracy in enumerate(np.linspace(0.5, 0.95, 10)):
        matrix = np.full((3, 3), (1 - accuracy) / 2)
        np.fill_diagonal(matrix, accuracy)
        if annotator % 3 == 0:
            matrix[2] = [0.1, 0.6, 0.3]
        for item in np.flatnonzero(random.random(ITEMS) < 0.8):
            said = random.choice(3, p=matrix[truth[item]])
            rows.append((f"i{item:03}", f"w{annotator}", CLASSES[said]))
    return pd.DataFrame(rows, columns=["task", "worker", "label"])


Plain = Callable[[Labels], Fit]
PLAIN_MODELS: Mapping[str, tuple[Plain, type[DawidSkene]]] = {
    "Dawid-Skene": (lambda labels: confusion(labels, shrinkage=1e-9, traits=PLAIN), DawidSkene),
    "one coin": (lambda labels: one_coin(labels, shrinkage=1e-9), OneCoinDawidSkene),
}


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # crowd-kit is older than this pandas
@pytest.mark.parametrize("name", PLAIN_MODELS)
def test_without_shrinkage_and_traits_the_posterior_is_that_of_crowd_kit(name: str, crowd: pd.DataFrame) -> None:
    """But for one item more, of unknown class, that our class prior rests on."""
    ours, theirs = PLAIN_MODELS[name]
    labels = arrange(crowd.itertuples(index=False, name=None), CLASSES)
    found = ours(labels)
    model = theirs(n_iter=found.rounds, tol=-1).fit(crowd)  # no early end
    assert model.probas_ is not None
    expected = model.probas_.reindex(index=labels.items, columns=CLASSES).to_numpy()
    posterior = found.posterior.reshape(-1, len(CLASSES))
    assert (posterior.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert np.abs(posterior - expected).max() < 0.002


def matrix_of(fit: Fit, annotator: int) -> Floats:
    """Return an annotator's confusion matrix, true class by given class."""
    matrix, cells = np.zeros((len(CLASSES), len(CLASSES))), fit.counts.cells
    assert cells is not None
    own = cells.annotator == annotator
    np.add.at(matrix, (cells.truth[own], cells.said[own]), cells.weight[own])
    return matrix


@given(st.lists(st.tuples(*[st.sampled_from(CLASSES)] * 3), min_size=1, max_size=20))
def test_with_known_truths_the_confusion_matrix_is_that_of_scikit_learn(
    answers: Sequence[Sequence[str]],
) -> None:
    """Each item: its truth, and what two annotators say."""
    labels = arrange([(f"i{n:02}", f"w{w}", one[w + 1]) for n, one in enumerate(answers) for w in (0, 1)], CLASSES)
    known = ruled_out(labels, {f"i{n:02}": truth for n, (truth, _, _) in enumerate(answers)})
    fit = confusion(labels, known, traits=PLAIN)
    truth, *said = zip(*answers, strict=True)
    for annotator in (0, 1):
        expected = confusion_matrix(truth, said[annotator], labels=CLASSES)
        assert matrix_of(fit, annotator) == pytest.approx(expected, abs=1e-9)
