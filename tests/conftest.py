"""Fixtures of all tests: one Kafka and one ClickHouse for the session, started when a test first asks for them."""

import itertools
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest

from streams.embedded import child, clickhouse, launch, ports
from streams.embedded import kafka as broker
from streams.settings import ClickHouseAddress, Settings

_ROOT = Path(__file__).parent.parent
# In CI the same examples in every run, elsewhere each run tries others; no test is timed.
hypothesis.settings.register_profile("here", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("here")

_NETWORKED = ("stack", "crash", "slow")
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections in unit tests: one that needs a server carries the marker `stack`."""
    if any(request.node.get_closest_marker(name) for name in _NETWORKED):
        return

    def refuse(_: socket.socket, address: object) -> None:
        raise RuntimeError(f"a unit test connects to {address}: mark it `stack` or give it a fake")

    monkeypatch.setattr(socket.socket, "connect", refuse)


class Servers:
    """The session's servers: containers where a Docker engine answers, else the embedded ones."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self._home = home
        self._stack = stack
        self._password = clickhouse.passwords(home)
        self._ports, _ = ports.assign(home, ("kafka", "controller", "clickhouse", "clickhouse_http"))
        self._running: set[str] = set()
        self._containers = _docker_answers()

    @property
    def kafka(self) -> str:
        """Return the bootstrap servers."""
        port = self._ports["kafka"]
        self._start("kafka", lambda: _roomy(broker.prepare(self._home / "kafka", port, self._ports["controller"])))
        return f"{ports.LOCALHOST}:{port}"

    def clickhouse(self, user: str, database: str) -> ClickHouseAddress:
        """Return a user's access to a database."""
        port, http_port = self._ports["clickhouse"], self._ports["clickhouse_http"]
        self._start(
            "clickhouse",
            lambda: clickhouse.prepare(self._home / "clickhouse", self._home / "logs", port, http_port, self._password),
        )
        return ClickHouseAddress(ports.LOCALHOST, port, user, self._password[user], database)

    def _start(self, name: str, prepare: Callable[[], launch.Process]) -> None:
        if name in self._running:
            return
        if self._containers:
            self._compose_up(name)
        else:
            process = prepare()
            popen = launch.start(process, self._home)
            self._stack.callback(child.stop, popen, 5)
            launch.wait_ready([(process, popen)], self._home)
        self._running.add(name)

    def _compose_up(self, service: str) -> None:
        from testcontainers.compose import DockerCompose

        variables = {
            "LABELLOOP_KAFKA_PORT": self._ports["kafka"],
            "LABELLOOP_CLICKHOUSE_PORT": self._ports["clickhouse"],
            "LABELLOOP_CLICKHOUSE_HTTP_PORT": self._ports["clickhouse_http"],
            "LABELLOOP_WRITER_PASSWORD": self._password["writer"],
            "LABELLOOP_ANALYST_PASSWORD": self._password["analyst"],
            "COMPOSE_PROJECT_NAME": f"labelloop-test-{os.getpid()}-{service}",
        }
        env_file = self._home / f"{service}.env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        self._stack.enter_context(DockerCompose(_ROOT, env_file=str(env_file), services=[service]))


def _roomy(process: launch.Process) -> launch.Process:
    """Give a broker a larger heap: a session makes the topics of hundreds of stacks, and keeps them all."""
    return replace(process, argv=tuple("-Xmx1g" if word.startswith("-Xmx") else word for word in process.argv))


def _docker_answers() -> bool:
    questions = (["docker", "info"], ["docker", "compose", "version"])
    try:
        return not any(subprocess.run(question, capture_output=True, timeout=20).returncode for question in questions)
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


@pytest.fixture(scope="session")
def kafka(servers: Servers) -> str:
    """Return the bootstrap servers of the session's broker."""
    return servers.kafka


@pytest.fixture
def settings(servers: Servers, tmp_path: Path) -> Settings:
    """Return settings with a prefix and a database of the test's own; neither topics nor the database exist yet."""
    name = f"t{next(_numbers)}"
    writer, analyst = servers.clickhouse("writer", name), servers.clickhouse("analyst", name)
    return Settings(tmp_path, servers.kafka, writer, analyst, prefix=name)


@pytest.fixture(scope="session")
def data_dir() -> Callable[[str], Path]:
    """Return where a data set of the shared test data lies; without it the test is skipped, in CI it fails."""
    root = Path(os.environ.get("LABELLOOP_TEST_DATA", _ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        folder = root / name
        if not folder.is_dir():
            reason = f"{folder} does not exist: set LABELLOOP_TEST_DATA to the folder of the test data"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        return folder

    return find
