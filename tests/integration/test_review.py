"""Reviewers against a real log: the queue, the race for an item, verdicts and their undoing."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.embedded import child
from streams.errors import LabelloopError
from streams.producers.producer import Producer
from streams.query.review import ReviewQueue
from streams.replay.reading import read_story
from streams.settings import Settings
from streams.transport.topics import ensure
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


@pytest.fixture
def stack(settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Return settings under which an items worker runs."""
    ensure(settings)
    command = [sys.executable, "-m", "streams.cli", "worker", "items"]
    worker = child.spawn(command, tmp_path / "items.log", os.environ | settings.environment(), tmp_path)
    try:
        yield settings
        assert worker.poll() is None, (tmp_path / "items.log").read_text()
    finally:
        child.stop(worker, 20)


def publish_split_votes(settings: Settings) -> None:
    with Producer(settings) as producer:
        for annotator, label in (("a", "cat"), ("b", "dog"), ("ria", "cat")):
            producer.label("p", "split", annotator, label)
        for annotator in ("a", "b", "c", "d"):
            producer.label("p", "agreed", annotator, "cat")
        producer.label("p", "single", "a", "cat")


def settled(queue: ReviewQueue, count: int) -> list[str]:
    eventually(lambda: len(queue.head(10)) == count, f"{count} tasks")
    return [task["item_id"] for task in queue.head(10)]


def test_queue_claims_verdicts_and_undo(stack: Settings) -> None:
    publish_split_votes(stack)
    with (
        ReviewQueue("p", reviewer="tom", settings=stack) as tom,
        ReviewQueue("p", reviewer="ria", settings=stack) as ria,
    ):
        eventually(lambda: tom.head(1) and len(tom.get("agreed")["annotators"]) == 4, "all labels are folded")
        assert settled(tom, 3) == ["single", "split", "agreed"]
        assert settled(ria, 2) == ["single", "agreed"]  # she labelled the other one

        task = next(iter(tom))
        assert tom.claim(task)
        assert not ria.claim(ria.get(task["item_id"]))
        assert settled(ria, 1) == ["agreed"]
        assert tom.renew(task)
        tom.release(task)
        assert settled(ria, 2) == ["single", "agreed"]
        ria.skip(ria.get("single"))
        assert settled(ria, 1) == ["agreed"]

        tom.verdict(tom.get("split"), "corrected", "dog", reason="ears")
        eventually(lambda: tom.get("split")["status"] == "closed", "the verdict closes the task")
        assert tom.get("split")["consensus"]["choice"] == "dog"
        tom.undo("split")
        eventually(lambda: tom.get("split")["status"] == "open", "the undone verdict opens it")
        assert tom.get("split")["consensus"]["choice"] == "cat"

        tom.verdict(tom.get("split"), "unsure")
        eventually(lambda: tom.get("split")["unsure_by"] == ["tom"], "a second reviewer is asked")
        assert not tom.claim(tom.get("split"))
        confirm = [sys.executable, "-m", "streams.cli", "confirm", "--group", "pair:cat|dog", "-p", "p", "--as", "kim"]
        environment = os.environ | stack.environment()
        subprocess.run([*confirm, "--dry-run"], env=environment, check=True, timeout=60)
        assert tom.get("split")["status"] == "open"
        subprocess.run([*confirm, "--yes"], env=environment, check=True, timeout=60)
        eventually(lambda: tom.get("split")["status"] == "closed", "the group is settled")
        for _ in range(2):  # the group's verdict, then the one before
            tom.undo("split")
            eventually(lambda: tom.get("split")["status"] == "open", "the undone verdict opens it")
        eventually(lambda: tom.get("split")["verdict"] is None, "both are taken back")

        with pytest.raises(LabelloopError, match="no verdict to undo"):
            tom.undo("split")
        with pytest.raises(LabelloopError, match="no item 'nothing'"):
            tom.get("nothing")


def test_of_many_who_claim_at_once_one_gets_it(stack: Settings) -> None:
    publish_split_votes(stack)
    names = [f"reviewer-{n}" for n in range(5)]
    queues = [ReviewQueue("p", reviewer=name, settings=stack) for name in names]
    eventually(lambda: len(queues[0].head(10)) == 3, "all items have a task")
    won: list[str] = []

    def race(queue: ReviewQueue) -> None:
        if queue.claim(queue.get("split")):
            won.append(queue.reviewer)

    threads = [threading.Thread(target=race, args=(queue,)) for queue in queues]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    owner = queues[0].get("split")["owner"]
    for queue in queues:
        queue.close()
    assert won == [owner]


def test_the_commands_do_the_same(stack: Settings, tmp_path: Path) -> None:
    publish_split_votes(stack)

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "streams.cli", *words, "--project", "p"]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | stack.environment(), timeout=60)

    eventually(lambda: '"n_labels":4' in run("queue", "--format", "jsonl").stdout, "all labels are folded")
    assert run("take", "--as", "tom").returncode == 0
    assert '"owner":"tom"' in run("queue", "--as", "tom", "--format", "jsonl").stdout
    assert run("confirm", "agreed", "--as", "tom").returncode == 0
    eventually(lambda: "agreed" not in run("queue").stdout, "the confirmed item leaves the queue")
    unknown = run("correct", "nothing", "cat", "--as", "tom")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)


def test_the_history_of_an_item_comes_from_the_log(stack: Settings) -> None:
    publish_split_votes(stack)

    with ReviewQueue("p", reviewer="tom", settings=stack) as tom:
        eventually(lambda: tom.head(1) and len(tom.get("agreed")["annotators"]) == 4, "all labels are folded")
        assert tom.claim(tom.get("split"))
        tom.verdict(tom.get("split"), "corrected", "dog", reason="ears")
        with Producer(stack) as producer:
            producer.flag("p", "split", "a", "unclear", text="a fox?")
        eventually(lambda: tom.get("split")["open_flags"] == 1, "the flag is folded")
        status = tom.get("split")["status"]
    command = [sys.executable, "-m", "streams.cli", "history", "split", "--project", "p", "--format", "jsonl"]
    told = subprocess.run(command, capture_output=True, check=True, env=os.environ | stack.environment(), timeout=60)
    steps = [json.loads(line) for line in told.stdout.splitlines()]
    kinds = ["labels", "labels", "labels", "claims", "corrections", "flags"]
    assert [step["topic"] for step in steps] == kinds
    assert [step["actor"] for step in steps] == ["a", "b", "ria", "tom", "tom", "a"]
    assert (steps[4]["reason"], steps[4]["caused"]) == ("ears", ["closed the task"])
    assert (status, steps[5]["caused"]) == ("open", ["re-opened the task"])
    with pytest.raises(LabelloopError, match="no item 'nothing'"):
        read_story(stack, "p", "nothing")
