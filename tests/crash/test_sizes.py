"""What is larger than anybody planned for: records stay bounded, nobody dies, and what is refused is said."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from streams.catalogue import TOPICS
from streams.clients import MAX_RECORD_BYTES
from streams.producers import facts
from streams.producers.producer import Producer
from streams.query.settle import settle
from streams.query.wait import wait
from streams.settings import Settings
from tests.crash.cluster import each
from tests.crash.stack import Stack
from tests.crash.test_loop import records
from tests.integration.sinking import query

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(3600)]

PATIENCE_S = 1800.0
RESTARTS = 2
"""A worker that a full machine holds up for longer than a transaction may last starts anew: that is no loop."""

MOST_BYTES = MAX_RECORD_BYTES // 2
"""Nothing comes near what the broker takes. The largest is the state of an item that is full of facts: 1.1 MB."""

COMMENTS, LABELS, CLASSES, PROJECTS = 50_000, 1_000_000, 1_000, 1_000


@pytest.fixture
def workers(settings: Settings) -> Iterator[Stack]:
    """Run one worker of each kind, under a supervisor."""
    made = Stack(settings.home / "stack", "workers", settings.environment())
    try:
        made.wait()
        yield made
    except BaseException:
        made.tell()
        raise
    finally:
        made.stop()


def send(settings: Settings, some: Iterable[facts.Fact]) -> None:
    with Producer(settings, source="test") as producer:
        for one in some:
            producer.send(one)


def check(settings: Settings, workers: Stack) -> None:
    """Check that no worker dies again and again, and that no record comes near the broker's limit."""
    restarts = workers.restarts()
    print(f"restarts {restarts}")
    assert max(restarts.values()) <= RESTARTS
    largest = {
        name: max((len(record.value) for record in each(settings.kafka, settings.topic(name))), default=0)
        for name, topic in TOPICS.items()
        if topic.kind != "fact"
    }
    print(f"largest records, bytes: {largest}")
    assert all(size < MOST_BYTES for size in largest.values())


def test_an_item_with_fifty_thousand_comments(settings: Settings, workers: Stack) -> None:
    send(settings, (facts.comment("p", "much", f"a{n % 50}", f"thread {n}", "what about it?") for n in range(COMMENTS)))
    send(settings, (facts.label("p", f"i{n}", "anna", "cat") for n in range(100)))
    wait(settings, PATIENCE_S)
    refused = Counter(one["reason"] for one in records(settings, "dead-letters"))
    assert refused.keys() == {"item_too_large"}
    assert 0 < refused["item_too_large"] < COMMENTS
    assert query(settings, "SELECT uniqExact(item_id) FROM review_state FINAL WHERE project = 'p'") == [(101,)]
    assert query(settings, "SELECT uniqExact(event_id) FROM comments") == [(COMMENTS,)]
    check(settings, workers)


def test_an_annotator_with_a_million_labels(settings: Settings, workers: Stack) -> None:
    draw = random.Random(1)
    said = draw.choices(("cat", "dog"), (3, 1), k=LABELS)
    send(settings, (facts.label("p", f"i{n}", "anna", one) for n, one in enumerate(said)))
    send(settings, (facts.label("p", f"i{n}", "ben", said[n]) for n in range(1000)))
    settle(settings, "p", PATIENCE_S)
    assert query(settings, "SELECT count() FROM judgements FINAL WHERE annotator = 'anna'") == [(LABELS,)]
    assert query(settings, "SELECT uniqExact(item_id) FROM review_state") == [(LABELS,)]
    check(settings, workers)


def test_a_project_of_a_thousand_classes(settings: Settings, workers: Stack) -> None:
    draw = random.Random(2)
    classes = [f"species {n}" for n in range(CLASSES)]
    truth = draw.choices(classes, k=3 * CLASSES)
    send(settings, [facts.project("p", "lead", classes=classes)])
    for annotator in ("anna", "ben", "cleo"):
        said = (one if draw.random() < 0.8 else draw.choice(classes) for one in truth)
        send(settings, (facts.label("p", f"i{n}", annotator, one) for n, one in enumerate(said)))
    settle(settings, "p", PATIENCE_S)
    rows = query(settings, "SELECT item_id, consensus_label FROM review_state FINAL WHERE project = 'p'")
    right = sum(label == truth[int(item.removeprefix("i"))] for item, label in rows)
    assert right > 0.9 * len(truth)
    check(settings, workers)


def test_a_thousand_projects(settings: Settings, workers: Stack) -> None:
    labels = (
        facts.label(f"p{n}", f"i{item}", annotator, "cat" if item % 2 else "dog")
        for n in range(PROJECTS)
        for item in range(10)
        for annotator in ("anna", "ben")
    )
    send(settings, labels)
    for project in ("p0", f"p{PROJECTS - 1}"):
        settle(settings, project, PATIENCE_S)
    found = query(settings, "SELECT uniqExact(project), uniqExact(project, item_id) FROM review_state")
    assert found == [(PROJECTS, 10 * PROJECTS)]
    check(settings, workers)
