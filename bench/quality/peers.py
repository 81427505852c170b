"""The libraries' own environment, and what they answer."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.environment import environment, in_environment
from bench.quality.data import DataSet
from bench.quality.measures import Bin
from streams.quality.labels import Floats, Ints

HERE = Path(__file__).parent
LOCK = HERE / "peers.lock"
REGULARISATION = {"labelme": 0.01, "sentiment_polarity": 1.0}
"""C of the logistic regression by data set."""


@dataclass(frozen=True, slots=True, eq=False)
class Peers:
    """What the libraries say of one data set.

    Args:
        labels: Answers by method: majority, one-coin, GLAD, DS and, with a model, CROWDLAB; each of shape (N,).
        posteriors: Probabilities by method, but for the majority, each of shape (N, K).
        crowdlab: CROWDLAB's posterior by the consensus shown, `majority` or `DS`, each of shape (N, K).
        active: ActiveLab's score, low for items that need another look, shape (N,).
        predicted: The model's out-of-fold probabilities, shape (N, K); None: there is no model.
        seconds: Time taken by method.
    """

    labels: dict[str, Ints]
    posteriors: dict[str, Floats]
    crowdlab: dict[str, Floats]
    active: Floats | None
    predicted: Floats | None
    seconds: dict[str, float]


def ask(data: DataSet) -> Peers:
    """Return the libraries' answers.

    Raises:
        LabelloopError: they end with an error.
    """
    python, model = environment(LOCK), data.features()
    if model is not None:
        model["strength"] = REGULARISATION[data.name]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = {"item": data.item, "annotator": data.annotator, "label": data.label, "majority": data.majority()}
        np.savez(folder / "labels.npz", allow_pickle=False, **given)
        (folder / "task.json").write_text(json.dumps({"classes": len(data.classes), "model": model}))
        in_environment([str(python), "-W", "ignore", str(HERE / "libraries.py"), name])
        seconds = json.loads((folder / "seconds.json").read_text())
        with np.load(folder / "answers.npz") as answers:
            arrays: dict[str, NDArray[Any]] = dict(answers.items())
    return Peers(
        _named(arrays, "label "),
        _named(arrays, "posterior "),
        _named(arrays, "CROWDLAB of "),
        arrays.get("ActiveLab"),
        arrays.get("predicted"),
        seconds,
    )


def draw(bins: Mapping[str, Mapping[str, Sequence[Bin]]], file: Path) -> None:
    """Draw a reliability diagram for each data set.

    Args:
        bins: What is drawn, by data set and answer shown.
        file: SVG to write.

    Raises:
        LabelloopError: it cannot be drawn.
    """
    in_environment([str(environment(LOCK)), str(HERE / "diagram.py"), str(file)], json.dumps(bins))


def _named(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
