"""Kill -9 of the retraining worker in every stage: one model of a snapshot, one prediction of an item, one receipt."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from streams import codec
from streams.events import Event, choice
from streams.keys import make_key
from streams.producers import facts
from streams.producers.producer import Producer
from streams.settings import Settings
from streams.transport.plain import Publisher
from streams.transport.topics import ensure
from tests.crash.cluster import read, wait_until
from tests.crash.real import Process, running
from workers import stages
from workers.history import Loop
from workers.log import HistoryReader
from workers.registry import About, fact, message

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.timeout(300)]

PROJECT, ITEMS, JUDGED = "birds", 2 * stages.SLICE_ITEMS + 500, 60
"""Items that are scored in three slices, of which some are judged."""


def draw_facts() -> Iterator[facts.Fact]:
    """Yield items in two clouds, three labels of some of them, verdicts of half of these, and a flag."""
    draw = random.Random(1)
    yield facts.project(PROJECT, "lead", policy={"resolve_confidence": 0.5}, training={"after_corrections": 0})
    for n in range(ITEMS):
        centre = 1.5 if n % 2 else -1.5
        features = [round(draw.gauss(centre, 1.0), 3), round(draw.gauss(centre, 1.0), 3)]
        yield facts.item(PROJECT, f"i{n:05}", features=features)
        if n < 2 * JUDGED:
            truth, other = ("wren", "robin") if n % 2 else ("robin", "wren")
            for annotator in ("anna", "ben", "cleo"):
                said = truth if draw.random() < 0.8 else other
                yield facts.label(PROJECT, f"i{n:05}", annotator, said)
            if n < JUDGED:
                yield facts.correction(PROJECT, f"i{n:05}", "rev-1", "corrected", truth)
    yield facts.flag(PROJECT, "i00007", "anna", "unclear")


@pytest.fixture
def stack(settings: Settings) -> Settings:
    """Return settings whose topics hold the facts."""
    ensure(settings)
    with Producer(settings, source="test") as producer:
        for one in draw_facts():
            producer.send(one)
    return settings


def ask(settings: Settings, stage: Any = "requested", about: About = About(), salt: int = 0) -> str:  # noqa: B008
    """Publish what a person asks for and return its id."""
    event = fact(PROJECT, stage, about, by="lead-1", salt=[salt])
    topic, key, value = message("models", event)
    Publisher(settings).send(settings.topic(topic), [(key, value)])
    return str(event["event_id"])


def records(settings: Settings, topic: str) -> list[Event]:
    """Return every committed record of a topic, copies too."""
    return [codec.decode(record.value)[1] for record in read(settings.kafka, settings.topic(topic))]


def settled(settings: Settings, request: str, worker: Process) -> Loop:
    """Wait until a request is answered and nothing is left to do; return what happened."""
    with HistoryReader(settings) as reader:

        def done() -> bool:
            loop = reader.read().loop(PROJECT)
            return loop.outcome(request) is not None and loop.next_step() is None

        try:
            wait_until(done, "the end of the loop", 120)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{worker.log()}") from None
        return reader.read().loop(PROJECT)


def check(settings: Settings, loop: Loop) -> None:
    """Check that everything is there once: also in the log, where a transaction shows whole or not at all."""
    (version,) = loop.trained
    assert loop.champion == version
    stages_of = Counter(event["stage"] for event in records(settings, "models"))
    assert stages_of == {"requested": 1, "trained": 1, "promoted": 1, "scored": 3, "told": 1}
    assert len(records(settings, "snapshots")) == 1
    predictions = records(settings, "predictions")
    assert Counter(one["item_id"] for one in predictions) == {f"i{n:05}": 1 for n in range(ITEMS)}
    assert {one["model_version"] for one in predictions} == {version}
    assert all(one["out_of_sample"] for one in predictions)
    receipts = records(settings, "feedback")
    assert Counter(one["recipient_role"] for one in receipts)["author"] == JUDGED + 1
    assert max(Counter(one["event_id"] for one in receipts).values()) == 1
    causes = {event["event_id"] for topic in ("corrections", "flags") for event in records(settings, topic)}
    labels = {event["event_id"]: event for event in records(settings, "labels")}
    assert {one["caused_by"] for one in receipts} == causes
    for one in receipts:
        if one["recipient_role"] == "labeller":
            assert labels[one["label_event"]]["actor"]["id"] == one["recipient"]


@pytest.mark.parametrize(
    "deaths", [("train", "score"), pytest.param(("snapshot", "train", "score", "tell"), marks=pytest.mark.slow)]
)
def test_kill_in_a_stage(stack: Settings, deaths: tuple[str, ...]) -> None:
    with running(stack, "retrain", "--slot", "0") as worker:
        request = ask(stack)
        for stage in deaths:
            wait_until(lambda stage=stage: f"{PROJECT}: {stage}" in worker.log(), stage, 60)  # type: ignore[misc]
            worker.kill()
            worker.start()
        check(stack, settled(stack, request, worker))


@pytest.mark.slow
def test_another_worker_takes_over_and_a_rollback_is_scored_again(stack: Settings) -> None:
    with running(stack, "retrain", "--slot", "0") as first, running(stack, "retrain", "--slot", "1") as second:
        request = ask(stack)
        wait_until(lambda: f"{PROJECT}: train" in first.log() + second.log(), "the training", 60)
        owner, other = (first, second) if f"{PROJECT}: train" in first.log() else (second, first)
        owner.kill()
        loop = settled(stack, request, other)
        check(stack, loop)
        with Producer(stack, source="test") as producer:
            for n in range(JUDGED, 2 * JUDGED):
                producer.correction(PROJECT, f"i{n:05}", "rev-1", "corrected", "wren" if n % 2 else "robin")
        loop = settled(stack, ask(stack, salt=1), other)
        old, new = loop.trained
        assert loop.champion in (old, new)
        back = old if loop.champion == new else new
        before = sum(one["model_version"] == back for one in records(stack, "predictions"))
        ask(stack, "promoted", About(back, loop.trained[back]["snapshot"], loop.champion, "by hand"), salt=2)
        wait_until(
            lambda: sum(one["model_version"] == back for one in records(stack, "predictions")) == before + ITEMS,
            "the scores of the model that was promoted by hand",
        )
        newest = {one["item_id"]: one["model_version"] for one in records(stack, "predictions")}
        assert {*newest.values()} == {back}


def test_what_cannot_be_trained_is_said_and_stops_nobody(settings: Settings) -> None:
    ensure(settings)
    with Producer(settings, source="test") as producer:
        for n in range(30):
            producer.correction(PROJECT, f"i{n}", "rev-1", "corrected", "wren")
    with running(settings, "retrain", "--slot", "0") as worker:
        loop = settled(settings, ask(settings), worker)
        (failure,) = loop.failures.values()
        assert "two classes" in failure["reason"]
        with Producer(settings, source="test") as producer:
            for n in range(30):
                producer.item(PROJECT, f"i{n}", features=[float(n % 2)])
                producer.correction(PROJECT, f"i{n}", "rev-1", "corrected", "wren" if n % 2 else "robin")
            producer.item(PROJECT, "lost", features_file="absent.npy", features_row=0)
        loop = settled(settings, ask(settings, salt=1), worker)
    (version,) = loop.trained
    assert {one["item_id"] for one in records(settings, "predictions")} == {f"i{n}" for n in range(30)}
    assert "1 items have no prediction: features_file 'absent.npy' is not in" in loop.left_out[version]


@pytest.mark.slow
def test_a_burst_of_corrections_makes_one_training(stack: Settings) -> None:
    """The trigger reads `labels.corrected`, which the processor "items" writes; here the test does."""
    with Producer(stack, source="test") as producer:
        producer.project(PROJECT, "lead", training={"after_corrections": 20, "quiet_s": 1.0})
    example = {"project": PROJECT, "source": "verdict", "weight_ppm": 1_000_000, "evidence": [], "updated_at": 1}
    burst = [
        (
            make_key(PROJECT, f"i{n:05}"),
            codec.encode("labels_corrected", example | {"item_id": f"i{n:05}", "value": choice("wren")}),
        )
        for n in range(1000)
    ]
    with running(stack, "retrain", "--slot", "0") as worker:
        Publisher(stack).send(stack.topic("labels.corrected"), burst)
        with HistoryReader(stack) as reader:

            def told() -> bool:
                loop = reader.read().loop(PROJECT)
                return bool(loop.told) and loop.next_step() is None

            wait_until(told, "the training", 90)
            assert worker.ended() is None
            (made,) = reader.read().loop(PROJECT).snapshots.values()
    assert made.event["cause"] == "corrections"
