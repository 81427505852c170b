"""The steps of the demo, told as they happen. What its data cannot feed is skipped by name."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import track
from rich.table import Table

from streams.clock import Clock
from streams.demo import model
from streams.demo.data import SEED, DataSet
from streams.embedded import child, launch
from streams.errors import LabelloopError
from streams.people import read_people
from streams.producers.producer import Producer
from streams.query.display import gate_table, queue_table
from streams.query.inbox import chosen, inbox, lines
from streams.query.review import ReviewQueue
from streams.query.settle import settle
from streams.query.sql import rows
from streams.query.tasks import Task
from streams.query.wait import wait
from streams.settings import Settings, read_stack
from streams.terminal import Console
from workers.ask import outcome, publish
from workers.registry import About

REVIEWER = "simulated-reviewer"
WAIT_S = 240.0
_MAX_REVIEWS = 200
_RECEIPTS = 3
_START_LIMIT_S = 240.0


@contextmanager
def running_stack(home: Path, console: Console) -> Iterator[Settings]:
    """Run a stack in `home` for as long as the block lasts.

    Raises:
        LabelloopError: it does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    log = launch.log_file(home, "up")
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    up = child.spawn([sys.executable, "-m", "streams.cli", "up", "--data", str(home)], log, os.environ, home)
    try:
        with console.status("starting Kafka, ClickHouse and the workers (the first time downloads 45 MB of jars)"):
            _wait_until_up(up, home, log)
        console.print(f"Kafka, ClickHouse and the workers run after {time.monotonic() - started:.1f} s")
        yield Settings.load(home)
    finally:
        with console.status("stopping everything"):
            child.stop(up, 60)


def _wait_until_up(up: "subprocess.Popen[bytes]", home: Path, log: Path) -> None:
    limit = time.monotonic() + _START_LIMIT_S
    while read_stack(home) is None:
        if up.poll() is not None or time.monotonic() > limit:
            raise LabelloopError(f"the stack did not start; {log} ends with:\n{child.last_lines(log)}")
        time.sleep(0.1)


class Story:
    """Tells the demo step by step.

    Args:
        settings: The running stack.
        project: Project of all facts.
        data: What to publish.
        clock: Tells the dates of simulated labels.
        console: Where to tell it.
    """

    def __init__(self, settings: Settings, project: str, data: DataSet, clock: Clock, console: Console) -> None:
        self._settings, self._project, self._data = settings, project, data
        self._clock, self._console = clock, console
        self._step = 0

    def tell(self) -> None:
        """Run every step."""
        self._publish()
        majority = self._majority()
        self._predict(majority)
        answers = self._infer(majority)
        self._show_queue()
        self._review(answers)
        self._learn()
        self._show_annotators()
        self._suggest()

    def _title(self, text: str) -> None:
        self._step += 1
        self._console.print(f"\n[bold]{self._step}. {text}[/bold]")

    def _publish(self) -> None:
        self._title(f"Publish: {self._data.about}")
        started = time.monotonic()
        with self._console.status("publishing"), Producer(self._settings, source="demo", clock=self._clock) as producer:
            facts, bad = self._data.publish(producer)
        published = time.monotonic() - started
        with self._console.status("folding and storing"):
            wait(self._settings, WAIT_S)
        settled = time.monotonic() - started
        table = Table()
        for column in ("facts", "published in", "events a second", "folded and in ClickHouse after", "events a second"):
            table.add_column(column, justify="right")
        table.add_row(
            f"{facts:,}",
            f"{published:.1f} s",
            f"{facts / published:,.0f}",
            f"{settled:.1f} s",
            f"{facts / settled:,.0f}",
        )
        self._console.print(table)
        if bad:
            self._console.print(f"{bad:,} lines were left out: `labelloop import --dry-run` tells why")

    def _majority(self) -> dict[str, str]:
        _, found = rows(
            self._settings,
            "SELECT item_id, majority FROM review_state FINAL "
            "WHERE project = %(p)s AND majority IS NOT NULL ORDER BY item_id",
            {"p": self._project},
        )
        return {str(item): str(label) for item, label in found}

    def _predict(self, majority: dict[str, str]) -> None:
        self._title("A second opinion: a simple model, trained on the majority of the other items")
        if self._data.features is None or len(set(majority.values())) < 2:
            self._console.print("skipped: the items have neither text nor features to learn from, or one class only")
            return
        items = list(majority)
        with self._console.status("training"):
            predicted = model.out_of_sample(self._data.features(items), list(majority.values()), SEED)
        conflicts = 0
        with Producer(self._settings, source="demo", clock=self._clock) as producer:
            for item_id, shares in zip(items, predicted, strict=True):
                if shares:
                    conflicts += max(shares, key=shares.__getitem__) != majority[item_id]
                    producer.prediction(self._project, item_id, model.NAME, probabilities=shares, out_of_sample=True)
        with self._console.status("folding and storing"):
            wait(self._settings, WAIT_S)
        self._console.print(f"{len(items):,} predictions of {model.NAME}; {conflicts:,} contradict the annotators")

    def _infer(self, majority: dict[str, str]) -> dict[str, str]:
        """Refit, and return the shown answer of each item."""
        self._title("Inferred: who can tell what, and so the likeliest answer of each item")
        with self._console.status("fitting and scoring"):
            settle(self._settings, self._project, WAIT_S)
        _, found = rows(
            self._settings,
            "SELECT item_id, consensus_label FROM review_state FINAL "
            "WHERE project = %(p)s AND majority IS NOT NULL AND consensus_label IS NOT NULL ORDER BY item_id",
            {"p": self._project},
        )
        answers = {str(item): str(label) for item, label in found}
        truth = {item: label for item, label in self._data.truth.items() if item in majority and item in answers}
        if not truth:
            self._console.print("skipped: the data has no gold of one class an item")
            return answers
        table = Table()
        for column in ("answers", "right"):
            table.add_column(column, justify="left" if column == "answers" else "right")
        for name, shown in (("of the majority", majority), ("inferred", answers)):
            right = sum(shown[item] == label for item, label in truth.items())
            table.add_row(name, f"{right:,} of {len(truth):,}, {right / len(truth):.1%}")
        self._console.print(table)
        return answers

    def _show_queue(self) -> None:
        self._title("The review queue: what a reviewer is given first, and why")
        with ReviewQueue(self._project, reviewer=REVIEWER, settings=self._settings) as queue:
            head = queue.head(6)
        if not head:
            self._console.print("skipped: no item has a task")
            return
        self._console.print(queue_table(head))

    def _review(self, answers: dict[str, str]) -> None:
        self._title("A simulated reviewer, who knows the right answers, works through the queue from the top")
        truth = {item: label for item, label in self._data.truth.items() if item in answers}
        if not truth:
            self._console.print("skipped: the data has no gold of one class an item")
            return
        wrong = {item for item, label in truth.items() if answers[item] != label}
        reviews = min(_MAX_REVIEWS, max(1, len(truth) // 10))
        found, done, lost = 0, 0, 0
        with ReviewQueue(self._project, reviewer=REVIEWER, settings=self._settings) as queue:
            tasks = (task for task in queue if task["item_id"] in truth)
            for task, _ in zip(track_quietly(tasks, reviews, self._console), range(reviews), strict=False):
                item = task["item_id"]
                if not queue.claim(task):
                    lost += 1
                    continue
                shown = task["consensus"]["choice"] if task["consensus"] else None
                queue.verdict(task, "confirmed" if shown == truth[item] else "corrected", truth[item])
                found += item in wrong
                done += 1
        self._tell_reviews(done, found, len(wrong), len(truth))
        with self._console.status("folding and storing"):
            wait(self._settings, WAIT_S)

    def _tell_reviews(self, done: int, found: int, wrong: int, items: int) -> None:
        by_chance = done * wrong / items
        table = Table()
        for column in ("wrong answers in all", "reviews", "found in queue order", "expected in random order", "gain"):
            table.add_column(column, justify="right")
        table.add_row(
            f"{wrong:,} of {items:,}",
            f"{done:,}",
            f"{found:,}",
            f"{by_chance:.1f}",
            f"{found / by_chance:.1f}x" if by_chance else "-",
        )
        self._console.print(table)

    def _learn(self) -> None:
        self._title("Retrained on the corrections: the gate's verdict, and what the reviewer hears of it")
        request = publish(self._settings, self._project, "requested", About(), "demo")
        with self._console.status("training, judging, predicting"):
            _, event = outcome(self._settings, self._project, request["event_id"], WAIT_S)
        if event["stage"] == "failed":
            self._console.print(f"skipped: {event['reason']}", markup=False)
            return
        why = f": {event['reason']}" if event["reason"] else ""
        self._console.print(f"{event['model_version']} was {event['stage']}{why}", markup=False)
        self._console.print(gate_table(event))
        receipts = chosen(inbox(self._settings, REVIEWER, self._project), everything=False)[:_RECEIPTS]
        for line in lines(receipts, read_people(self._settings.home)):
            self._console.print(line, markup=False, highlight=False)

    def _show_annotators(self) -> None:
        self._title("Annotator accuracy, from ClickHouse (halves by date show drift)")
        _, found = rows(self._settings, _ACCURACY, {"p": self._project})
        table = Table()
        for column in ("annotator", "judged", "accuracy", "interval", "half 1", "half 2"):
            table.add_column(column, justify="left" if column == "annotator" else "right", no_wrap=True)
        table.columns[3].header = "95 % interval"
        any_row = False
        for annotator, judged, accuracy, low, high, first, second in found:
            any_row = True
            halves = [f"{share:.0%}" if share == share else "-" for share in (first, second)]  # no labels: not a number
            table.add_row(str(annotator), f"{judged:,}", f"{accuracy:.1%}", f"{low:.0%} to {high:.0%}", *halves)
        self._console.print(table if any_row else "skipped: no label has a known right answer")

    def _suggest(self) -> None:
        home = self._settings.home
        self._title("What to try next")
        self._console.print(
            f"labelloop up --detach --data {home}\n"
            f"labelloop queue --data {home} --project {self._project} --limit 5\n"
            f"labelloop take --data {home} --project {self._project} --as you\n"
            f'labelloop sql --data {home} "SELECT * FROM annotator_accuracy_daily ORDER BY accuracy LIMIT 10"\n'
            f"labelloop inbox --data {home} --actor {REVIEWER}\n"
            f"labelloop report --data {home} --project {self._project} --out {self._project}-report\n"
            f"labelloop export items --data {home} --project {self._project} --format csv",
            highlight=False,
            soft_wrap=True,
        )


_ACCURACY = """
SELECT
    annotator,
    sum(judged) AS n,
    sum(correct) / n AS accuracy,
    (accuracy + 1.9208 / n - 1.96 * sqrt(accuracy * (1 - accuracy) / n + 0.9604 / (n * n))) / (1 + 3.8416 / n) AS low,
    (accuracy + 1.9208 / n + 1.96 * sqrt(accuracy * (1 - accuracy) / n + 0.9604 / (n * n))) / (1 + 3.8416 / n) AS high,
    sumIf(correct, day < middle) / sumIf(judged, day < middle) AS first_half,
    sumIf(correct, day >= middle) / sumIf(judged, day >= middle) AS second_half
FROM annotator_accuracy_daily,
    (SELECT toDate((toInt32(min(day)) + toInt32(max(day)) + 1) / 2) AS middle
     FROM annotator_accuracy_daily WHERE project = %(p)s) AS m
WHERE project = %(p)s
GROUP BY annotator
ORDER BY n DESC, annotator
LIMIT 12
"""


def track_quietly(tasks: Iterator[Task], total: int, console: Console) -> Iterator[Task]:
    """Show a progress bar on a terminal, nothing elsewhere."""
    return iter(track(tasks, "reviewing", total, console=console, disable=not console.is_terminal, transient=True))
