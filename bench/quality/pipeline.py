"""The product itself: the labels go through a stack's topics and workers, in several orders of arrival."""

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from bench.quality.core import arranged
from bench.quality.data import DataSet, Row
from bench.quality.reviews import KEPT, Curves, reviewed, static
from streams.demo.story import running_stack
from streams.errors import LabelloopError
from streams.producers.producer import Producer
from streams.quality.labels import Floats, Ints
from streams.query.simulate import Policy
from streams.query.wait import wait
from streams.settings import Settings
from streams.terminal import Console

RANDOM_ORDERS = 3
MODEL = "out-of-fold"
FIRST = "file"
"""The order of arrival whose answers are compared with the libraries'; the others must give the same."""

_WAIT_S = 600.0


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a project's export says of its items.

    Args:
        consensus: Index of the answer of each item, shape (N,).
        posterior: Probability of each class of each item, shape (N, K).
        p_wrong: Probability that the answer is wrong, shape (N,).
        imported_s: Time until labels and predictions were published and folded.
        settled_s: Time that settling took after that.
    """

    consensus: Ints
    posterior: Floats
    p_wrong: Floats
    imported_s: float
    settled_s: float


def orders(data: DataSet) -> dict[str, list[Row]]:
    """Return the labels in every order of arrival."""
    rows = data.rows()
    mixed = {f"random {seed}": arranged(data, "mixed", seed) for seed in range(RANDOM_ORDERS)}
    return {FIRST: rows, "reversed": rows[::-1], "by item": arranged(data, "by item", 0), **mixed}


def run(
    sets: Sequence[DataSet], predicted: Mapping[str, Floats | None], console: Console
) -> tuple[dict[str, dict[str, Outcome]], Mapping[str, Curves]]:
    """Return the outcome by data set and order of arrival, and what reviews find; each is a project of its own.

    Args:
        sets: The data sets.
        predicted: A model's out-of-fold probabilities by data set, shape (N, K); None: there is no model.
        console: Is told what goes on.

    Raises:
        LabelloopError: a command fails, or the export is not what was asked for.
    """
    outcomes: dict[str, dict[str, Outcome]] = {}
    reviews: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name, running_stack(Path(name), console) as settings:
        for data in sets:
            outcomes[data.name] = {}
            for number, (order, rows) in enumerate(orders(data).items()):
                project = f"{data.name}-{number}"
                outcomes[data.name][order] = _through(settings, project, data, rows, predicted[data.name])
                console.print(f"{data.name}, {order}: {len(rows):,} labels")
            first = outcomes[data.name][FIRST]
            reviews[data.name] = {KEPT: static(data, first.consensus, first.p_wrong)}
            for policy in get_args(Policy):
                project = f"{data.name}-{policy}"
                _publish(settings, project, data, orders(data)[FIRST], predicted[data.name])
                reviews[data.name][policy] = reviewed(settings, project, data, policy)
                console.print(f"{data.name}: reviewed, {policy}")
    return outcomes, reviews


def _through(settings: Settings, project: str, data: DataSet, rows: Sequence[Row], predicted: Floats | None) -> Outcome:
    """Send labels and predictions through the stack and return what comes out."""
    began = time.monotonic()
    _publish(settings, project, data, rows, predicted)
    wait(settings, _WAIT_S)
    imported = time.monotonic()
    _labelloop(settings, "settle", "--project", project)
    wait(settings, _WAIT_S)
    settled = time.monotonic()
    text = _labelloop(settings, "export", "items", "--project", project, "--format", "jsonl")
    found = {str(row["item_id"]): row for row in map(json.loads, text.splitlines())}
    return _outcome(data, found, imported - began, settled - imported)


def _publish(settings: Settings, project: str, data: DataSet, rows: Sequence[Row], predicted: Floats | None) -> None:
    """Import labels and publish the model's predictions."""
    file = settings.home / f"{project}.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("item_id", "annotator_id", "label"), *rows])
    _labelloop(settings, "import", "labels", str(file), "--project", project)
    if predicted is not None:
        with Producer(settings, source="bench") as producer:
            for item, shares in data.named(predicted).items():
                producer.prediction(project, item, MODEL, probabilities=shares, out_of_sample=True)


def _outcome(data: DataSet, found: Mapping[str, Mapping[str, Any]], imported_s: float, settled_s: float) -> Outcome:
    """Return an export as arrays.

    Raises:
        LabelloopError: an item, its posterior or its answer is missing.
    """
    place = {label: k for k, label in enumerate(data.classes)}
    try:
        told = [found[item] for item in data.items]
        posterior = {item: _object(row["posterior"]) for item, row in zip(data.items, told, strict=True)}
        consensus = np.array([place[row["consensus"]] for row in told])
        p_wrong = np.array([float(row["p_wrong"]) for row in told])
    except (KeyError, TypeError) as error:
        raise LabelloopError(f"the export of {data.name} lacks {error}: did the project settle?") from error
    return Outcome(consensus, data.table(posterior), p_wrong, imported_s, settled_s)


def _object(value: Any) -> dict[str, float]:
    """Return a JSON object, which an export may hold as text."""
    found: dict[str, float] = json.loads(value) if isinstance(value, str) else value
    return found


def _labelloop(settings: Settings, *arguments: str) -> str:
    """Return what a command prints.

    Raises:
        LabelloopError: it fails.
    """
    command = [sys.executable, "-m", "streams.cli", *arguments, "--data", str(settings.home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * _WAIT_S)
    if done.returncode:
        raise LabelloopError(f"labelloop {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr.strip()}")
    return done.stdout
