"""What makes a model of a matrix and labels: LightGBM is built in, a user's own is any scikit-learn estimator.

The log names a trainer, the operator of the worker decides what code stands behind a name.
"""

import importlib
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.errors import LabelloopError
from streams.quality.labels import Floats, Ints
from workers.features import Refused, spread

TRAINERS = "LABELLOOP_TRAINERS"
"""Environment variable with the operator's trainers: `NAME=module:attribute`, separated by commas."""

_MAX_TREES, _STOP_AFTER = 300, 20
_COMMON = 10  # items; of fewer items no word can part LightGBM's leaves

Bools = NDArray[np.bool_]


class Learner(Protocol):
    """A model of one target: probabilities of classes, or numbers."""

    def predict(self, matrix: Any) -> Floats:
        """Return the probability of each class, shape (N, K), or the numbers, shape (N,)."""
        ...


class Trainer(Protocol):
    """Makes learners; `prepare` may look at the data once, so that all folds are trained alike."""

    def prepare(
        self, matrix: Any, target: Any, weight: Floats, classes: int, categories: Sequence[int], held_back: Bools
    ) -> None:
        """Choose what all folds share, such as the number of trees.

        Args:
            matrix: Items, one a row.
            target: Class of each item, 0 to classes - 1, or a number.
            weight: Weight of each item.
            classes: Number of classes; 0: the target is a number.
            categories: The first columns hold codes; the number of categories of each.
            held_back: Items that tell when to stop; no group is in both parts.
        """
        ...

    def fit(self, matrix: Any, target: Any, weight: Floats) -> Learner:
        """Return a model of the data, the same for the same data."""
        ...


def trainer(name: str, seed: int, environ: Mapping[str, str] | None = None) -> Trainer:
    """Return the trainer of a name.

    Raises:
        Refused: nobody gave the worker a trainer of that name, or it cannot be loaded.
    """
    if name == "lightgbm":
        return LightGBM(seed)
    known = given(os.environ.get(TRAINERS, "") if environ is None else environ.get(TRAINERS, ""))
    if name not in known:
        raise Refused(
            f"no trainer is called {name!r}: use lightgbm, or start the worker with {TRAINERS}={name}=module:attribute"
        )
    return Sklearn(_load(name, known[name]), seed)


def given(text: str) -> dict[str, str]:
    """Return `module:attribute` by name.

    Raises:
        LabelloopError: the text is of another form.
    """
    found = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, where = part.partition("=")
        if not equals or ":" not in where or not name:
            raise LabelloopError(f"{TRAINERS} holds {part!r}: give NAME=module:attribute, separated by commas")
        found[name.strip()] = where.strip()
    return found


def _load(name: str, where: str) -> Callable[[], Any]:
    module, _, attribute = where.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise Refused(f"trainer {name!r} cannot be loaded from {where}: {error}") from None
    if not callable(found) and not hasattr(found, "fit"):
        raise Refused(f"trainer {name!r} is no estimator, and {where} cannot be called to make one")
    if inspect.isclass(found) or not hasattr(found, "fit"):
        return found  # type: ignore[no-any-return]

    def cloned() -> Any:
        from sklearn.base import clone

        return clone(found)

    return cloned


@dataclass(slots=True)
class _Probabilities:
    """A classifier that may have seen some of the classes only."""

    estimator: Any
    seen: Ints
    classes: int
    factors: Floats | None = None

    def predict(self, matrix: Any) -> Floats:
        found = np.zeros((matrix.shape[0], self.classes))
        told = np.asarray(self.estimator.predict_proba(matrix), dtype=float)
        found[:, self.seen] = told if self.factors is None else told / self.factors
        shares: Floats = found / found.sum(axis=1, keepdims=True)
        return shares


@dataclass(slots=True)
class _Numbers:
    estimator: Any

    def predict(self, matrix: Any) -> Floats:
        return np.asarray(self.estimator.predict(matrix), dtype=float)


@dataclass(slots=True)
class _Constant:
    """What is said where the training rows hold one class."""

    probabilities: Floats

    def predict(self, matrix: Any) -> Floats:
        return np.repeat(self.probabilities[None], matrix.shape[0], axis=0)


class LightGBM:
    """Gradient-boosted trees; how many is found by early stopping on a fifth of the rows.

    A rare class weighs more, by the root of how rare it is, and the probabilities are put right afterwards: in
    proportion to what was trained on, divided by the factors.

    Args:
        seed: Seed of the bagging.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self._trees, self._classes = seed, _MAX_TREES, 0
        self._categorical: list[int] | str = "auto"
        self._kept: Ints | None = None

    def _estimator(self, trees: int) -> Any:
        import lightgbm

        kind = lightgbm.LGBMClassifier if self._classes else lightgbm.LGBMRegressor
        return kind(
            n_estimators=trees,
            num_leaves=7,
            learning_rate=0.1,
            min_child_samples=_COMMON,
            min_data_per_group=_COMMON,
            subsample=0.8,
            subsample_freq=1,
            colsample_bytree=0.2,
            n_jobs=1,
            deterministic=True,
            force_col_wise=True,
            max_bin=31,  # as accurate as 63 on real features, in two thirds of the time
            verbose=-1,
            random_state=self._seed,
        )

    def prepare(
        self, matrix: Any, target: Any, weight: Floats, classes: int, categories: Sequence[int], held_back: Bools
    ) -> None:
        """Find the number of trees, and the columns that more than a few items have."""
        import lightgbm

        self._classes = classes
        if hasattr(matrix, "getnnz"):
            common = matrix.getnnz(axis=0) >= _COMMON
            common[: len(categories)] = True  # the commonest category is a zero
            self._kept = np.flatnonzero(common) if common.any() else np.arange(matrix.shape[1])
        self._categorical = [*range(len(categories))] or "auto"
        stop, kept = held_back, self._columns(matrix)
        if not stop.any() or stop.all() or (classes and {*target[stop]} - {*target[~stop]}):
            return  # too few of a class to hold some back
        if classes and len({*target[~stop]}) == 1:
            return
        estimator = self._estimator(_MAX_TREES)
        estimator.fit(
            kept[~stop],
            target[~stop],
            sample_weight=weight[~stop] * self._factors(target[~stop])[1],
            eval_X=kept[stop],
            eval_y=target[stop],
            eval_sample_weight=[weight[stop]],
            categorical_feature=self._categorical,
            callbacks=[lightgbm.early_stopping(_STOP_AFTER, verbose=False)],
        )
        self._trees = max(1, estimator.best_iteration_)

    def _columns(self, matrix: Any) -> Any:
        return matrix if self._kept is None else matrix[:, self._kept]

    def _factors(self, target: Any) -> tuple[Floats, Floats]:
        """Return what each class's weight is multiplied with, and the same for each row."""
        if not self._classes:
            return np.ones(0), np.ones(len(target))
        counts = np.bincount(target, minlength=self._classes)
        factors = np.sqrt(counts.max() / np.maximum(counts, 1))
        return factors, factors[target]

    def fit(self, matrix: Any, target: Any, weight: Floats) -> Learner:
        """Return the trees that data gives."""
        factors, of_row = self._factors(target)
        kept, estimator = self._columns(matrix), self._estimator(self._trees)
        if not self._classes:
            estimator.fit(kept, target, sample_weight=weight, categorical_feature=self._categorical)
            return _Kept(self._kept, _Numbers(estimator))
        seen = np.unique(target)
        if len(seen) == 1:
            return _Constant(np.eye(self._classes)[seen[0]])
        estimator.fit(kept, target, sample_weight=weight * of_row, categorical_feature=self._categorical)
        return _Kept(self._kept, _Probabilities(estimator, seen, self._classes, factors[seen]))


@dataclass(slots=True)
class _Kept:
    """A learner that looks at some columns."""

    columns: Ints | None
    learner: Learner

    def predict(self, matrix: Any) -> Floats:
        return self.learner.predict(matrix if self.columns is None else matrix[:, self.columns])


@dataclass(slots=True)
class _Spread:
    """A learner that knows no codes of categories."""

    categories: Sequence[int]
    learner: Learner

    def predict(self, matrix: Any) -> Floats:
        return self.learner.predict(spread(matrix, self.categories))


class Sklearn:
    """A scikit-learn estimator as it is; it gets sample weights if it takes them.

    Args:
        make: Makes a fresh one.
        seed: Its `random_state`, if it has one.
    """

    def __init__(self, make: Callable[[], Any], seed: int) -> None:
        self._make, self._seed, self._classes = make, seed, 0
        self._categories: list[int] = []

    def prepare(
        self, matrix: Any, target: Any, weight: Floats, classes: int, categories: Sequence[int], held_back: Bools
    ) -> None:
        """Remember the number of classes and of categories."""
        self._classes, self._categories = classes, [*categories]

    def fit(self, matrix: Any, target: Any, weight: Floats) -> Learner:
        """Return the fitted estimator.

        Raises:
            Refused: it takes no such data, or tells no probabilities.
        """
        seen = np.unique(target)
        if self._classes and len(seen) == 1:
            return _Constant(np.eye(self._classes)[seen[0]])
        estimator = self._make()
        if self._classes and not hasattr(estimator, "predict_proba"):
            raise Refused(f"{type(estimator).__name__} has no predict_proba: wrap it in CalibratedClassifierCV")
        seeds = [name for name in getattr(estimator, "get_params", dict)() if name.split("__")[-1] == "random_state"]
        if seeds:  # of each step of a pipeline
            estimator.set_params(**dict.fromkeys(seeds, self._seed))
        takes = "sample_weight" in inspect.signature(estimator.fit).parameters
        try:
            estimator.fit(spread(matrix, self._categories), target, **({"sample_weight": weight} if takes else {}))
        except (ValueError, TypeError) as error:
            raise Refused(f"{type(estimator).__name__} does not take the data: {error}") from error
        learner = _Probabilities(estimator, seen, self._classes) if self._classes else _Numbers(estimator)
        return _Spread(self._categories, learner)
