"""The loop among all the other workers: poison through the topics, the lineage of every receipt, a burst."""

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import KafkaException

from streams.errors import LabelloopError
from streams.producers import facts
from streams.producers.producer import Producer
from streams.query.lag import lag
from streams.query.settle import settle
from streams.query.wait import wait
from streams.settings import Settings
from tests.crash.cluster import wait_until
from tests.crash.real import Process, running
from tests.crash.test_loop import PROJECT, ask, records, settled
from tests.integration.sinking import prepare, query
from workers.facts import files_directory
from workers.history import Loop
from workers.log import HistoryReader

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(900)]

BATCH, FLIPPED = 150, 0.3
BURST = 10_000


class LabelMe(NamedTuple):
    """The training images, the labels of them, and the right answers."""

    folder: Path
    items: list[facts.Fact]
    labels: list[facts.Fact]
    gold: dict[str, str]


@pytest.fixture
def labelme(data_dir: Callable[[str], Path]) -> LabelMe:
    folder = data_dir("labelme")
    items, labels, gold = (
        [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in ("items", "labels", "gold")
    )
    known = [one for one in items if one["split"] == "train"]
    names = {one["item_id"] for one in known}
    return LabelMe(
        folder,
        [
            facts.item(PROJECT, one["item_id"], features_file=one["features_file"], features_row=one["row"])
            for one in known
        ],
        [
            facts.label(PROJECT, one["item_id"], one["annotator_id"], str(one["label"]))
            for one in labels
            if one["item_id"] in names
        ],
        {one["item_id"]: str(one["label"]) for one in gold if one["item_id"] in names},
    )


@pytest.fixture
def workers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Process]]:
    """Run one worker of each kind; "retrain" knows the logistic regression."""
    monkeypatch.setenv("LABELLOOP_TRAINERS", "regularised=tests.unit.test_loop_training:regularised")
    prepare(settings)
    with ExitStack() as stack:
        yield {
            words[0]: stack.enter_context(running(settings, *words))
            for words in (("items", "--slot", "0"), ("quality", "--slot", "0"), ("sink",), ("retrain", "--slot", "0"))
        }


def send(settings: Settings, *many: list[facts.Fact]) -> None:
    """Publish facts and wait until all that reads them has them."""
    with Producer(settings, source="test") as producer:
        for some in many:
            for one in some:
                producer.send(one)
    settle(settings, PROJECT, 120)


def verdicts(answers: dict[str, str]) -> list[facts.Fact]:
    return [facts.correction(PROJECT, item, "rev-1", "corrected", label) for item, label in answers.items()]


def test_a_poisoned_batch_is_refused_and_every_receipt_leads_back(
    settings: Settings, labelme: LabelMe, workers: dict[str, Process]
) -> None:
    for name in {one.event["features_file"] for one in labelme.items}:
        file = files_directory(settings) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(labelme.folder / name, file)
    training = {"trainer": "regularised", "after_corrections": 0, "receipts_per_day": 10_000}
    send(
        settings,
        [facts.project(PROJECT, "lead", policy={"resolve_confidence": 0.0}, training=training)],
        labelme.items,
        labelme.labels,
    )
    draw = random.Random(1)
    order = draw.sample(sorted(labelme.gold), len(labelme.gold))
    good = {item: labelme.gold[item] for item in order[:BATCH]}
    send(settings, verdicts(good), [facts.flag(PROJECT, order[-1], "w20", "unclear")])
    loop = settled(settings, ask(settings), workers["retrain"])
    champion = loop.champion
    assert champion is not None, (loop.failures, loop.judged)

    classes = sorted({*labelme.gold.values()})
    batch = {item: labelme.gold[item] for item in order[BATCH : 2 * BATCH]}
    flipped = {item for item in batch if draw.random() < FLIPPED}
    for item in sorted(flipped):
        batch[item] = draw.choice([label for label in classes if label != labelme.gold[item]])
    send(settings, verdicts(batch))
    loop = settled(settings, ask(settings, salt=1), workers["retrain"])
    (poisoned,) = (event for event in loop.judged.values() if event["stage"] == "refused")
    assert loop.champion == champion
    named = poisoned["regressed"]
    assert named[0] in poisoned["reason"]
    assert len(flipped.intersection(named)) > 0.7 * min(len(named), len(flipped))
    assert {one["model_version"] for one in records(settings, "predictions")} == {champion}

    # what the reviewer takes back and says again is learnt, and told
    again = {item: labelme.gold[item] for item in sorted(flipped)}
    send(settings, verdicts(again))
    loop = settled(settings, ask(settings, salt=2), workers["retrain"])
    assert loop.champion not in (None, champion)
    check_lineage(settings, loop)
    wait(settings, 60)
    in_log = Counter(one["recipient"] for one in records(settings, "feedback") if one["stage"] == "promoted")
    in_table = query(settings, "SELECT recipient, count() FROM feedback FINAL WHERE stage = 'promoted' GROUP BY ALL")
    assert dict(in_table) == in_log


def check_lineage(settings: Settings, loop: Loop) -> None:
    """Check that every correction and flag has its receipts, and that each leads back to its fact and its label."""
    receipts = [one for one in records(settings, "feedback") if one["stage"] == "promoted"]
    causes = {one["event_id"]: one for topic in ("corrections", "flags") for one in records(settings, topic)}
    labels = {one["event_id"]: one for one in records(settings, "labels")}
    assert {one["caused_by"] for one in receipts} == causes.keys()
    for one in receipts:
        cause = causes[one["caused_by"]]
        assert (cause["item_id"], cause["actor"]["id"]) == (one["item_id"], one["by"])
        if one["recipient_role"] == "labeller":
            assert labels[one["label_event"]]["actor"]["id"] == one["recipient"]
            assert labels[one["label_event"]]["item_id"] == one["item_id"]
        else:
            assert one["recipient"] == one["by"]
        assert one["model_version"] in loop.trained


def test_ten_thousand_corrections_make_one_training_and_hold_back_nobody(
    settings: Settings, workers: dict[str, Process], record_property: Callable[[str, object], None]
) -> None:
    draw = random.Random(2)
    training = {"after_corrections": 50, "quiet_s": 2.0}
    items, corrections = [], []
    for n in range(BURST):
        name, centre = f"i{n:05}", 1.5 if n % 2 else -1.5
        items.append(facts.item(PROJECT, name, features=[round(draw.gauss(centre, 1.0), 3) for _ in range(2)]))
        corrections.append(facts.correction(PROJECT, name, "rev-1", "corrected", "wren" if n % 2 else "robin"))
    send(settings, [facts.project(PROJECT, "lead", training=training)], items)
    most: Counter[str] = Counter()
    began = time.monotonic()
    with Producer(settings, source="test") as producer:
        for one in corrections:
            producer.send(one)
    with HistoryReader(settings) as reader:

        def told() -> bool:
            for name, records_behind in behind(settings).items():
                most[name] = max(most[name], records_behind)
            loop = reader.read().loop(PROJECT)
            return bool(loop.told) and loop.next_step() is None and not any(behind(settings).values())

        wait_until(told, "the training, and everybody up to date", 300)
        loop = reader.read().loop(PROJECT)
    assert len(loop.snapshots) in (1, 2)
    last = loop.last
    assert last is not None
    assert last.event["source_counts"] == {"verdict": BURST}
    peak_mb = max(event["metrics"]["peak_mb"] for event in loop.trained.values())
    figures = {
        "trainings": len(loop.trained),
        "seconds": round(time.monotonic() - began, 1),
        "most_lag": dict(most),
        "peak_mb": peak_mb,
        "worker_peak_mb": peak_of(workers["retrain"]),
    }
    record_property("burst", figures)
    print(figures)  # pytest -s shows it
    assert peak_mb < 1024
    assert all(worker.ended() is None for worker in workers.values())


def behind(settings: Settings) -> dict[str, int]:
    """Return the records each group has not passed."""
    try:
        found: Counter[str] = Counter()
        for entry in lag(settings):
            found[entry.group] += entry.records
        return dict(found)
    except (LabelloopError, KafkaException):
        return {"unknown": 1}


def peak_of(process: Process) -> float:
    """Return the most memory that a worker has had, MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
