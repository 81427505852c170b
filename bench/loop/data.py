"""What a loop runs on: labelled items with known answers, and test items that nobody labelled."""

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.quality.data import DataSet, load
from streams.quality.labels import Floats, Ints
from workers.artifact import Artifact
from workers.dataset import Item, Row
from workers.features import Files

NAMES = ("labelme", "sentiment_polarity")
_SURE = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class LoopData:
    """A data set with inputs and a test part.

    Args:
        labels: Labels and known answers.
        items: Input of each labelled item, in the order of `labels.items`.
        tests: Input of each test item.
        answers: Index of the right class of each test item, shape (T,).
    """

    labels: DataSet
    items: tuple[Item, ...]
    tests: tuple[Item, ...]
    answers: Ints

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.labels.name

    @property
    def gold(self) -> dict[str, str]:
        """Right class of each labelled item that has a known one."""
        classes = self.labels.classes
        pairs = zip(self.labels.items, self.labels.gold.tolist(), strict=True)
        return {item: classes[k] for item, k in pairs if 0 <= k < len(classes)}

    def renamed(self, seed: int) -> "LoopData":
        """Return the same data under other names of the items: other folds, and other ties go first.

        Args:
            seed: 0: the names stay.
        """
        if not seed:
            return self
        items = tuple(replace(item, item_id=f"{seed}-{item.item_id}") for item in self.items)
        return replace(self, items=items, labels=replace(self.labels, items=tuple(item.item_id for item in items)))

    def copy_files(self, folder: Path) -> None:
        """Put the files that features lie in below a folder, under the names that the items give."""
        for name in sorted({item.features_file for item in (*self.items, *self.tests) if item.features_file}):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.labels.folder / name, folder / name)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write items and labels as files to import, and return where they are."""
        items, labels = folder / f"{self.name}-items.jsonl", folder / f"{self.name}-labels.csv"
        with items.open("w") as out:
            for item in self.items:
                given = {"features_file": item.features_file, "row": item.features_row, "text": item.text}
                told = {name: value for name, value in given.items() if value is not None}
                out.write(json.dumps({"item_id": item.item_id, **told}) + "\n")
        with labels.open("w", newline="") as out:
            csv.writer(out).writerows([("item_id", "annotator_id", "label"), *self.labels.rows()])
        return items, labels

    def rows(self) -> list[Row]:
        """Return the rows of a snapshot in which every item has its right answer."""
        found = [
            Row(item, {"kind": "choice", "choice": self.gold[item.item_id]}, "truth", _SURE, (item.item_id,))
            for item in self.items
            if item.item_id in self.gold
        ]
        return sorted(found, key=lambda row: row.item_id)

    def label_accuracy(self, answers: Sequence[str]) -> float:
        """Return the share of the items with a known answer whose answer is right.

        Args:
            answers: Class of each labelled item, in the order of `labels.items`.
        """
        place = {label: k for k, label in enumerate(self.labels.classes)}
        return self.labels.accuracy(np.array([place.get(label, -2) for label in answers]))

    def test_accuracy(self, artifact: Artifact, files: Files) -> float:
        """Return the share of the test items that a model has right."""
        said = artifact.predict(self.tests, files)
        classes = self.labels.classes
        right = [
            one.value == {"kind": "choice", "choice": classes[k]}
            for one, k in zip(said, self.answers.tolist(), strict=True)
        ]
        return float(np.mean(right))

    def matrices(self) -> tuple[Floats, Floats] | None:
        """Return the numbers of labelled and test items, shapes (N, D) and (T, D); None: they are texts."""
        if self.items[0].features_file is None:
            return None
        files = Files(self.labels.folder)
        labelled, test = (
            np.array([files.rows(str(item.features_file))[item.features_row] for item in part])
            for part in (self.items, self.tests)
        )
        return labelled, test


def loop_data(name: str) -> LoopData:
    """Return a data set.

    Raises:
        LabelloopError: it is not there.
    """
    labels = load(name)
    lines = [json.loads(line) for line in (labels.folder / "items.jsonl").read_text().splitlines()]
    found = {str(line["item_id"]): _item(line) for line in lines}
    gold = {
        str(line["item_id"]): str(line["label"])
        for line in map(json.loads, (labels.folder / "gold.jsonl").read_text().splitlines())
        if line["label"] is not None
    }
    place = {label: k for k, label in enumerate(labels.classes)}
    tests = tuple(found[str(line["item_id"])] for line in lines if line["split"] == "test")
    return LoopData(
        labels,
        tuple(found[item] for item in labels.items),
        tests,
        np.array([place[gold[item.item_id]] for item in tests]),
    )


def _item(line: dict[str, object]) -> Item:
    row, file, text = line.get("row"), line.get("features_file"), line.get("text")
    return Item(
        str(line["item_id"]),
        text=None if text is None else str(text),
        features_file=None if file is None else str(file),
        features_row=row if isinstance(row, int) else None,
    )
