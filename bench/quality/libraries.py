"""The libraries' answers to one data set. Runs in their own environment, with nothing of labelloop.

Run as `python libraries.py FOLDER`: reads `labels.npz` and `task.json`, writes `answers.npz` and `seconds.json`. The
recipes are those of the libraries' own examples; a model is trained on the majority, out of fold.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cleanlab.multiannotator as cleanlab
import numpy as np
import pandas as pd
from crowdkit.aggregation import GLAD, DawidSkene, MajorityVote, OneCoinDawidSkene
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

Array = NDArray[Any]

FOLDS, SEED = 5, 0
LEAST_PROBABILITY = 1e-6


class Answers:
    """What the libraries say, and how long they take to."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, run: Callable[[], Any]) -> Any:
        """Return what `run` returns and keep its time."""
        began = time.perf_counter()
        result = run()
        self.seconds[name] = round(time.perf_counter() - began, 3)
        return result


def crowd_kit(frame: pd.DataFrame, items: int, classes: int, answers: Answers) -> None:
    """Add `label NAME` and, but for the vote, `posterior NAME` of crowd-kit's methods."""
    methods: dict[str, Any] = {
        "majority": MajorityVote(),
        "one-coin": OneCoinDawidSkene(n_iter=100),
        "GLAD": GLAD(),
        "DS": DawidSkene(n_iter=100),
    }
    for name, method in methods.items():
        labels = answers.timed(name, partial(method.fit_predict, frame))
        answers.arrays[f"label {name}"] = labels.reindex(range(items)).to_numpy(dtype=int)
        if name != "majority":
            shares = method.probas_.reindex(index=range(items), columns=range(classes))
            answers.arrays[f"posterior {name}"] = np.nan_to_num(shares.to_numpy(dtype=float))


def features(task: dict[str, Any]) -> Any:
    """Return the items' features: TF-IDF of one and two words, or standardised numbers."""
    if "texts" in task:
        return TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit_transform(task["texts"])
    every = np.load(task["file"])
    scaled = StandardScaler().fit_transform(every.reshape(len(every), -1))
    return scaled[task["rows"]]


def out_of_fold(found: Any, majority: Array, classes: int, strength: float) -> Array:
    """Return each item's probabilities by a model that was trained without it, on the majority of the others."""
    predicted = np.zeros((len(majority), classes))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(found, majority):
        model = LogisticRegression(C=strength, max_iter=1000).fit(found[train], majority[train])
        predicted[np.ix_(test, model.classes_)] = model.predict_proba(found[test])
    predicted = np.maximum(predicted, LEAST_PROBABILITY)
    shares: Array = predicted / predicted.sum(axis=1, keepdims=True)
    return shares


def crowdlab(labels: Array, predicted: Array, shown: Array) -> Array:
    """Return CROWDLAB's posterior where `shown` is the consensus; its public calls choose one of their own."""
    agreement = cleanlab._get_annotator_agreement_with_consensus(labels, shown)
    given = (~np.isnan(labels)).sum(axis=1)
    posterior: Array = cleanlab._get_post_pred_probs_and_weights(labels, shown, predicted, given, agreement)[0]
    return posterior


def with_model(task: dict[str, Any], labels: Array, majority: Array, classes: int, answers: Answers) -> None:
    """Add the model's predictions and what CROWDLAB and ActiveLab make of them."""
    found, strength = features(task), task["strength"]
    predicted = answers.timed("model", lambda: out_of_fold(found, majority, classes, strength))
    answers.arrays["predicted"] = predicted
    quality = answers.timed(
        "CROWDLAB",
        lambda: cleanlab.get_label_quality_multiannotator(
            labels, predicted, return_detailed_quality=False, return_annotator_stats=False, verbose=False
        ),
    )
    answers.arrays["label CROWDLAB"] = quality["label_quality"]["consensus_label"].to_numpy(dtype=int)
    for name, shown in (("majority", majority), ("DS", answers.arrays["label DS"])):
        answers.arrays[f"CROWDLAB of {name}"] = crowdlab(labels, predicted, shown)
    scores, _ = answers.timed("ActiveLab", lambda: cleanlab.get_active_learning_scores(labels, predicted))
    answers.arrays["ActiveLab"] = np.asarray(scores)


def main(folder: Path) -> None:
    given = np.load(folder / "labels.npz")
    item, annotator, label, majority = (given[name] for name in ("item", "annotator", "label", "majority"))
    task = json.loads((folder / "task.json").read_text())
    classes, answers = int(task["classes"]), Answers()
    frame = pd.DataFrame({"task": item, "worker": annotator, "label": label})
    crowd_kit(frame, len(majority), classes, answers)
    if task["model"]:
        table = np.full((len(majority), annotator.max() + 1), np.nan)
        table[item, annotator] = label
        with_model(task["model"], table, majority, classes, answers)
    np.savez(folder / "answers.npz", allow_pickle=False, **answers.arrays)
    (folder / "seconds.json").write_text(json.dumps(answers.seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
