"""A ClickHouse of a test's own, which it may kill, freeze and start again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from streams.embedded import child, clickhouse, launch, ports
from streams.settings import Settings
from tests.integration.sinking import Popen


class OwnServer:
    """A ClickHouse server in a folder."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._password = clickhouse.passwords(home)
        self._ports, _ = ports.assign(home, ("clickhouse", "clickhouse_http"))
        self._popen: Popen | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            self.kill()

    def start(self) -> None:
        port, http_port = self._ports["clickhouse"], self._ports["clickhouse_http"]
        process = clickhouse.prepare(self._home / "clickhouse", self._home / "logs", port, http_port, self._password)
        self._popen = launch.start(process, self._home)
        launch.wait_ready([(process, self._popen)], self._home)

    def kill(self) -> None:
        if self._popen is not None:
            child.stop(self._popen, 0)
            self._popen = None

    def signal(self, number: int) -> None:
        assert self._popen is not None
        self._popen.send_signal(number)

    def settings(self, base: Settings) -> Settings:
        port = self._ports["clickhouse"]
        writer, analyst = (clickhouse.address(user, self._password[user], port) for user in clickhouse.USERS)
        return replace(base, clickhouse=writer, analyst=analyst)
