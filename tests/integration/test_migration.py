"""The next labelloop is deployed on a running one: schemas, tables, settings and formats change while facts come."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM

import pytest
from click.testing import CliRunner

from streams import codec, resources
from streams.cli.dlq import dlq
from streams.cli.project import project as project_command
from streams.cli.replay import whatif
from streams.errors import LabelloopError
from streams.keys import item_key
from streams.processors.item_state import FORMAT
from streams.processors.snapshots import snapshots
from streams.producers import facts
from streams.producers.producer import Producer
from streams.query.auditing import audit
from streams.query.dlq import read_letters
from streams.query.settle import settle
from streams.rebuild.refold import refold
from streams.replay.compare import difference
from streams.replay.reading import ends_at, read_past
from streams.replay.settled import _unsent
from streams.settings import Settings
from streams.sinks import bodies
from streams.sinks.checks import check_tables
from streams.sinks.migrate import migrate
from streams.sinks.tables import columns
from streams.sinks.writer import Writer
from streams.transport.guards import RESTART, STOP
from tests import waiting
from tests.crash.cluster import read
from tests.crash.real import Process, behind
from tests.integration import generation
from tests.integration.sinking import count, prepare, publish_raw, query, settled
from tests.integration.test_replay import TOPICS, computed, newest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

ITEMS = 200
PATIENCE_S = 240.0
"""Longest wait for a step of a deployment, on a machine that is busy with other things."""


class Workers:
    """Workers by name, each replaced by one of another generation as a deployment does."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self.of = settings, dict[str, Process]()

    def start(self, name: str, folder: Path | None = None) -> Process:
        """Start a worker, e.g. `items-1`; of the generation in a folder, None: of the present one."""
        kind, _, slot = name.partition("-")
        words = (kind, "--slot", slot) if slot else (kind,)
        options = {} if folder is None else {"cli": generation.cli(folder)}
        self.of[name] = Process(self._settings, *words, **options)
        self.of[name].start()
        return self.of[name]

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds; who ends asking for a successor gets one, as from `labelloop up`."""

        def holds() -> object:
            for process in self.of.values():
                if process.ended() == RESTART:
                    process.start()
            return condition()

        waiting.eventually(holds, what, PATIENCE_S)

    def end(self) -> None:
        """End all that run."""
        for process in self.of.values():
            process.end()

    def replace(self, name: str, folder: Path | None) -> None:
        """Ask a worker to stop, and start its successor in its slot."""
        if self.of[name].ended() is None:
            status = self.of[name].stop()
            assert status in (0, RESTART, -SIGTERM), self.of[name].log()  # it may have been starting
        self.start(name, folder)


@pytest.fixture
def workers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Make topics and tables, and end whatever the test started; commands find the servers."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    prepare(settings)
    started = Workers(settings)
    with ExitStack() as stack:
        stack.callback(started.end)
        yield started


class Tool(threading.Thread):
    """An upstream tool of the old generation, which goes on publishing whatever is deployed.

    Args:
        settings: Where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.sent, self._settings, self._enough = list[str](), settings, threading.Event()

    def run(self) -> None:
        with Producer(self._settings, source="old-tool") as producer:
            while not self._enough.wait(0.1):
                for _ in range(5):
                    n = len(self.sent)
                    said = "wren" if n * 7 % 10 < 7 else "robin"
                    self.sent.append(producer.label("p", f"i{n * 37 % ITEMS}", f"a{n % 9}", said))

    def stop(self) -> None:
        self._enough.set()
        self.join(60)


@pytest.fixture
def tool(settings: Settings) -> Iterator[Tool]:
    thread = Tool(settings)
    yield thread
    thread.stop()


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Return what gives the test itself the contract of a generation, until its end."""

    def put(folder: Path) -> None:
        ours = resources.directory
        monkeypatch.setattr(resources, "directory", lambda name: folder if name == "schemas" else ours(name))
        monkeypatch.setattr(codec, "_registry", codec._Registry())
        forget()

    def forget() -> None:
        for made_of_the_contract in (columns, codec._reader, codec._writer, bodies._fields):
            made_of_the_contract.cache_clear()

    yield put
    monkeypatch.undo()
    forget()


def written_under(settings: Settings, topic: str) -> set[int]:
    """Return the ids of the schemas that records of a topic are written under."""
    return {int.from_bytes(record.value[1:5], "big") for record in read(settings.kafka, settings.topic(topic))}


def test_the_next_generation_is_deployed_while_the_old_one_runs(
    settings: Settings, workers: Workers, tool: Tool, tmp_path: Path, become: Callable[[Path], None]
) -> None:
    folder = generation.make_next(tmp_path / "next")
    for name in ("items-0", "items-1", "quality-0", "sink"):
        workers.start(name)
    with Producer(settings) as producer:
        producer.project("p", "lea", classes=["wren", "robin"], members={"lea": "lead", "ria": "reviewer"})
    tool.start()
    workers.until(lambda: count(settings, "count()", "review_state") > 0, "the old generation works")

    # too early: a tool that is newer than the workers
    early = facts.label("p", "i1", "zoe", "robin", occurred_at=1_700_000_000_000).event | {"certainty": 0.5}
    publish_raw(settings, [(item_key("p", "i1"), generation.encode(folder, "labels", early))])
    workers.until(lambda: len([*read_letters(settings)]) == 2, "items and sink refuse what they do not know")
    assert {(one.identity.consumer, one.reason) for one in read_letters(settings)} == {
        ("items", "unknown_schema"),
        ("sink", "unknown_schema"),
    }

    # tables, then consumers before producers
    assert [name for name in migrate(settings, folder / "ddl") if "next" in name]
    workers.replace("sink", folder)
    before = written_under(settings, "review.state")
    workers.replace("items-0", folder)
    workers.until(
        lambda: written_under(settings, "review.state") - before, "both generations of items work side by side"
    )
    quality = workers.of["quality-0"]
    workers.until(lambda: quality.ended() == STOP, "the old quality does not pass over what it cannot read")
    assert "a newer labelloop wrote a record under schema" in quality.log()
    workers.replace("items-1", folder)
    workers.replace("quality-0", folder)
    workers.until(lambda: len(written_under(settings, "annotators")) > 1, "the new quality fits")
    tool.stop()

    become(folder)
    late = [facts.label("p", f"i{n}", "zoe", "wren", occurred_at=n).event | {"certainty": n / 10} for n in range(10)]
    publish_raw(settings, ((item_key("p", one["item_id"]), codec.encode("labels", one)) for one in late))
    given_back = CliRunner().invoke(dlq, ["redrive", "--reason", "unknown_schema", "--by", "ops"])
    assert given_back.exit_code == 0, given_back.output
    settle(settings, "p", PATIENCE_S)
    workers.until(lambda: settled(settings), "the sink has it all")

    offline, ids = (
        computed(settings, ends_at(settings)),
        {*tool.sent, early["event_id"], *(one["event_id"] for one in late)},
    )
    for topic in TOPICS:
        assert newest(settings, topic) == offline[topic], topic
    assert {task["hint"] for task in offline["review.state"].values()} == {"new"}
    assert [finding.text for finding in audit(settings).findings] == []
    stored = query(settings, "SELECT event_id, certainty FROM labels FINAL")
    assert sorted(event_id for event_id, _ in stored) == sorted(ids)
    assert sorted(share for _, share in stored if share is not None) == sorted([0.5, *(n / 10 for n in range(10))])
    rows = query(settings, "SELECT item_id, status, tier, n_labels, hint FROM review_state FINAL")
    tasks = offline["review.state"].values()
    fields = ("item_id", "status", "tier", "n_labels", "hint")
    assert sorted(rows, key=repr) == sorted((tuple(task[name] for name in fields) for task in tasks), key=repr)


def test_a_sink_names_the_columns_that_no_migration_has_made(
    settings: Settings, tmp_path: Path, become: Callable[[Path], None]
) -> None:
    prepare(settings)
    writer, folder = Writer(settings.clickhouse), generation.make_next(tmp_path / "next")
    check_tables(writer)
    become(folder)
    with pytest.raises(LabelloopError, match=r"lack judgements\.hint, labels\.certainty, .*`labelloop migrate`"):
        check_tables(writer)
    migrate(settings, folder / "ddl")
    check_tables(writer)
    writer.close()


def test_another_policy_gives_the_queue_that_was_forecast(settings: Settings, workers: Workers) -> None:
    for name in ("items-0", "quality-0", "sink"):
        workers.start(name)
    with Producer(settings) as producer:
        producer.project("p", "lea", classes=["wren", "robin"], members={"lea": "lead", "ria": "reviewer"})
        producer.flush()
        for n in range(240):
            said = ("wren", "robin")[n % 40 % 2] if n * 7 % 10 < 7 else ("robin", "wren")[n % 40 % 2]
            producer.label("p", f"i{n % 40}", f"a{n // 40}", said)
        producer.correction("p", "i3", "ria", "corrected", "wren")
        producer.flag("p", "i4", "a1", "unclear", severity=0.45)
    settle(settings, "p", PATIENCE_S)
    before = [*newest(settings, "review.state").values()]
    changes = ("p0=0.4", "p1=0.2", "p2=0.01", "resolve_confidence=0.999")
    forecast = CliRunner().invoke(whatif, ["-p", "p", "--json", *(word for one in changes for word in ("--set", one))])
    assert forecast.exit_code == 0, forecast.output

    command = ["set", "-p", "p", "--by", "lea", *(word for one in changes for word in ("--policy", one))]
    assert CliRunner().invoke(project_command, command).exit_code == 0
    settle(settings, "p", PATIENCE_S)
    after = [*newest(settings, "review.state").values()]
    told, found = json.loads(forecast.stdout), difference(before, after)
    assert found.tiers, "the policy changes nothing: the test shows nothing"
    assert told["tiers"] == [{"from": a, "to": b, "items": n} for (a, b), n in found.tiers.items()]
    for name in ("open_before", "open_after", "opened", "closed", "answers", "tau"):
        value = getattr(found, name)
        assert told[name] == ([*value] if isinstance(value, tuple) else value), name
    assert {task["item_id"]: task for task in after} == {
        task["item_id"]: task for task in computed(settings, ends_at(settings))["review.state"].values()
    }


def test_a_state_of_another_format_is_refused_in_one_line_and_built_again(
    settings: Settings, workers: Workers, tmp_path: Path
) -> None:
    workers.start("items-0", generation.make_format(tmp_path / "older", FORMAT - 1))
    with Producer(settings) as producer:
        for n in range(60):
            producer.label("p", f"i{n % 20}", f"a{n // 20}", ("wren", "robin")[n % 3 == 0])
        producer.flush()
        workers.until(lambda: behind(settings, "items") == 0, "the older one has folded all")
        with pytest.raises(LabelloopError, match="workers of 'items' run"):
            refold(settings)
        workers.replace("items-0", None)
        producer.label("p", "i0", "late", "wren")
    present = workers.of["items-0"]
    workers.until(lambda: present.ended() == STOP, "the present one meets the older one's state")
    line = f"have format {FORMAT - 1}, and this labelloop writes {FORMAT}: stop all its workers, run `labelloop refold`"
    assert line in present.log()
    assert "Traceback" not in present.log()

    workers.until(lambda: is_rebuilt(settings), "the group knows that its member is gone")
    workers.start("items-0")
    workers.until(lambda: behind(settings, "items") == 0, "all is folded again")
    past, projects = read_past(settings, "p", ends_at(settings))
    expected = {
        snapshot.key: codec.decode(snapshot.value)[1]
        for state in past.states.values()
        for snapshot in snapshots(_unsent(state), projects.latest("p"))
        if snapshot.topic == "review.state"
    }
    assert len(expected) == 20
    assert newest(settings, "review.state") == expected


def is_rebuilt(settings: Settings) -> bool:
    try:
        refold(settings)
    except LabelloopError:
        return False
    return True
