"""One loop through the product: import, train, review what the queue shows first, train again.

Everything goes through the stack as a user's would: files are imported, the queue is read where the processors put it,
verdicts are published, and models are asked for on the command line.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from bench.loop.data import LoopData
from bench.loop.trainers import named
from streams.errors import LabelloopError
from streams.producers.producer import Producer
from streams.query.settle import settle
from streams.query.simulate import open_items
from streams.settings import Settings
from workers.artifact import load as load_model
from workers.facts import files_directory
from workers.features import Files
from workers.history import Loop
from workers.log import read_history

Order = Literal["queue", "random", "perfect"]

LEAD, REVIEWER = "bench-lead", "simulated-reviewer"
NO_TRIGGER = 0
"""`after_corrections` with which nothing is trained but what is asked for."""

_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Point:
    """Where a loop stands after a training.

    Args:
        reviews: Verdicts so far.
        labels: Share of right answers among the labelled items, verdicts and all.
        test: Share of the test items that the champion has right; None: there is no champion.
        outcome: What became of the model: promoted, refused or failed.
        reason: Why it was refused, or failed.
        seconds: Time that training, predictions and the new queue took.
    """

    reviews: int
    labels: float
    test: float | None
    outcome: str
    reason: str | None
    seconds: float


def loop(
    settings: Settings, project: str, data: LoopData, trainer: str, order: Order, seed: int, budget: float, step: float
) -> Iterator[Point]:
    """Yield where a project of its own stands, at first without a review and then after each step.

    Args:
        settings: Where the stack is, whose worker knows `trainers.given()`.
        project: The project's name.
        data: What it is about.
        trainer: Trainer, by its name in the benchmark.
        order: What is reviewed first: the head of the queue, any item, or wrong answers.
        seed: Of the random order.
        budget: Share of the items that is reviewed.
        step: Share after which a model is trained and the queue read anew.

    Raises:
        LabelloopError: a command fails or takes too long.
    """
    _import(settings, project, data, trainer)
    gold, draw = data.gold, random.Random(seed)
    total, each, done = round(budget * len(gold)), max(1, round(step * len(gold))), 0
    while True:
        began = time.monotonic()
        _command(settings, "model", "train", "--project", project, "--wait", str(_TIMEOUT_S), expected="no model: ")
        settle(settings, project, _TIMEOUT_S)
        yield _point(settings, project, data, done, time.monotonic() - began)
        if done >= total:
            return
        waiting = [(item, label) for item, label, _ in open_items(settings, project) if item in gold]
        now = chosen(waiting, gold.__getitem__, order, draw)[: min(each, total - done)]
        if not now:
            return
        with Producer(settings, source="bench") as producer:
            for item, label in now:
                verdict = "confirmed" if label == gold[item] else "corrected"
                producer.correction(project, item, REVIEWER, verdict, gold[item])
        done += len(now)


def chosen(
    waiting: list[tuple[str, str]], right: Callable[[str], str], order: Order, draw: random.Random
) -> list[tuple[str, str]]:
    """Return open items and their answers in the order of review.

    Args:
        waiting: Items and their answers as the queue has them.
        right: Tells the right answer of an item.
        order: What is reviewed first; `perfect` knows what is wrong and keeps the queue's order besides.
        draw: Decides the random order.
    """
    if order == "random":
        return draw.sample(waiting, len(waiting))
    if order == "perfect":
        return sorted(waiting, key=lambda one: one[1] == right(one[0]))
    return waiting


def _import(settings: Settings, project: str, data: LoopData, trainer: str) -> None:
    folder = settings.home / "bench" / project
    folder.mkdir(parents=True, exist_ok=True)
    data.copy_files(files_directory(settings))
    options = ["--project", project]
    told = ["--training", f"trainer={named(trainer, data.name)}", "--training", f"after_corrections={NO_TRIGGER}"]
    _command(settings, "project", "set", *options, "--by", LEAD, *told, "--policy", "resolve_confidence=0")
    for kind, file in zip(("items", "labels"), data.write(folder), strict=True):
        _command(settings, "import", kind, str(file), *options)
    settle(settings, project, _TIMEOUT_S)


def _point(settings: Settings, project: str, data: LoopData, reviews: int, seconds: float) -> Point:
    """Return what the export says of the items, and what the champion says of the test items."""
    text = _command(settings, "export", "items", "--project", project, "--format", "jsonl")
    found = {str(row["item_id"]): row["consensus"] for row in map(json.loads, text.splitlines())}
    try:
        answers = [str(found[item]) for item in data.labels.items]
    except KeyError as error:
        raise LabelloopError(f"the export of {project} lacks {error}") from error
    history = read_history(settings).loop(project)
    outcome, reason = last_outcome(history)
    test = None
    if history.champion is not None:
        artifact = load_model(settings.home / "models" / project / history.champion)
        test = data.test_accuracy(artifact, Files(data.labels.folder))
    return Point(reviews, data.label_accuracy(answers), test, outcome, reason, round(seconds, 1))


def last_outcome(history: Loop) -> tuple[str, str | None]:
    """Return what became of the last snapshot, and why if no champion.

    Raises:
        LabelloopError: nothing became of it.
    """
    last = history.last
    name = None if last is None else last.event["snapshot"]
    if name in history.failures:
        return "failed", str(history.failures[name]["reason"])
    for version, event in history.trained.items():
        if event["snapshot"] == name and version in history.judged:
            judged = history.judged[version]
            return str(judged["stage"]), judged["reason"]
    raise LabelloopError(f"nothing became of the last snapshot ({name}) of the project")


def _command(settings: Settings, *arguments: str, expected: str | None = None) -> str:
    """Return what a command prints.

    Args:
        settings: Where the stack is.
        arguments: The command.
        expected: Text of a failure that is a result.

    Raises:
        LabelloopError: it fails otherwise.
    """
    command = [sys.executable, "-m", "streams.cli", *arguments, "--data", str(settings.home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * _TIMEOUT_S)
    if done.returncode and (expected is None or expected not in done.stderr):
        raise LabelloopError(f"labelloop {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr.strip()}")
    return done.stdout
