"""The quality worker beside real servers: settled, the order of arrival is forgotten, also after a kill."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from streams import codec, events
from streams.errors import LabelloopError
from streams.producers.producer import Producer
from streams.query.settle import settle
from streams.query.simulate import simulate
from streams.query.wait import wait
from streams.settings import Settings
from tests.crash.cluster import read
from tests.crash.real import Process, running
from tests.integration.sinking import prepare, publish, query
from tests.unit.facts import label, verdict
from tests.waiting import children, eventually

_PLACE_AND_TIME = ("opened_at", "updated_at", "rank", "project")

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def labels_of(project: str, seed: int = 3) -> list[events.Event]:
    """Return labels of 60 items: three annotators who can tell, and two who answer one class to most."""
    draw, found = random.Random(seed), []
    for n in range(60):
        truth = "cat" if n % 2 else "dog"
        for w, accuracy in (("a", 0.9), ("b", 0.85), ("c", 0.8)):
            said = truth if draw.random() < accuracy else ("dog" if truth == "cat" else "cat")
            found.append(label(w, said, project=project, item_id=f"i{n:02}", event_id=f"{n}-{w}"))
        for w in "de":
            said = "cat" if draw.random() < 0.9 else "dog"
            found.append(label(w, said, project=project, item_id=f"i{n:02}", event_id=f"{n}-{w}"))
    return found


def tasks(settings: Settings, project: str) -> dict[str, dict[str, Any]]:
    """Return the present tasks of a project by item, without what depends on when the log got what."""
    found = {}
    for record in read(settings.kafka, settings.topic("review.state")):
        task = codec.decode(record.value)[1]
        if task["project"] == project:
            found[task["item_id"]] = {
                k: v for k, v in task.items() if k not in ("opened_at", "updated_at", "rank", "project")
            }
    return found


@pytest.fixture
def workers(settings: Settings) -> Iterator[list[Process]]:
    """Run two items workers, two quality workers and a sink; return the quality workers."""
    prepare(settings)
    with ExitStack() as stack:
        for slot in "01":
            stack.enter_context(running(settings, "items", "--slot", slot))
        quality = [stack.enter_context(running(settings, "quality", "--slot", slot)) for slot in "01"]
        stack.enter_context(running(settings, "sink"))
        yield quality


def test_settled_the_queue_forgets_in_which_order_labels_came_and_who_was_killed(
    settings: Settings, workers: list[Process]
) -> None:
    publish(settings, labels_of("one"))
    backwards = labels_of("other")[::-1]
    for start in range(0, 300, 60):
        publish(settings, backwards[start : start + 60])
        if start == 120:
            settle(settings, "other", 200)  # fitted to a lopsided part of them in between
    publish(settings, backwards[:50])  # and some of them twice
    settle(settings, "one", 200)
    fitters = children(workers[0].pid)
    assert fitters, workers[0].log()
    workers[0].kill()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in fitters), "the fitter goes with its worker", 30)
    workers[0].start()
    settle(settings, "other", 200)
    one, other = tasks(settings, "one"), tasks(settings, "other")
    assert one == other
    assert len(one) == 60
    assert {task["consensus_source"] for task in one.values()} == {"posterior"}
    right = sum(task["consensus"]["choice"] == ("cat" if int(item[1:]) % 2 else "dog") for item, task in one.items())
    by_majority = sum(task["majority"] == ("cat" if int(item[1:]) % 2 else "dog") for item, task in one.items())
    assert right > by_majority
    skills = {
        (s["project"], s["annotator"]): s
        for s in (codec.decode(r.value)[1] for r in read(settings.kafka, settings.topic("skill")))
    }
    assert skills["one", "a"]["accuracy"] > skills["one", "d"]["accuracy"] + 0.1
    assert skills["one", "a"]["accuracy"] == skills["other", "a"]["accuracy"]
    agreement = [codec.decode(r.value)[1] for r in read(settings.kafka, settings.topic("agreement"))]
    last = {(a["project"], a["scope"], a["name"]): a["alpha"] for a in agreement}
    assert last["one", "project", ""] == last["other", "project", ""]


def test_a_verdict_moves_the_items_nobody_looked_at(settings: Settings, workers: list[Process]) -> None:
    publish(settings, labels_of("p"))
    settle(settings, "p", 200)
    before = tasks(settings, "p")
    wrong = [i for i, task in before.items() if int(i[1:]) % 2 == 0 and "e" in _who(task, "cat")][:12]
    publish(settings, [verdict("r", "corrected", "dog", project="p", item_id=item) for item in wrong], "corrections")
    settle(settings, "p", 200)
    after = tasks(settings, "p")
    assert all(after[item]["status"] == "closed" for item in wrong)
    moved = [i for i in after if i not in wrong and abs(after[i]["p_wrong"] - before[i]["p_wrong"]) > 0.001]
    assert len(moved) > 20
    for worker in workers:
        assert worker.ended() is None, worker.log()
    _check_views(settings, wrong)
    with Producer(settings) as producer:
        producer.project("p", "lead", policy={"p0": 0.0, "p1": 0.0, "p2": 0.0})
    eventually(
        lambda: {task["tier"] for task in tasks(settings, "p").values() if task["status"] == "open"} == {"p0"},
        "another policy reaches open tasks without a new fact",
        30,
    )


def _check_views(settings: Settings, wrong: list[str]) -> None:
    """Check what analysts see against the labels themselves."""
    judged = [event for event in labels_of("p") if event["item_id"] in wrong]
    counted = Counter((event["actor"]["id"], "dog", event["value"]["choice"]) for event in judged)
    matrix = query(settings, "SELECT annotator, truth, answer, labels FROM confusion_matrix WHERE project = 'p'")
    assert {row[:3]: row[3] for row in matrix} == counted
    weekly = query(
        settings, "SELECT annotator, sum(judged), sum(correct) FROM class_accuracy_weekly GROUP BY 1 ORDER BY 1"
    )
    assert weekly == [(w, len(wrong), counted[w, "dog", "dog"]) for w in "abcde"]
    reviewers = query(settings, "SELECT reviewer, verdicts, overturned, overturn_rate, again FROM reviewer_verdicts")
    assert reviewers == [("r", len(wrong), len(wrong), 1.0, 0)]
    skill = query(
        settings, "SELECT annotator, n_labels, judged, low < accuracy, accuracy < high FROM skill_now ORDER BY 1"
    )
    assert skill == [(w, 60, len(wrong), True, True) for w in "abcde"]
    agreement = query(settings, "SELECT scope, name, items FROM agreement_now WHERE scope != 'day' ORDER BY 1, 2")
    assert agreement == [("class", "cat", 60), ("class", "dog", 60), ("project", "", 60)]
    for view in ("drift_alarms", "label_time_daily"):
        assert query(settings, f"SELECT * FROM {view}") == []


def _who(task: dict[str, Any], choice: str) -> list[str]:
    return [w for candidate in task["candidates"] if candidate["label"] == choice for w in candidate["annotators"]]


def test_without_a_quality_worker_settling_says_what_is_missing(settings: Settings) -> None:
    prepare(settings)
    with running(settings, "items", "--slot", "0"), running(settings, "sink"):
        with Producer(settings) as producer:
            producer.label("p", "i", "ann", "cat")
        wait(settings, 100)
        with pytest.raises(LabelloopError, match="start one with `labelloop worker quality`"):
            settle(settings, "p", 8)
    assert json.dumps(tasks(settings, "p")["i"]["posterior"]) == '{"cat": 0.8}'


@pytest.mark.slow
def test_a_simulated_review_finds_more_than_chance_and_reviews_each_item_once(
    settings: Settings, workers: list[Process]
) -> None:
    publish(settings, labels_of("p"))
    gold = {f"i{n:02}": "cat" if n % 2 else "dog" for n in range(60)}
    steps = [*simulate(settings, "p", gold, 0.2, 0.1, "queue", 200)]
    assert [step.reviews for step in steps] == [6, 12]
    assert steps[-1].found > 0.2 * steps[-1].errors > 0
    verdicts = query(settings, "SELECT uniqExact(item_id), count() FROM corrections FINAL WHERE project = 'p'")
    assert verdicts == [(12, 12)]
    with pytest.raises(LabelloopError, match="no open item"):
        [*simulate(settings, "p", {"elsewhere": "cat"}, 0.2, 0.1, "queue", 200)]
