"""The data sets that quality is measured on."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.errors import LabelloopError
from streams.quality.labels import Floats, Ints

NAMES = ("labelme", "sentiment_polarity", "bluebird", "zencrowd_us")
WITH_MODEL = ("labelme", "sentiment_polarity")
"""Sets whose items have features or a text that a model can learn from."""

Row = tuple[str, str, str]
"""Item, annotator, class."""

_ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """The labels of a set and what is right.

    Args:
        name: Its name.
        items: Items in the order of their first label, N of them.
        annotators: Annotators in the order of their first label.
        classes: Classes, sorted, K of them.
        item: Item of each label, in the order of the file; of several by one annotator of one item the last counts.
        annotator: Annotator of each label.
        label: Class of each label.
        gold: Right class of each item, shape (N,); -1: it is not known, K: nobody named it for any item.
        folder: Where the set lies.
    """

    name: str
    items: tuple[str, ...]
    annotators: tuple[str, ...]
    classes: tuple[str, ...]
    item: Ints
    annotator: Ints
    label: Ints
    gold: Ints
    folder: Path

    def rows(self) -> list[Row]:
        """Return the labels by name, in the order of the file."""
        columns = (self.item.tolist(), self.annotator.tolist(), self.label.tolist())
        return [(self.items[i], self.annotators[a], self.classes[k]) for i, a, k in zip(*columns, strict=True)]

    def votes(self) -> Floats:
        """Return the number of labels by item and class, shape (N, K)."""
        k = len(self.classes)
        cells = np.bincount(self.item * k + self.label, minlength=len(self.items) * k)
        return cells.reshape(len(self.items), k).astype(float)

    def majority(self) -> Ints:
        """Return the class with the most votes of each item, ties to the lowest class, shape (N,)."""
        most: Ints = self.votes().argmax(axis=1)
        return most

    def accuracy(self, answers: Ints) -> float:
        """Return the share of the items with gold whose answer is right."""
        known = self.gold >= 0
        return float((answers == self.gold)[known].mean())

    def table(self, probabilities: Mapping[str, Mapping[str, float]]) -> Floats:
        """Return probabilities by item and class as an array, shape (N, K)."""
        return np.array([[probabilities[item].get(one, 0.0) for one in self.classes] for item in self.items])

    def named(self, probabilities: NDArray[np.float64]) -> dict[str, dict[str, float]]:
        """Return an array of shape (N, K) as probabilities by item and class."""
        return {
            item: dict(zip(self.classes, row, strict=True))
            for item, row in zip(self.items, probabilities.tolist(), strict=True)
        }

    def features(self) -> dict[str, Any] | None:
        """Return what a model may learn from: `texts`, or an array and each item's row; None: nothing is there."""
        if self.name not in WITH_MODEL:
            return None
        found = {row["item_id"]: row for row in _lines(self.folder / "items.jsonl")}
        rows = [found[item] for item in self.items]
        if "text" in rows[0]:
            return {"texts": [row["text"] for row in rows]}
        file = self.folder / str(rows[0]["features_file"])
        return {"file": str(file), "rows": [row["row"] for row in rows]}


def load(name: str) -> DataSet:
    """Return a data set.

    Raises:
        LabelloopError: it is not there.
    """
    folder = Path(os.environ.get("LABELLOOP_TEST_DATA", _ROOT.parent / "shared" / "data")) / name
    if not (folder / "labels.jsonl").is_file():
        raise LabelloopError(f"{folder} holds no labels.jsonl: set LABELLOOP_TEST_DATA to the folder of the data sets")
    lines = _lines(folder / "labels.jsonl")
    last = {(line["item_id"], line["annotator_id"]): n for n, line in enumerate(lines)}
    kept = [lines[n] for n in sorted(last.values())]
    items = tuple(dict.fromkeys(str(line["item_id"]) for line in kept))
    annotators = tuple(dict.fromkeys(str(line["annotator_id"]) for line in kept))
    classes = tuple(sorted({str(line["label"]) for line in kept}))
    right = {line["item_id"]: str(line["label"]) for line in _lines(folder / "gold.jsonl") if line["label"] is not None}
    place = {label: k for k, label in enumerate(classes)}
    return DataSet(
        name,
        items,
        annotators,
        classes,
        _places(items, [str(line["item_id"]) for line in kept]),
        _places(annotators, [str(line["annotator_id"]) for line in kept]),
        _places(classes, [str(line["label"]) for line in kept]),
        np.array([place.get(right[item], len(classes)) if item in right else -1 for item in items]),
        folder,
    )


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _places(names: tuple[str, ...], found: list[str]) -> Ints:
    place = {name: n for n, name in enumerate(names)}
    return np.array([place[name] for name in found], dtype=np.int64)
