"""What a loop is compared with: the cleanlab loop, and a model that learns from nothing but right answers."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.environment import environment, in_environment
from bench.loop.data import LoopData
from bench.loop.trainers import REGULARISATION, named
from bench.quality.peers import LOCK
from workers.features import Files
from workers.training import Spec, train

HERE = Path(__file__).parent


def cleanlab_loop(data: LoopData, seeds: int, budget: float, step: float) -> list[list[dict[str, float]]]:
    """Return, for each seed, where the cleanlab loop stands after each step: `reviews`, `labels`, `test`.

    Raises:
        LabelloopError: it ends with an error.
    """
    labels = data.labels
    known = len(data.gold)
    each = max(1, round(step * known))
    task: dict[str, Any] = {
        "strength": REGULARISATION[data.name],
        "each": each,
        "steps": round(budget * known / each),
        "seeds": list(range(seeds)),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = {"item": labels.item, "annotator": labels.annotator, "label": labels.label}
        answers = {"majority": labels.majority(), "gold": labels.gold, "answers": data.answers}
        np.savez(folder / "labels.npz", allow_pickle=False, **given, **answers)
        matrices = data.matrices()
        if matrices is None:
            task |= {"texts": [item.text for item in data.items], "test_texts": [item.text for item in data.tests]}
        else:
            np.savez(folder / "features.npz", allow_pickle=False, labelled=matrices[0], test=matrices[1])
        (folder / "task.json").write_text(json.dumps(task))
        in_environment([str(environment(LOCK)), "-W", "ignore", str(HERE / "peer_loop.py"), name])
        found: list[list[dict[str, float]]] = json.loads((folder / "loop.json").read_text())
    return found


def ceiling(data: LoopData, trainer: str, seed: int) -> float:
    """Return the test accuracy of the product's trainer where every item has its right answer.

    Args:
        data: The data.
        trainer: Trainer, by its name in the benchmark.
        seed: Of what is random in it.
    """
    files = Files(data.labels.folder)
    artifact, _ = train("ceiling", data.rows(), Spec(named(trainer, data.name), seed=seed), files)
    return data.test_accuracy(artifact, files)


def draw(panels: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Draw curves side by side.

    Args:
        panels: Of each panel `title`, `y`, `ceiling` (a number or None), and `curves`: by name the shares reviewed and
            the figures.
        file: SVG to write.

    Raises:
        LabelloopError: it cannot be drawn.
    """
    in_environment([str(environment(LOCK)), str(HERE / "diagram.py"), str(file)], json.dumps(panels))
