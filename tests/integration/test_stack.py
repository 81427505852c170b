"""The stack as a whole: `up`, `status` and `down`, and what is left when its processes are killed."""

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clickhouse_driver import Client
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.embedded import stack, state
from streams.embedded.state import Status
from streams.errors import LabelloopError
from streams.settings import STACK_FILE, ClickHouseAddress, Settings, read_stack
from tests.waiting import eventually, is_alive

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
FOREVER = "import signal; signal.pause()"
CRASHING = "raise SystemExit('out of luck')"
COUNTING = (  # leaves a metric behind, as a worker does
    "from streams import metrics; import signal;"
    "metrics.RECORDS.labels('stub', 'labels').inc(3); print('counted', flush=True); signal.pause()"
)


class Stack:
    """A supervisor in a process of its own."""

    def __init__(self, home: Path, process: "subprocess.Popen[bytes]", console: Path) -> None:
        self.home, self.process, self._console = home, process, console

    def said(self) -> str:
        return self._console.read_text()

    def statuses(self) -> dict[str, Status]:
        return {status.name: status for status in state.read_statuses(self.home)}

    def wait_for(self, condition: Callable[[dict[str, Status]], bool]) -> dict[str, Status]:
        try:
            eventually(lambda: condition(self.statuses()), f"a change of {self.statuses()}", 90)
        except AssertionError as error:
            raise AssertionError(f"{error}; now {self.statuses()}, {self.said()}") from None
        return self.statuses()

    def pids(self) -> list[int]:
        return [status.pid for status in self.statuses().values() if status.pid]


@contextmanager
def running(home: Path, workers: dict[str, str], environ: dict[str, str] | None = None) -> Iterator[Stack]:
    """Run a stack with other workers until the end of the block."""
    home.mkdir(exist_ok=True)
    console = home / "console"
    with (
        console.open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.stub_stack", str(home), json.dumps(workers)],
            stdout=out,
            stderr=out,
            cwd=ROOT,
            env=environment(environ or {}),
        ) as process,
    ):
        found = Stack(home, process, console)
        try:
            eventually(lambda: read_stack(home) or process.poll() is not None, "the stack's start", 120)
            assert process.poll() is None, found.said()
            yield found
        finally:
            if process.poll() is None:
                process.terminate()


def environment(added: dict[str, str]) -> dict[str, str]:
    """Return this process's environment without the servers that a developer's shell may name."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LABELLOOP_")} | added


def labelloop(*arguments: str, added: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "streams.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(added or {}))


@pytest.fixture
def outside(settings: Settings) -> dict[str, str]:
    """Return the session's servers as a deployment names them, so that only workers are started."""
    return {name: value for name, value in settings.environment().items() if name != "LABELLOOP_HOME"}


def test_a_stack_lives_is_killed_and_keeps_its_data(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home, {"stub": FOREVER}) as first:
        assert stat.S_IMODE((home / STACK_FILE).stat().st_mode) == 0o600
        assert {status.state for status in first.statuses().values()} == {"running"}
        addresses = read_stack(home)
        assert addresses
        write(addresses)
        refused = labelloop("up", "--detach", "--data", str(home))
        assert refused.returncode == 1
        assert f"process {first.process.pid}" in refused.stderr
        assert f"labelloop down --data {home}" in refused.stderr
        pids = first.pids()
        assert len(pids) == 3
        stack.down(home)
        assert not any(is_alive(pid) for pid in pids)
        assert first.process.wait(10) == 0
        assert read_stack(home) is None
        assert state.read_statuses(home) == []

    with running(home, {"stub": FOREVER}) as second:
        assert read_stack(home) == {**addresses, "pid": str(second.process.pid)}  # the same ports and passwords
        assert read(addresses) == ("event", [(1,)])
        broker = second.statuses()["kafka"].pid
        assert broker
        os.kill(broker, signal.SIGKILL)
        second.wait_for(lambda statuses: statuses["kafka"].restarts == 1 and statuses["kafka"].state == "running")
        assert "kafka ended (signal 9), next start in 0.5 s" in second.said()
        assert "kafka is back" in second.said()
        assert read(addresses) == ("event", [(1,)])
        pids = second.pids()
        second.process.kill()
        second.process.wait()
        for pid in pids:
            eventually(lambda pid=pid: not is_alive(pid), f"the end of process {pid}")  # type: ignore[misc]

    with pytest.raises(LabelloopError, match="nothing to stop"):
        stack.down(home)
    rebuilt = labelloop("rebuild", "labels", "skill", "--data", str(home))  # has the servers run for that long
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert rebuilt.stdout.splitlines() == [
        f"{what}: 0 equal" for what in ("topic skill", "table labels", "table skill")
    ]
    assert state.holder(home) is None
    nowhere = labelloop("rebuild", "labels", "--data", str(home / "nowhere"))
    assert (nowhere.returncode, "no stack is in" in nowhere.stderr) == (2, True)


def write(addresses: dict[str, str]) -> None:
    """Put a record into Kafka and a row into ClickHouse."""
    admin = AdminClient({"bootstrap.servers": addresses["kafka"]})
    for future in admin.create_topics([NewTopic("kept", 1, 1)]).values():
        future.result(30)
    producer = Producer({"bootstrap.servers": addresses["kafka"]})
    producer.produce("kept", b"event")
    assert producer.flush(30) == 0
    with connect(addresses["clickhouse"]) as client:
        client.execute("CREATE DATABASE labelloop")
        client.execute("CREATE TABLE labelloop.kept (n Int64) ENGINE = MergeTree ORDER BY n")
        client.execute("INSERT INTO labelloop.kept SELECT 1")


def read(addresses: dict[str, str]) -> tuple[str, object]:
    """Return what `write` put there."""
    consumer = Consumer({"bootstrap.servers": addresses["kafka"], "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition("kept", 0, 0)])
    try:
        message = consumer.poll(60)
        assert message
        assert not message.error()
        with connect(addresses["analyst"]) as client:
            return (message.value() or b"").decode(), client.execute("SELECT n FROM labelloop.kept")
    finally:
        consumer.close()


def connect(url: str) -> Client:
    address = ClickHouseAddress.parse(url)
    return Client(address.host, address.port, user=address.user, password=address.password)


def test_with_servers_named_only_the_workers_are_run_and_crashes_are_told(
    tmp_path: Path, outside: dict[str, str]
) -> None:
    workers = {"steady": FOREVER, "crashing": CRASHING, "done": "raise SystemExit(78)"}
    with running(tmp_path, workers, outside) as found:
        statuses = found.wait_for(lambda now: now["crashing"].restarts >= 2 and now["done"].state == "stopped")
        assert statuses.keys() == workers.keys()
        assert statuses["steady"].restarts == 0
        assert statuses["crashing"].last_error == "exit status 1: out of luck"
        assert statuses["done"].restarts == 0
        assert "crashing ended (exit status 1), next start in 0.5 s" in found.said()
        assert "done asked to stay stopped" in found.said()
        assert (read_stack(tmp_path) or {})["kafka"] == outside["LABELLOOP_KAFKA"]


def test_metrics_add_up_what_the_workers_count(tmp_path: Path, outside: dict[str, str]) -> None:
    with running(tmp_path, {"one": COUNTING, "two": COUNTING}, outside) as found:
        for name in found.statuses():
            eventually(lambda name=name: "counted" in log(tmp_path, name), f"metrics of {name}")  # type: ignore[misc]
        addresses = read_stack(tmp_path)
        assert addresses
        with urllib.request.urlopen(addresses["metrics"]) as answer:
            page = answer.read().decode()
    assert 'labelloop_records_total{consumer="stub",topic="labels"} 6.0' in page
    assert 'labelloop_process_up{process="one"} 1.0' in page


def log(home: Path, name: str) -> str:
    return (home / "logs" / f"{name}.log").read_text()


def test_the_command_line_starts_the_real_workers_shows_them_and_stops_them(
    tmp_path: Path, outside: dict[str, str]
) -> None:
    started = labelloop("up", "--detach", "--items-workers", "2", "--data", str(tmp_path), added=outside)
    assert started.returncode == 0, started.stderr
    analyst = ClickHouseAddress.parse(outside["LABELLOOP_CLICKHOUSE_ANALYST"])
    assert outside["LABELLOOP_KAFKA"] in started.stdout
    assert analyst.password in started.stdout
    assert analyst.password not in log(tmp_path, "up")
    try:
        report = json.loads(labelloop("status", "--json", "--data", str(tmp_path), added=outside).stdout)
        assert {row["name"]: row["state"] for row in report["processes"]} == dict.fromkeys(
            ("items-0", "items-1", "quality", "retrain", "sink"), "running"
        )
        assert {(entry["group"], entry["records"]) for entry in report["lag"]} == {
            ("items", 0),
            ("quality", 0),
            ("retrain", 0),
            ("sink", 0),
        }
        assert (report["dead_letters"], report["problem"]) == (0, None)
        assert "clickhouse" not in report["connections"]  # the writer's password is nobody's business
        assert "items is 0 records behind" in labelloop("status", "--data", str(tmp_path), added=outside).stdout
    finally:
        stopped = labelloop("down", "--data", str(tmp_path))
    assert stopped.stdout == f"stopped; the data stays in {tmp_path}\n"
    assert not any(is_alive(row["pid"]) for row in report["processes"])


def test_status_says_that_nothing_runs(tmp_path: Path) -> None:
    answer = labelloop("status", "--data", str(tmp_path))
    assert answer.returncode == 1
    assert answer.stderr == f"labelloop: no stack runs in {tmp_path}: start one with `labelloop up --detach`\n"


def test_a_server_that_cannot_start_is_an_error_with_its_last_words(tmp_path: Path, outside: dict[str, str]) -> None:
    del outside["LABELLOOP_CLICKHOUSE"]
    (tmp_path / "clickhouse").mkdir()
    (tmp_path / "clickhouse" / "data").write_text("a file where the server wants a folder")
    answer = labelloop("up", "--detach", "--data", str(tmp_path), added=outside)
    assert answer.returncode == 1
    assert "clickhouse did not start" in answer.stderr
    assert "clickhouse.log ends with" in answer.stderr
    assert state.holder(tmp_path) is None
