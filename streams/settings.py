"""Where the servers are, and the few choices a deployment makes.

A command finds them in this order: `LABELLOOP_KAFKA` and `LABELLOOP_CLICKHOUSE`, else the stack that `labelloop up`
runs in the data directory (`--data`, else `LABELLOOP_HOME`, else `.labelloop` here).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from streams.errors import LabelloopError

STACK_FILE = "stack.json"

NOWHERE = "clickhouse://unknown:0/"
"""Address of a ClickHouse that nobody named."""


@dataclass(frozen=True, slots=True)
class ClickHouseAddress:
    """How one user reaches a ClickHouse server by its native protocol."""

    host: str
    port: int
    user: str
    password: str
    database: str = "labelloop"

    @classmethod
    def parse(cls, url: str) -> "ClickHouseAddress":
        """Read `clickhouse://user:password@host:port/database`.

        Raises:
            LabelloopError: the address is of another form.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if host is None or parts.scheme != "clickhouse":
            raise LabelloopError(
                "LABELLOOP_CLICKHOUSE must look like clickhouse://user:password@host:9000/labelloop, with special "
                "characters of the password percent-encoded"
            )
        return cls(
            host,
            9000 if port is None else port,
            unquote(parts.username or "default"),
            unquote(parts.password or ""),
            parts.path.strip("/") or "labelloop",
        )

    def checked(self) -> "ClickHouseAddress":
        """Return the address.

        Raises:
            LabelloopError: nobody named one.
        """
        if not self.port:
            raise LabelloopError("no ClickHouse is named: set LABELLOOP_CLICKHOUSE as well as LABELLOOP_KAFKA")
        return self

    def url(self) -> str:
        """Return the address as `parse` reads it."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        return f"clickhouse://{user}:{password}@{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What every part of labelloop needs to know of its surroundings.

    Args:
        home: Data directory: state stores, logs, the embedded servers' files.
        kafka: Bootstrap servers, `host:port[,host:port]`.
        clickhouse: The writer's access.
        analyst: The read-only access that queries use.
        prefix: First part of every topic and consumer group name.
        partitions: Partitions of each item-keyed topic, fixed when the topics are created.
        replication: Replicas of each topic.
        store: State store of the processors, `memory` or `rocksdb`.
    """

    home: Path
    kafka: str
    clickhouse: ClickHouseAddress
    analyst: ClickHouseAddress
    prefix: str = "labelloop"
    partitions: int = 4
    replication: int = 1
    store: str = "memory"

    @classmethod
    def load(cls, home: Path | None = None, environ: Mapping[str, str] | None = None) -> "Settings":
        """Find the running servers.

        Raises:
            LabelloopError: no server is named and no stack runs in the data directory, or a value is unusable.
        """
        env = os.environ if environ is None else environ
        home = data_directory(home, env)
        kafka, clickhouse = env.get("LABELLOOP_KAFKA"), env.get("LABELLOOP_CLICKHOUSE")
        analyst = env.get("LABELLOOP_CLICKHOUSE_ANALYST") or clickhouse
        if not (kafka and clickhouse):
            stack = read_stack(home)
            if stack is None and kafka:
                stack = {"clickhouse": NOWHERE, "analyst": NOWHERE}  # whoever only publishes needs none
            if stack is None:
                raise LabelloopError(f"no stack runs in {home}: start one with `labelloop up --detach`")
            kafka = kafka or stack["kafka"]
            clickhouse, analyst = clickhouse or stack["clickhouse"], analyst or stack["analyst"]
        store = env.get("LABELLOOP_STORE", "memory")
        if store not in ("memory", "rocksdb"):
            raise LabelloopError(f"LABELLOOP_STORE is {store!r}: use memory or rocksdb")
        return cls(
            home,
            kafka,
            ClickHouseAddress.parse(clickhouse),
            ClickHouseAddress.parse(analyst or clickhouse),
            env.get("LABELLOOP_PREFIX", "labelloop"),
            _number(env, "LABELLOOP_PARTITIONS", 4),
            _number(env, "LABELLOOP_REPLICATION", 1),
            store,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that give a child process the same settings."""
        return {
            "LABELLOOP_HOME": str(self.home),
            "LABELLOOP_KAFKA": self.kafka,
            "LABELLOOP_CLICKHOUSE": self.clickhouse.url(),
            "LABELLOOP_CLICKHOUSE_ANALYST": self.analyst.url(),
            "LABELLOOP_PREFIX": self.prefix,
            "LABELLOOP_PARTITIONS": str(self.partitions),
            "LABELLOOP_REPLICATION": str(self.replication),
            "LABELLOOP_STORE": self.store,
        }

    def topic(self, name: str) -> str:
        """Return the full name of a topic of the catalogue."""
        return f"{self.prefix}.{name}"


def data_directory(home: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return the data directory, absolute: the argument, else `LABELLOOP_HOME`, else `.labelloop` here."""
    env = os.environ if environ is None else environ
    return (home or Path(env.get("LABELLOOP_HOME", ".labelloop"))).absolute()


def read_stack(home: Path) -> dict[str, str] | None:
    """Return the addresses of the stack in `home` (`kafka`, `clickhouse`, `analyst`, `metrics`), None without one."""
    try:
        stack: dict[str, str] = json.loads((home / STACK_FILE).read_text())
    except FileNotFoundError:
        return None
    return stack


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise LabelloopError(f"{name} is {text!r}: use a whole number above 0")
    return int(text)
