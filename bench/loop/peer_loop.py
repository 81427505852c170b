"""The loop as a user of cleanlab builds it. Runs in the libraries' environment, with nothing of labelloop.

Run as `python peer_loop.py FOLDER`: reads `labels.npz`, `task.json` and, of numbers, `features.npz`; writes
`loop.json`. After every step the reviewer's answers are one more annotator's labels and replace what the model is
trained on; the model is trained anew, out of fold, on CROWDLAB's consensus of the step before, and CROWDLAB decides
anew. What is reviewed next is what CROWDLAB takes for the least sure.
"""

import json
import sys
from pathlib import Path
from typing import Any

import cleanlab.multiannotator as cleanlab
import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

Array = NDArray[Any]

FOLDS = 5
LEAST_PROBABILITY = 1e-6


class Loop:
    """One run.

    Args:
        labels: Class by item and annotator, shape (N, A); not a number: none.
        gold: Right class of each item, shape (N,); -1: not known.
        found: Features of the items.
        strength: C of the logistic regression.
        seed: Of the folds and of ties.
    """

    def __init__(self, labels: Array, gold: Array, found: Any, strength: float, seed: int, majority: Array) -> None:
        self.labels, self.gold, self.found, self.strength, self.seed = labels, gold, found, strength, seed
        self.reviewed = np.zeros(len(gold), dtype=bool)
        self.answers = majority.copy()

    def step(self) -> Array:
        """Decide anew, and return how likely each item's answer is wrong."""
        table = self.labels
        if self.reviewed.any():
            own = np.full((len(self.gold), 1), np.nan)
            own[self.reviewed, 0] = self.gold[self.reviewed]
            table = np.hstack([table, own])
            self.answers[self.reviewed] = self.gold[self.reviewed]
        predicted = self._out_of_fold()
        quality = cleanlab.get_label_quality_multiannotator(
            table, predicted, return_detailed_quality=False, return_annotator_stats=False, verbose=False
        )["label_quality"]
        consensus = quality["consensus_label"].to_numpy().astype(int)
        agreement = cleanlab._get_annotator_agreement_with_consensus(table, consensus)
        given = (~np.isnan(table)).sum(axis=1)
        posterior = cleanlab._get_post_pred_probs_and_weights(table, consensus, predicted, given, agreement)[0]
        self.answers = posterior.argmax(axis=1)
        doubt: Array = 1 - posterior.max(axis=1)
        return doubt

    def labels_now(self) -> Array:
        """Return the answers, those of the reviewer where there are some."""
        return np.where(self.reviewed, self.gold, self.answers)

    def _out_of_fold(self) -> Array:
        y, classes = self.answers, int(np.nanmax(self.labels)) + 1
        predicted = np.zeros((len(y), classes))
        for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=self.seed).split(self.found, y):
            model = LogisticRegression(C=self.strength, max_iter=1000).fit(self.found[train], y[train])
            predicted[np.ix_(test, model.classes_)] = model.predict_proba(self.found[test])
        predicted = np.maximum(predicted, LEAST_PROBABILITY)
        shares: Array = predicted / predicted.sum(axis=1, keepdims=True)
        return shares


def run(task: dict[str, Any], arrays: dict[str, Array], found: Any, tests: Any, seed: int) -> list[dict[str, float]]:
    """Return what a loop comes to after each step, the first before any review."""
    gold, strength = arrays["gold"], task["strength"]
    table = np.full((len(gold), int(arrays["annotator"].max()) + 1), np.nan)
    table[arrays["item"], arrays["annotator"]] = arrays["label"]
    loop = Loop(table, gold, found, strength, seed, arrays["majority"])
    known, ties = gold >= 0, np.random.default_rng(seed)
    each, points = int(task["each"]), []
    for number in range(int(task["steps"]) + 1):
        doubt = loop.step() + 1e-9 * ties.random(len(gold))
        now = loop.labels_now()
        model = LogisticRegression(C=strength, max_iter=1000).fit(found, now)
        points.append(
            {
                "reviews": number * each,
                "labels": float((now == gold)[known].mean()),
                "test": float(model.score(tests, arrays["answers"])),
            }
        )
        doubt[loop.reviewed | ~known] = -1
        loop.reviewed[np.argsort(-doubt)[:each]] = True
    return points


def features(task: dict[str, Any], folder: Path) -> tuple[Any, Any]:
    """Return the features of labelled and test items: TF-IDF of one and two words, or standardised numbers."""
    if "texts" in task:
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit(task["texts"])
        return words.transform(task["texts"]), words.transform(task["test_texts"])
    numbers = np.load(folder / "features.npz")
    scale = StandardScaler().fit(numbers["labelled"])
    return scale.transform(numbers["labelled"]), scale.transform(numbers["test"])


def main(folder: Path) -> None:
    with np.load(folder / "labels.npz") as given:
        arrays = dict(given.items())
    task = json.loads((folder / "task.json").read_text())
    found, tests = features(task, folder)
    runs = [run(task, arrays, found, tests, seed) for seed in task["seeds"]]
    (folder / "loop.json").write_text(json.dumps(runs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
