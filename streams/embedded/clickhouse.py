"""The embedded ClickHouse: chdb's server, served on its native and HTTP ports by a child process."""

import json
import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from clickhouse_driver import Client
from clickhouse_driver.errors import Error

from streams import resources
from streams.embedded.launch import Process
from streams.embedded.ports import LOCALHOST
from streams.files import write_private
from streams.settings import ClickHouseAddress

NAME = "clickhouse"
USERS = ("writer", "analyst")
SECRETS_FILE = "secrets.json"

# The serving query itself runs as `default`, which must exist without a password: it may do nothing but listen.
_USERS = """<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password/>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT SYSTEM LISTEN ON *.*</query>
                <query>GRANT SELECT ON system.numbers</query>
            </grants>
        </default>
    </users>
</clickhouse>
"""


def configuration(log_dir: Path, port: int, http_port: int) -> str:
    """Return what this machine adds to the shared configuration: listeners and paths."""
    return f"""<clickhouse>
    <listen_host>{LOCALHOST}</listen_host>
    <tcp_port>{port}</tcp_port>
    <http_port>{http_port}</http_port>
    <users_config>users.xml</users_config>
    <logger>
        <level>warning</level>
        <log>{log_dir}/clickhouse-server.log</log>
        <errorlog>{log_dir}/clickhouse-server.err.log</errorlog>
        <size>10M</size>
        <count>2</count>
    </logger>
</clickhouse>
"""


def passwords(home: Path) -> dict[str, str]:
    """Return the passwords by user, generated at the first time into a file that only its owner can read."""
    file = home / SECRETS_FILE
    if not file.exists():
        generated = {user: secrets.token_urlsafe(24) for user in USERS}
        write_private(file, json.dumps(generated, indent=2))
    known: dict[str, str] = json.loads(file.read_text())
    return known


def prepare(root: Path, logs: Path, port: int, http_port: int, secret: Mapping[str, str]) -> Process:
    """Write the configuration and return the server's process.

    Args:
        root: Folder of the server's files.
        logs: Folder of its logs.
        port: Port of the native protocol.
        http_port: Port of the HTTP interface.
        secret: Passwords by user.
    """
    shared = resources.directory("deploy") / "clickhouse"
    for folder, name in (("config.d", "config.xml"), ("users.d", "users.xml")):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "labelloop.xml").write_text((shared / name).read_text())
    (root / "config.xml").write_text(configuration(logs, port, http_port))
    (root / "users.xml").write_text(_USERS)
    return Process(
        NAME,
        (sys.executable, "-m", "streams.embedded.clickhouse_server", str(root)),
        {f"LABELLOOP_{user.upper()}_PASSWORD": secret[user] for user in USERS},
        lambda: is_ready(port, secret["analyst"]),
    )


def address(user: str, password: str, port: int) -> ClickHouseAddress:
    """Return how a user reaches the server."""
    return ClickHouseAddress(LOCALHOST, port, user, password)


def is_ready(port: int, analyst_password: str) -> bool:
    """Return whether the server answers the analyst on a port of this machine, within a second."""
    client = Client(
        LOCALHOST, port, user="analyst", password=analyst_password, connect_timeout=0.5, send_receive_timeout=0.5
    )
    try:
        socket.create_connection((LOCALHOST, port), timeout=0.2).close()  # the client would log a stack trace
        answer: list[tuple[int]] = client.execute("SELECT 1")
    except (OSError, EOFError, Error):
        return False
    finally:
        client.disconnect()
    return answer == [(1,)]
