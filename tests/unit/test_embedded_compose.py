"""docker-compose.yml beside the embedded servers' settings.

No engine runs here: this checks the file's shape, and that it mounts the very files `labelloop up` reads. Where an
engine answers, the tests marked `stack` start the containers from this file.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams import resources
from streams.embedded import clickhouse, jars

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert set(compose) == {"name", "services", "volumes"}
    services: dict[str, Any] = compose["services"]
    named = {volume.split(":")[0] for service in services.values() for volume in service["volumes"]}
    assert {name for name in named if not name.startswith(".")} == set(compose["volumes"])
    return services


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Return the target of each mounted file by its path in the repository."""
    pairs = (volume.split(":") for volume in service["volumes"] if volume.startswith("./"))
    return {source.removeprefix("./"): target for source, target, _ in pairs}


def test_it_mounts_files_that_exist_and_that_the_embedded_servers_read(services: dict[str, Any]) -> None:
    broker, server = mounts(services["kafka"]), mounts(services["clickhouse"])
    assert all((ROOT / path).is_file() for path in {**broker, **server})
    assert resources.directory("deploy") == ROOT / "deploy"
    assert broker == {"deploy/kafka/server.properties": "/mnt/shared/config/server.properties"}
    assert {"deploy/clickhouse/config.xml", "deploy/clickhouse/users.xml"} <= set(server)


def test_it_runs_the_same_versions(services: dict[str, Any]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{jars.KAFKA_VERSION}"
    pinned = re.search(r"chdb-core==(\d+\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert pinned
    assert services["clickhouse"]["image"] == f"clickhouse/clickhouse-server:{pinned[1]}"


def test_it_publishes_to_this_machine_alone(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service["ports"]]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_it_changes_no_shared_broker_setting(services: dict[str, Any]) -> None:
    shared = {
        line.split("=")[0]
        for line in (ROOT / "deploy/kafka/server.properties").read_text().splitlines()
        if line and not line.startswith("#")
    }
    added = {name.removeprefix("KAFKA_").lower().replace("_", ".") for name in services["kafka"]["environment"]}
    assert not added & shared
    assert {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"} <= added


def test_passwords_come_from_the_environment(services: dict[str, Any]) -> None:
    users = (ROOT / "deploy/clickhouse/users.xml").read_text()
    wanted = {f"LABELLOOP_{user.upper()}_PASSWORD" for user in clickhouse.USERS}
    assert (
        set(re.findall(r'<password from_env="(\w+)"/>', users)) == wanted <= set(services["clickhouse"]["environment"])
    )
    assert users.count("<password") == len(wanted)
