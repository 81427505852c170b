"""The main job by its own commands: real labels in, reference accuracies out, and importing again changes nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.embedded import child
from streams.settings import Settings, read_stack
from streams.sinks.writer import Writer
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

REFERENCE = {"bluebird": 0.759, "labelme": 0.769, "zencrowd_us": 0.870, "sentiment_polarity": 0.8896}
"""Accuracy of the majority against gold, ties to the lowest label; published with the data."""

INFERRED = {"bluebird": 0.895, "labelme": 0.789, "zencrowd_us": 0.82, "sentiment_polarity": 0.915}
"""Accuracy of Dawid and Skene's answers, less 0.3 points: what the inferred consensus reaches at least."""

CLI = [sys.executable, "-m", "streams.cli"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run `labelloop up` in a directory of its own."""
    folder = tmp_path_factory.mktemp("stack")
    outside = {name: value for name, value in os.environ.items() if not name.startswith("LABELLOOP_")}
    up = child.spawn([*CLI, "up", "--data", str(folder)], folder / "up.log", outside, folder)
    try:
        eventually(lambda: read_stack(folder) is not None or up.poll() is not None, "the stack runs", 120)
        assert read_stack(folder) is not None, (folder / "up.log").read_text()
        yield folder
    finally:
        child.stop(up, 60)


def run(home: Path, *words: str) -> str:
    done = subprocess.run([*CLI, *words, "--data", str(home)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    writer = Writer(Settings.load(home, {}).analyst)
    try:
        return writer.query(query)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "name",
    [
        "bluebird",
        "labelme",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("zencrowd_us", "sentiment_polarity")),
    ],
)
def test_import_gives_the_reference_accuracy_and_importing_again_changes_nothing(
    name: str, home: Path, data_dir: Callable[[str], Path]
) -> None:
    folder = data_dir(name)
    run(home, "import", "labels", str(folder / "labels.jsonl"), "--project", name)
    run(home, "settle", "--project", name, "--timeout", "200")
    lines = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    stored = rows(
        home,
        f"SELECT item_id, actor_id, label, source_seq FROM labels FINAL WHERE project = '{name}' ORDER BY source_seq",
    )
    assert [row[:3] for row in stored] == [(r["item_id"], r["annotator_id"], str(r["label"])) for r in lines]

    gold = {
        row["item_id"]: str(row["label"]) for row in map(json.loads, (folder / "gold.jsonl").read_text().splitlines())
    }
    exported = [json.loads(line) for line in run(home, "export", "items", "--project", name).splitlines()]
    judged = [row for row in exported if row["item_id"] in gold]
    assert len(exported) == len({row["item_id"] for row in lines})
    accuracy = sum(row["majority"] == gold[row["item_id"]] for row in judged) / len(judged)
    assert accuracy == pytest.approx(REFERENCE[name], abs=0.0006)
    consensus = sum(row["consensus"] == gold[row["item_id"]] for row in judged) / len(judged)
    assert consensus >= INFERRED[name]

    counts = f"SELECT count() FROM labels FINAL WHERE project = '{name}'"
    emitted = f"SELECT max(_offset), sum(_offset), count() FROM review_tasks WHERE project = '{name}'"
    before = rows(home, counts), rows(home, emitted)
    run(home, "import", "labels", str(folder / "labels.jsonl"), "--project", name)
    run(home, "settle", "--project", name, "--timeout", "200")
    assert (rows(home, counts), rows(home, emitted)) == before
