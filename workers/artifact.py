"""A trained model as it is kept: what it was trained with, what it says, and what it said of the items it learnt from.

Of an item that it was trained on it answers with the cross-fitted prediction, by a model that had not seen the item:
no model marks its own homework.
"""

import hashlib
import json
import logging
import os
import pickle
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

from streams.errors import LabelloopError
from streams.files import folder_name
from streams.quality.labels import Floats
from streams.sinks.tables import label_text
from workers.dataset import Item, Value
from workers.features import Featuriser, Files, spread
from workers.trainers import Learner

LEAST_TOLD = 1e-4
"""Probability below which a class is not named."""

_LIBRARIES = ("labelloop", "lightgbm", "numpy", "scikit-learn", "scipy")
_REFERENCES, _CHUNK = 2_000, 2_000
_MANIFEST, _MODEL = "manifest.json", "model.pickle"

log = logging.getLogger("labelloop.retrain")


class Predicted(NamedTuple):
    """What a model says of an item that it was not trained on, or that was left out when it said so.

    Args:
        item_id: The item.
        value: The likeliest value.
        probabilities: Probability by class, those of at least `LEAST_TOLD`; empty for numbers.
        novelty: How unlike the training items it is, 0 to 1: from 0.5 on more than 95 % of them are like each other.
    """

    item_id: str
    value: Value
    probabilities: Mapping[str, float]
    novelty: float


@dataclass(slots=True, eq=False)
class Model:
    """Learners of one kind of label.

    Args:
        kind: Kind of the labels: choice, choices or number.
        classes: Classes in order, K of them; none for numbers.
        learners: One learner; of choices one for each class.
        temperature: What log odds are divided by.
    """

    kind: str
    classes: tuple[str, ...]
    learners: Sequence[Learner]
    temperature: float = 1.0

    def scores(self, matrix: Any) -> Floats:
        """Return the calibrated probability of each class, shape (N, K), or the numbers, shape (N, 1)."""
        raw = self.raw(matrix)
        return raw if self.kind == "number" else tempered(raw, self.temperature, self.kind)

    def raw(self, matrix: Any) -> Floats:
        """Return what the learners say, not calibrated."""
        if self.kind == "choices":
            return np.column_stack([learner.predict(matrix)[:, 1] for learner in self.learners])
        return self.learners[0].predict(matrix).reshape(matrix.shape[0], -1)

    def value(self, scores: Floats) -> Value:
        """Return the value that scores, shape (K,), come to; of equal classes the lowest."""
        if self.kind == "number":
            return {"kind": "number", "number": float(scores[0])}
        if self.kind == "choice":
            return {"kind": "choice", "choice": self.classes[int(scores.argmax())]}
        return {"kind": "choices", "choices": [self.classes[k] for k in np.flatnonzero(scores >= 0.5)]}


def tempered(probabilities: Floats, temperature: float, kind: str) -> Floats:
    """Return probabilities with their log odds divided by a temperature (Guo et al. 2017), shape as given."""
    sure = np.clip(probabilities, 1e-6, 1 - 1e-6)
    if kind == "choices":
        odds = (np.log(sure) - np.log1p(-sure)) / temperature
        return np.asarray(1 / (1 + np.exp(-odds)))
    logits = np.log(sure) / temperature
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exps / exps.sum(axis=1, keepdims=True))


@dataclass(slots=True, eq=False)
class Novelty:
    """Tells how unlike the training items others are: distance to the nearest of at most 2,000 of them.

    Args:
        neighbours: The training items that are compared with, without codes.
        categories: Number of categories of each of the matrix's first columns.
        usual: Distance below which 95 % of these have their nearest other.
        of_trained: Novelty of the items that were trained on, by item_id.
    """

    neighbours: Any
    categories: Sequence[int]
    usual: float
    of_trained: Mapping[str, float]

    def of(self, matrix: Any) -> Floats:
        """Return the novelty of items, shape (N,): half the distance over the usual one, at most 1."""
        nearest = self._nearest(spread(matrix, self.categories), 1)[:, 0]
        return np.clip(nearest / (2 * self.usual), 0, 1)

    def _nearest(self, matrix: Any, number: int) -> Floats:
        parts = range(0, matrix.shape[0], _CHUNK)
        return np.vstack([self.neighbours.kneighbors(matrix[n : n + _CHUNK], number)[0] for n in parts])

    @classmethod
    def learnt(cls, matrix: Any, categories: Sequence[int], items: Sequence[str], seed: int) -> "Novelty":
        """Return what the training items, shape (N, D), say of their likeness."""
        matrix, number = spread(matrix, categories), matrix.shape[0]
        chosen = np.sort(np.random.default_rng(seed).permutation(number)[:_REFERENCES])
        neighbours = NearestNeighbors(n_neighbors=min(2, len(chosen)), algorithm="brute").fit(matrix[chosen])
        found = cls(neighbours, categories, 1.0, {})
        distances = found._nearest(matrix, min(2, len(chosen)))
        nearest = distances[:, -1].copy()  # of one that is compared with itself the second
        others = np.setdiff1d(np.arange(number), chosen)
        nearest[others] = distances[others, 0]
        usual = float(np.quantile(nearest, 0.95)) or 1.0
        told = np.clip(nearest / (2 * usual), 0, 1).round(6).tolist()
        return cls(neighbours, categories, usual, dict(zip(items, told, strict=True)))


@dataclass(slots=True, eq=False)
class Artifact:
    """A model with all it needs.

    Args:
        version: Its version.
        snapshot: Snapshot that it was trained on.
        spec: Features, trainer and seed, as JSON.
        featuriser: What turns items into a matrix.
        model: The learners.
        novelty: What tells how unlike the training items others are.
        cross_fitted: Scores of each class of the items that it was trained on, by a model that was not; by item_id.
        files: SHA-256 of each file that its features came from, hexadecimal, by name.
        libraries: Version of each library.
    """

    version: str
    snapshot: str
    spec: str
    featuriser: Featuriser
    model: Model
    novelty: Novelty
    cross_fitted: Mapping[str, Sequence[float]]
    files: Mapping[str, str]
    libraries: Mapping[str, str]

    @property
    def predictions_hash(self) -> str:
        """SHA-256 of the cross-fitted predictions, hexadecimal."""
        text = json.dumps([self.model.classes, sorted(self.cross_fitted.items())])
        return hashlib.sha256(text.encode()).hexdigest()

    def predict(self, items: Sequence[Item], files: Files) -> list[Predicted]:
        """Return what it says of items, none of which it saw when it said so.

        Raises:
            Refused: their features are of another kind, or a file is missing.
        """
        new = [item for item in items if item.item_id not in self.cross_fitted]
        scores: dict[str, Sequence[float]] = {}
        novel: dict[str, float] = {}
        if new:
            matrix = self.featuriser.matrix(new, files)
            ids = [item.item_id for item in new]
            scores = dict(zip(ids, self.model.scores(matrix).round(6).tolist(), strict=True))
            novel = dict(zip(ids, self.novelty.of(matrix).round(6).tolist(), strict=True))
        return [
            self._predicted(
                item.item_id,
                self.cross_fitted.get(item.item_id) or scores[item.item_id],
                novel.get(item.item_id, self.novelty.of_trained.get(item.item_id, 0.0)),
            )
            for item in items
        ]

    def readable(self, items: Sequence[Item], files: Files) -> tuple[list[Item], list[str]]:
        """Return the items that it can say something of, and why not of each of the others."""
        troubles = {
            item.item_id: why
            for item in items
            if item.item_id not in self.cross_fitted and (why := self.featuriser.trouble(item, files)) is not None
        }
        return [item for item in items if item.item_id not in troubles], [*troubles.values()]

    def _predicted(self, item_id: str, scores: Sequence[float], novelty: float) -> Predicted:
        told = {
            label: score for label, score in zip(self.model.classes, scores, strict=False) if score >= LEAST_TOLD
        }  # a model of numbers has no classes
        return Predicted(item_id, self.model.value(np.array(scores)), told, novelty)

    def save(self, folder: Path) -> None:
        """Write it; the folder is there whole or not at all. One that is as it was written stays."""
        try:
            read_manifest(folder)
            return  # the same snapshot and trainer gave it
        except LabelloopError:
            shutil.rmtree(folder, ignore_errors=True)
        making = folder.with_name(f".{folder.name}-{os.getpid()}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        body = pickle.dumps(self)
        (making / _MODEL).write_bytes(body)
        manifest = {
            "version": self.version,
            "snapshot": self.snapshot,
            "spec": self.spec,
            "libraries": dict(self.libraries),
            "predictions_hash": self.predictions_hash,
            "files": dict(self.files),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        (making / _MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        os.replace(making, folder)


def model_folder(home: Path, version: str) -> Path:
    """Return where a model lies below a folder, whatever the fact that names it calls it."""
    return home / folder_name(version)


def load(folder: Path) -> Artifact:
    """Return a model that was saved; warns if other versions of the libraries are there now.

    Only what this stack wrote itself is read: a pickle can hold any code.

    Raises:
        LabelloopError: it is not there, or not as it was written.
    """
    manifest, body = read_manifest(folder)
    here = libraries()
    was = manifest["libraries"]
    other = [f"{name} {was[name]}, now {here.get(name)}" for name in sorted(was) if was[name] != here.get(name)]
    if other:
        log.warning("model %s was trained with %s", manifest["version"], "; ".join(other))
    try:
        found: Artifact = pickle.loads(body)
    except (AttributeError, ImportError, TypeError, ValueError, pickle.UnpicklingError) as error:
        why = f"the model in {folder} cannot be read here ({error}): delete it, it is trained again"
        raise LabelloopError(why) from error
    return found


def read_manifest(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Return the manifest and the bytes of a model that is as it was written.

    Raises:
        LabelloopError: it is not there, or not as it was written.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text())
        body = (folder / _MODEL).read_bytes()
        if hashlib.sha256(body).hexdigest() == manifest["sha256"]:
            return manifest, body
    except FileNotFoundError:
        raise LabelloopError(f"no model lies in {folder}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        pass  # no manifest of ours
    raise LabelloopError(f"the model in {folder} is not as it was written: delete it, it is trained again")


def libraries() -> dict[str, str]:
    """Return the version of each library that a model depends on."""
    return {**{name: version(name) for name in _LIBRARIES}, "python": platform.python_version()}


def text_of(value: Value) -> str:
    """Return a value as one text, equal for equal values."""
    if value["kind"] == "choices":
        value = {**value, "choices": sorted(value["choices"])}
    return label_text(value)
