"""Kill -9 of a worker, a sink, the broker or ClickHouse amid an import: the views are as if nothing had happened."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from streams.errors import LabelloopError
from streams.producers.import_file import import_file
from streams.producers.producer import Producer
from streams.query.lag import end_offsets, lag
from streams.query.settle import settle
from streams.settings import Settings
from streams.sinks.tables import TABLES, VOLATILE
from streams.sinks.writer import Writer
from tests.crash.cluster import wait_until
from tests.crash.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.timeout(600)]

PROJECT = "sentiment"
VIEWS = ("annotator_accuracy_daily", "review_queue_now", "disagreement_now", "event_counts")
HISTORY = frozenset({"review_tasks"})
"""Tables of every task there ever was: what is shown between two batches depends on where they are cut."""

Content = dict[str, list[tuple[Any, ...]]]
"""Rows of each view and table, their content columns only."""


BEGAN_MS = 1_760_000_000_000
"""When the first label was given; the others came a second apart."""


def _timed(n: int, line: str) -> str:
    """Return a line with its time.

    Without one the log's time counts, and where a death lets one partition wait that is another order of an
    annotator's answers: an alarm for drift may then go off at another one.
    """
    return json.dumps({**json.loads(line), "timestamp": BEGAN_MS + 1000 * n}) + "\n"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return servers of this module's own, so that their deaths disturb no other test."""
    made = Stack(tmp_path_factory.mktemp("crash") / "servers", "servers", {})
    try:
        made.wait()
        yield made
    finally:
        made.stop()


class Run:
    """An import into topics and tables of its own.

    Args:
        servers: Where.
        name: Prefix of the topics and name of the database.
    """

    def __init__(self, servers: Stack, name: str) -> None:
        outside = Settings.load(servers.home, {})
        database = replace(outside.clickhouse, database=name), replace(outside.analyst, database=name)
        home = servers.home.parent / name
        self.settings = replace(outside, home=home, prefix=name, clickhouse=database[0], analyst=database[1])
        self.servers, self.workers = servers, Stack(home, "workers", self.settings.environment())

    def load(self, folder: Path, labels: int | None, disturbances: Sequence[Callable[["Run"], None]] = ()) -> Content:
        """Import gold and the first `labels` labels, disturb now and then, and return what came of it."""
        lines = [_timed(n, line) for n, line in enumerate((folder / "labels.jsonl").read_text().splitlines()[:labels])]
        items = {json.loads(line)["item_id"] for line in lines}
        golden = (folder / "gold.jsonl").read_text().splitlines(keepends=True)
        files = {"labels": lines, "gold": [line for line in golden if json.loads(line)["item_id"] in items]}
        due = {len(lines) * n // (len(disturbances) + 1): disturb for n, disturb in enumerate(disturbances, 1)}
        with Producer(self.settings) as producer:
            for kind, content in files.items():
                sent = 0

                def send(fact: Any, kind: str = kind) -> None:
                    nonlocal sent
                    sent += 1
                    if kind == "labels" and sent in due:
                        due.pop(sent)(self)
                    producer.send(fact)

                file = self.settings.home / f"{kind}.jsonl"
                file.write_text("".join(content))
                summary = import_file(file, kind, PROJECT, send)
                assert (summary.sent, summary.bad) == (len(content), 0)
        assert not due
        settle(self.settings, PROJECT, 300)
        return self.content()

    def content(self) -> Content:
        """Return what analysts see."""
        writer = Writer(self.settings.analyst)
        found: Content = {}
        try:
            for name in {*VIEWS, *TABLES.values()} - HISTORY:
                columns = [row[0] for row in writer.query(f"DESCRIBE TABLE {name}") if row[0] not in VOLATILE]
                final = "" if name in VIEWS else "FINAL"
                shown = ", ".join(f"`{column}`" for column in columns)
                found[name] = writer.query(f"SELECT {shown} FROM {name} {final} ORDER BY ALL")
        finally:
            writer.close()
        return found

    def wait_for_progress(self, *groups: str) -> None:
        """Wait until groups have passed some of the labels."""

        def begun() -> bool:
            try:
                sent = sum(end_offsets(self.settings, ["labels"]).values())
                left = {entry.group: entry.records for entry in lag(self.settings) if entry.topic == "labels"}
            except LabelloopError:  # a broker that has just started
                return False
            return all(left[group] < sent for group in groups)

        wait_until(begun, f"progress of {groups}")


@contextmanager
def run(servers: Stack, name: str) -> Iterator[Run]:
    """Run workers until the end of the block."""
    made = Run(servers, name)
    try:
        made.workers.wait()
        yield made
    except BaseException:
        made.workers.tell()
        raise
    finally:
        made.workers.stop()


@pytest.fixture(scope="module")
def undisturbed(servers: Stack, data_dir: Callable[[str], Path]) -> Callable[[int | None], Content]:
    """Return what an import of so many labels (None: all) gives when nothing happens."""

    @cache
    def load(labels: int | None) -> Content:
        with run(servers, f"calm{labels or ''}") as calm:
            content = calm.load(data_dir("sentiment_polarity"), labels)
        for view in VIEWS:
            assert content[view], view
        return content

    return load


def kill_worker(disturbed: Run) -> None:
    disturbed.wait_for_progress("items")
    disturbed.workers.kill("items-0")


def kill_sink(disturbed: Run) -> None:
    disturbed.wait_for_progress("sink")
    disturbed.workers.kill("sink")


def kill_broker(disturbed: Run) -> None:
    disturbed.wait_for_progress("items", "sink")
    disturbed.servers.kill("kafka")


def kill_clickhouse(disturbed: Run) -> None:
    disturbed.wait_for_progress("items", "sink")
    disturbed.servers.kill("clickhouse")


def kill_quality(disturbed: Run) -> None:
    disturbed.wait_for_progress("items")
    disturbed.workers.kill("quality")


DEATHS = (kill_worker, kill_quality, kill_sink, kill_broker, kill_clickhouse)


@pytest.mark.parametrize(
    ("labels", "disturbances"),
    [
        pytest.param(6000, DEATHS[:3], id="workers"),
        pytest.param(6000, DEATHS[3:], id="servers"),
        *(pytest.param(None, [death], id=death.__name__, marks=pytest.mark.slow) for death in DEATHS),
    ],
)
def test_views_are_as_if_undisturbed(
    labels: int | None,
    disturbances: Sequence[Callable[[Run], None]],
    request: pytest.FixtureRequest,
    servers: Stack,
    undisturbed: Callable[[int | None], Content],
    data_dir: Callable[[str], Path],
) -> None:
    expected = undisturbed(labels)
    with run(servers, "after" + request.node.callspec.id.replace("_", "")) as disturbed:
        content = disturbed.load(data_dir("sentiment_polarity"), labels, disturbances)
    assert content.keys() == expected.keys()
    for name, rows in content.items():
        assert rows == expected[name], name
