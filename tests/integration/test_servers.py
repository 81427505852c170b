"""The servers themselves: who may do what, and what the broker was told."""

from typing import Any

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from streams.settings import ClickHouseAddress, Settings

pytestmark = pytest.mark.stack


def execute(address: ClickHouseAddress, query: str, password: str | None = None) -> list[tuple[Any, ...]]:
    with Client(address.host, address.port, user=address.user, password=password or address.password) as client:
        rows: list[tuple[Any, ...]] = client.execute(query)
    return rows


def test_the_analyst_reads_what_the_writer_wrote(settings: Settings) -> None:
    name = settings.clickhouse.database
    execute(settings.clickhouse, f"CREATE DATABASE {name}")
    execute(settings.clickhouse, f"CREATE TABLE {name}.numbers (n Int64) ENGINE = MergeTree ORDER BY n")
    execute(settings.clickhouse, f"INSERT INTO {name}.numbers SELECT number FROM numbers(3)")
    assert execute(settings.analyst, f"SELECT sum(n) FROM {name}.numbers") == [(3,)]


@pytest.mark.parametrize(
    "query",
    [
        "CREATE DATABASE mine",
        "CREATE USER me",
        "SYSTEM SHUTDOWN",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1/', 'LineAsString')",
        "SET readonly = 0",
    ],
)
def test_the_analyst_changes_nothing(settings: Settings, query: str) -> None:
    with pytest.raises(ServerException):
        execute(settings.analyst, query)


@pytest.mark.parametrize("user", ["writer", "analyst"])
def test_a_wrong_password_is_refused(settings: Settings, user: str) -> None:
    address = settings.clickhouse if user == "writer" else settings.analyst
    with pytest.raises(ServerException, match="Authentication failed"):
        execute(address, "SELECT 1", "wrong")


def test_time_is_utc(settings: Settings) -> None:
    assert execute(settings.analyst, "SELECT toString(toDateTime(0))") == [("1970-01-01 00:00:00",)]


def test_the_broker_has_the_shared_settings(kafka: str) -> None:
    admin, resource = AdminClient({"bootstrap.servers": kafka}), ConfigResource(ConfigResource.Type.BROKER, "1")
    found = admin.describe_configs([resource])[resource].result(20)
    assert found["auto.create.topics.enable"].value == "false"
    assert found["offsets.retention.minutes"].value == "5256000"
