"""What the demo runs on: scikit-learn's handwritten digits, or a directory of JSONL files."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer

from streams.clock import Clock
from streams.errors import LabelloopError
from streams.producers import simulated
from streams.producers.import_file import import_file
from streams.producers.producer import Producer
from streams.producers.values import as_value

SEED = 7
_DAY_MS = 86_400_000

Matrix = Any
"""One row of features an item: an array, or a sparse matrix."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Facts to publish, and what is known besides.

    Args:
        about: One line for people.
        publish: Sends everything and returns the number of facts, and of lines that were left out.
        truth: True class by item; empty where none is known.
        features: Gives the feature matrix of a list of items; None where the data has none.
    """

    about: str
    publish: Callable[[Producer], tuple[int, int]]
    truth: dict[str, str]
    features: Callable[[Sequence[str]], Matrix] | None


def digits(project: str, clock: Clock) -> DataSet:
    """Return the handwritten digits with labels of simulated annotators, the same at every run but for the dates."""
    found = load_digits()
    ids = [f"digit-{n:04}" for n in range(len(found.target))]
    truth = dict(zip(ids, map(str, found.target), strict=True))
    pixels = dict(zip(ids, found.data, strict=True))
    classes = [str(n) for n in range(10)]
    crowd = simulated.crowd(classes, SEED)
    start = clock.now_ms() // _DAY_MS * _DAY_MS - 6 * _DAY_MS

    def publish(producer: Producer) -> tuple[int, int]:
        producer.project(project, by="demo", classes=classes)
        for item_id in ids:
            producer.item(project, item_id, features=pixels[item_id].tolist())
            producer.gold(project, item_id, truth[item_id], by="demo")
        given = list(simulated.labels(truth, classes, crowd, seed=SEED, start_ms=start))
        for label in given:
            producer.label(
                project,
                label.item_id,
                label.annotator,
                label.value,
                occurred_at=label.occurred_at,
                duration_ms=label.duration_ms,
            )
        producer.flush()
        return 1 + 2 * len(ids) + len(given), 0

    return DataSet(
        f"{len(ids):,} scanned handwritten digits (scikit-learn), labelled 3 times each by {len(crowd)} simulated "
        "annotators",
        publish,
        truth,
        lambda wanted: np.stack([pixels[item_id] for item_id in wanted]),
    )


def directory(folder: Path, project: str) -> DataSet:
    """Return the data set of a folder that holds `labels.jsonl` and, if it has them, `items.jsonl` and `gold.jsonl`.

    Raises:
        LabelloopError: there are no labels.
    """
    if not (folder / "labels.jsonl").is_file():
        raise LabelloopError(f"{folder} holds no labels.jsonl: name a folder like those of the README's import example")
    kinds = [kind for kind in ("items", "labels", "gold") if (folder / f"{kind}.jsonl").is_file()]

    def publish(producer: Producer) -> tuple[int, int]:
        sent, bad = 0, 0
        for kind in kinds:
            summary = import_file(folder / f"{kind}.jsonl", kind, project, producer.send)
            sent, bad = sent + summary.sent, bad + summary.bad
        producer.flush()
        return sent, bad

    return DataSet(
        f"{folder.name}: {', '.join(kinds)}",
        publish,
        _truth(folder / "gold.jsonl"),
        _features(folder),
    )


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()] if file.is_file() else []


def _truth(file: Path) -> dict[str, str]:
    """Return the gold that is one class an item; several questions an item have no single answer."""
    found: dict[str, str] = {}
    for row in _rows(file):
        value = as_value(row["label"])
        if value["kind"] != "choice" or value["choice"] is None or row["item_id"] in found:
            return {}
        found[row["item_id"]] = value["choice"]
    return found


def _features(folder: Path) -> Callable[[Sequence[str]], Matrix] | None:
    items = {row["item_id"]: row for row in _rows(folder / "items.jsonl")}
    if items and all(row.get("features_file") for row in items.values()):
        arrays = {name: np.load(folder / name) for name in {row["features_file"] for row in items.values()}}
        return lambda wanted: np.stack([arrays[items[i]["features_file"]][items[i]["row"]] for i in wanted])
    if items and all(row.get("text") for row in items.values()):
        return lambda wanted: TfidfVectorizer(ngram_range=(1, 2), min_df=2).fit_transform(
            [items[item_id]["text"] for item_id in wanted]
        )
    return None
