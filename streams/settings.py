"""Where the servers are, and the few choices a deployment makes.

A command finds them in this order: `LABELLOOP_KAFKA` and `LABELLOOP_CLICKHOUSE`, else the stack that `labelloop up`
runs in the data directory (`--data`, else `LABELLOOP_HOME`, else `.labelloop` here).

Passwords and certificates of servers that do not let everybody in are named by their files (docs/security.md); a file
with a password is read when a connection is made, and its content is kept in no setting.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from streams.errors import LabelloopError

STACK_FILE = "stack.json"

NOWHERE = "clickhouse://unknown:0/"
"""Address of a ClickHouse that nobody named."""

MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256")
"""How a user may log in at Kafka."""

_KAFKA_CA, _KAFKA_USER = "LABELLOOP_KAFKA_CA", "LABELLOOP_KAFKA_USER"
_KAFKA_PASSWORD, _KAFKA_MECHANISM = "LABELLOOP_KAFKA_PASSWORD_FILE", "LABELLOOP_KAFKA_MECHANISM"
_CLICKHOUSE_CA = "LABELLOOP_CLICKHOUSE_CA"
_WRITER_PASSWORD, _ANALYST_PASSWORD = "LABELLOOP_CLICKHOUSE_PASSWORD_FILE", "LABELLOOP_CLICKHOUSE_ANALYST_PASSWORD_FILE"

ACCESS = (
    _KAFKA_CA,
    _KAFKA_USER,
    _KAFKA_PASSWORD,
    _KAFKA_MECHANISM,
    _CLICKHOUSE_CA,
    _WRITER_PASSWORD,
    _ANALYST_PASSWORD,
)
"""Variables that say as whom the servers are reached; none of them is a secret itself."""


@dataclass(frozen=True, slots=True)
class KafkaLogin:
    """How a Kafka is reached that does not let everybody in.

    Args:
        ca: Certificates of whoever signed the brokers'; None: neither TLS nor a login.
        user: Who logs in; empty: TLS alone.
        password_file: File of the password.
        mechanism: One of `MECHANISMS`.
    """

    ca: Path | None = None
    user: str = ""
    password_file: Path | None = None
    mechanism: str = MECHANISMS[0]

    def password(self) -> str:
        """Return the password, as its file has it now.

        Raises:
            LabelloopError: the file cannot be read, or is empty.
        """
        return "" if self.password_file is None else _secret(self.password_file)

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "KafkaLogin":
        """Read the variables.

        Raises:
            LabelloopError: one is missing or unusable, or names a file that cannot be read.
        """
        found = cls(
            _file(env, _KAFKA_CA),
            env.get(_KAFKA_USER, ""),
            _file(env, _KAFKA_PASSWORD),
            env.get(_KAFKA_MECHANISM) or MECHANISMS[0],
        )
        if found.mechanism not in MECHANISMS:
            raise LabelloopError(f"{_KAFKA_MECHANISM} is {found.mechanism!r}: use {' or '.join(MECHANISMS)}")
        if bool(found.user) != bool(found.password_file):
            raise LabelloopError(f"{_KAFKA_USER} and {_KAFKA_PASSWORD} belong together: set both or none")
        if found.user and found.ca is None:
            raise LabelloopError(f"{_KAFKA_USER} is set without {_KAFKA_CA}: nobody logs in without TLS")
        found.password()  # what is wrong with the file is told at once
        return found


@dataclass(frozen=True, slots=True)
class ClickHouseAddress:
    """How one user reaches a ClickHouse server by its native protocol.

    Args:
        host: Name or IP address; with TLS as the certificate has it.
        port: Port; 0 where nobody named a server.
        user: Name of the user.
        given: Password, where the address itself has it.
        database: Database of the tables.
        tls: Whether the connection is encrypted and the server has to prove who it is.
        ca: Certificates of whoever signed the server's; None: the system's.
        password_file: File of the password; it counts before `given`.
    """

    host: str
    port: int
    user: str
    given: str = field(repr=False)
    database: str = "labelloop"
    tls: bool = False
    ca: Path | None = None
    password_file: Path | None = None

    @property
    def password(self) -> str:
        """The password, as its file has it now.

        Raises:
            LabelloopError: the file cannot be read, or is empty.
        """
        return self.given if self.password_file is None else _secret(self.password_file)

    @classmethod
    def parse(cls, url: str, ca: Path | None = None, password_file: Path | None = None) -> "ClickHouseAddress":
        """Read `clickhouse://user:password@host:port/database`, or `clickhouses://` for TLS.

        Raises:
            LabelloopError: the address is of another form, or does not go with the files.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if host is None or parts.scheme not in ("clickhouse", "clickhouses"):
            raise LabelloopError(
                "LABELLOOP_CLICKHOUSE must look like clickhouse://user:password@host:9000/labelloop (with TLS "
                "clickhouses://), with special characters of the password percent-encoded"
            )
        tls = parts.scheme == "clickhouses"
        if ca is not None and not tls and port != 0:
            raise LabelloopError(
                f"{_CLICKHOUSE_CA} is set, but {host} is named by clickhouse://, which is not encrypted: write "
                "clickhouses:// and the port for TLS"
            )
        if password_file is not None and parts.password:
            raise LabelloopError(f"the address of {host} has a password, and {password_file} too: give it once")
        return cls(
            host,
            (9440 if tls else 9000) if port is None else port,
            unquote(parts.username or "default"),
            unquote(parts.password or ""),
            parts.path.strip("/") or "labelloop",
            tls,
            ca if tls else None,
            password_file,
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
        """Return the address as `parse` reads it; a password that has a file of its own is left there."""
        user, password = quote(self.user, safe=""), quote(self.given, safe="")
        scheme = "clickhouses" if self.tls else "clickhouse"
        return f"{scheme}://{user}{':' if password else ''}{password}@{self.host}:{self.port}/{self.database}"


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
        login: As whom Kafka is reached.
    """

    home: Path
    kafka: str
    clickhouse: ClickHouseAddress
    analyst: ClickHouseAddress
    prefix: str = "labelloop"
    partitions: int = 4
    replication: int = 1
    store: str = "memory"
    login: KafkaLogin = KafkaLogin()

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
        as_writer = not env.get("LABELLOOP_CLICKHOUSE_ANALYST") and bool(clickhouse)
        if not (kafka and clickhouse):
            stack = read_stack(home)
            if stack is None and kafka:
                stack = {"clickhouse": NOWHERE, "analyst": NOWHERE}  # whoever only publishes needs none
            if stack is None:
                raise LabelloopError(f"no stack runs in {home}: start one with `labelloop up --detach`")
            kafka = kafka or stack["kafka"]
            clickhouse, analyst = clickhouse or stack["clickhouse"], analyst or stack["analyst"]
            env = {**{name: stack[name] for name in ACCESS if name in stack}, **env}
        store = env.get("LABELLOOP_STORE", "memory")
        if store not in ("memory", "rocksdb"):
            raise LabelloopError(f"LABELLOOP_STORE is {store!r}: use memory or rocksdb")
        ca, password = _file(env, _CLICKHOUSE_CA), _file(env, _WRITER_PASSWORD)
        reading = password if as_writer else _file(env, _ANALYST_PASSWORD)
        return cls(
            home,
            kafka,
            ClickHouseAddress.parse(clickhouse, ca, password),
            ClickHouseAddress.parse(analyst or clickhouse, ca, reading),
            env.get("LABELLOOP_PREFIX", "labelloop"),
            _number(env, "LABELLOOP_PARTITIONS", 4),
            _number(env, "LABELLOOP_REPLICATION", 1),
            store,
            KafkaLogin.read(env),
        )

    def access(self) -> dict[str, str]:
        """Return those of the variables `ACCESS` that are set: names and files, no secret."""
        values = (
            self.login.ca,
            self.login.user,
            self.login.password_file,
            self.login.mechanism if self.login.user else "",
            self.clickhouse.ca or self.analyst.ca,
            self.clickhouse.password_file,
            self.analyst.password_file,
        )
        return {name: str(value) for name, value in zip(ACCESS, values, strict=True) if value}

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
            **dict.fromkeys(ACCESS, ""),
            **self.access(),
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


def _file(env: Mapping[str, str], name: str) -> Path | None:
    """Return the file that a variable names, absolute, None without one.

    Raises:
        LabelloopError: nobody can read it here.
    """
    if not env.get(name):
        return None
    file = Path(env[name]).absolute()
    if not os.access(file, os.R_OK):
        raise LabelloopError(f"{name} names {file}, which is not there or not readable: name a file that is")
    return file


def _secret(file: Path) -> str:
    try:
        text = file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelloopError(f"{file} cannot be read: it must hold a password and nothing else") from error
    if not text:
        raise LabelloopError(f"{file} is empty: it must hold a password and nothing else")
    return text


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise LabelloopError(f"{name} is {text!r}: use a whole number above 0")
    return int(text)
