"""Jars, ports, passwords and configuration of the embedded servers: everything that needs no server."""

import hashlib
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from streams.embedded import clickhouse, jars, kafka, ports
from streams.embedded.jars import Jar
from streams.errors import LabelloopError


@pytest.fixture
def jar(tmp_path: Path) -> Jar:
    """Return a jar that lies in the cache `tmp_path`."""
    folder = tmp_path / f"kafka-{jars.KAFKA_VERSION}"
    folder.mkdir()
    (folder / "a-1.jar").write_bytes(b"content")
    return Jar("org.example", "a", "1", hashlib.sha256(b"content").hexdigest())


def test_verified_jars_become_the_class_path(tmp_path: Path, jar: Jar) -> None:
    assert jars.class_path(tmp_path, (jar,)) == str(tmp_path / f"kafka-{jars.KAFKA_VERSION}" / "a-1.jar")


def test_a_wrong_jar_is_named_with_the_remedy(tmp_path: Path, jar: Jar) -> None:
    with pytest.raises(LabelloopError, match=r"a-1\.jar is not the a 1 that jars.lock names.*delete that file"):
        jars.class_path(tmp_path, (replace(jar, sha256="0" * 64),))


OLDER = sorted((Path(__file__).parents[1] / "kafka").glob("*.lock"))


@pytest.mark.parametrize(
    ("file", "version"),
    [(Path(jars.__file__).with_name("jars.lock"), jars.KAFKA_VERSION), *((file, file.stem) for file in OLDER)],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_lock_holds_one_version_of_each_jar(file: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(jars.LOCK, str(file))
    locked = jars.locked()
    assert len({(jar.group, jar.artifact) for jar in locked}) == len(locked) > 40
    assert all(len(jar.sha256) == 64 for jar in locked)
    kafka_versions = {jar.version for jar in locked if jar.group == "org.apache.kafka"}
    assert kafka_versions == {version}  # another version beside it is what a careless resolution gives


def test_a_wrong_lock_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "other.lock"
    monkeypatch.setenv(jars.LOCK, str(file))
    with pytest.raises(LabelloopError, match=r"other\.lock is no lock file of jars .*LABELLOOP_KAFKA_JARS"):
        jars.locked()
    file.write_text("# nothing\n")
    with pytest.raises(LabelloopError, match=r"other\.lock names no kafka_2\.13"):
        jars.locked()


@pytest.mark.parametrize(
    ("environ", "expected"), [({"XDG_CACHE_HOME": "/c"}, "/c/labelloop"), ({}, str(Path.home() / ".cache/labelloop"))]
)
def test_the_cache_lies_where_caches_lie(environ: dict[str, str], expected: str) -> None:
    assert str(jars.cache_directory(environ)) == expected


def test_free_remembered_ports_are_kept_and_others_replaced() -> None:
    fresh = iter([5, 6, 7])
    chosen = ports.choose(("a", "b", "c"), {"a": 1, "b": 2}, lambda port: port != 2, lambda: next(fresh))
    assert chosen == {"a": 1, "b": 5, "c": 6}


def test_no_port_is_given_twice() -> None:
    fresh = iter([1, 1, 2])
    assert ports.choose(("a", "b"), {"a": 1}, lambda _: True, lambda: next(fresh)) == {"a": 1, "b": 2}


def test_a_taken_port_is_replaced_told_and_remembered(tmp_path: Path) -> None:
    first, moved = ports.assign(tmp_path, ("kafka",))
    assert not moved
    assert ports.assign(tmp_path, ("kafka",)) == (first, [])
    with socket.socket() as other:
        other.bind((ports.LOCALHOST, first["kafka"]))
        other.listen()
        second, moved = ports.assign(tmp_path, ("kafka",))
    assert second != first
    assert moved == [f"port {first['kafka']} of kafka is taken by another process: using {second['kafka']} from now on"]
    assert ports.assign(tmp_path, ("kafka",)) == (second, [])


def test_passwords_are_generated_once_for_their_owner_alone(tmp_path: Path) -> None:
    passwords = clickhouse.passwords(tmp_path)
    assert clickhouse.passwords(tmp_path) == passwords
    assert stat.S_IMODE((tmp_path / clickhouse.SECRETS_FILE).stat().st_mode) == 0o600
    assert len({*passwords.values()}) == len(clickhouse.USERS)


def test_no_password_is_in_a_command_or_in_a_configuration_file(tmp_path: Path) -> None:
    secret = {"writer": "hidden-w", "analyst": "hidden-a"}
    process = clickhouse.prepare(tmp_path, tmp_path, 1, 2, secret)
    assert "hidden" not in " ".join(process.argv)
    assert not any("hidden" in file.read_text() for file in tmp_path.rglob("*.xml"))
    assert set(secret.values()) == set(process.env.values())


def test_the_broker_listens_to_this_machine_alone() -> None:
    lines = kafka.properties("a=b", Path("/d"), 1, 2).splitlines()
    assert lines[0] == "a=b"
    assert "listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2" in lines


def test_no_cluster_id_looks_like_an_option() -> None:
    ids = {kafka.new_cluster_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(len(one) == 22 and not one.startswith("-") for one in ids)
