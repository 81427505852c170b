"""Settings come from the environment, else from the running stack, else say what to do."""

from pathlib import Path

import pytest

from streams.errors import LabelloopError
from streams.settings import ClickHouseAddress, Settings

NAMED = {"LABELLOOP_KAFKA": "broker:9092", "LABELLOOP_CLICKHOUSE": "clickhouse://w:p%40ss@ch:9001/db"}


def test_environment_names_the_servers(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, NAMED)
    assert (settings.kafka, settings.clickhouse) == ("broker:9092", ClickHouseAddress("ch", 9001, "w", "p@ss", "db"))
    assert Settings.load(tmp_path, settings.environment()) == settings


def test_a_running_stack_names_them(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(
        '{"kafka": "k:1", "clickhouse": "clickhouse://w:p@h:2/l", "analyst": "clickhouse://a:q@h:2/l"}'
    )
    settings = Settings.load(tmp_path, {})
    assert (settings.kafka, settings.analyst.user) == ("k:1", "a")


def test_without_servers_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LabelloopError, match="labelloop up --detach"):
        Settings.load(tmp_path, {})


def test_who_only_publishes_needs_no_clickhouse(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {"LABELLOOP_KAFKA": "broker:9092"})
    with pytest.raises(LabelloopError, match="LABELLOOP_CLICKHOUSE"):
        settings.clickhouse.checked()


@pytest.mark.parametrize(
    ("name", "value"),
    [("LABELLOOP_PARTITIONS", "0"), ("LABELLOOP_STORE", "disk"), ("LABELLOOP_CLICKHOUSE", "http://h")]
    + [("LABELLOOP_PARTITIONS", "\u00b2")]
    + [
        ("LABELLOOP_CLICKHOUSE", f"clickhouse://{rest}")
        for rest in ("user:password@host:port/db", "h:99999", "u:a/b@h", "[x")
    ],
)
def test_unusable_values_are_refused_by_name(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(LabelloopError, match=name):
        Settings.load(tmp_path, {**NAMED, name: value})


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Return servers that do not let everybody in, as the environment names them."""
    for name in ("ca", "kafka", "sink", "analyst"):
        (tmp_path / name).write_text(f"secret-of-{name}\n")
    return {
        "LABELLOOP_KAFKA": "broker:9093",
        "LABELLOOP_KAFKA_CA": str(tmp_path / "ca"),
        "LABELLOOP_KAFKA_USER": "items",
        "LABELLOOP_KAFKA_PASSWORD_FILE": str(tmp_path / "kafka"),
        "LABELLOOP_CLICKHOUSE": "clickhouses://sink@ch/db",
        "LABELLOOP_CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "sink"),
        "LABELLOOP_CLICKHOUSE_ANALYST": "clickhouses://anna@ch/db",
        "LABELLOOP_CLICKHOUSE_ANALYST_PASSWORD_FILE": str(tmp_path / "analyst"),
        "LABELLOOP_CLICKHOUSE_CA": str(tmp_path / "ca"),
    }


def test_secrets_come_from_files_and_are_in_no_text_of_the_settings(tmp_path: Path, files: dict[str, str]) -> None:
    settings = Settings.load(tmp_path, files)
    assert (settings.login.password(), settings.login.mechanism) == ("secret-of-kafka", "SCRAM-SHA-512")
    assert (settings.clickhouse.password, settings.analyst.password) == ("secret-of-sink", "secret-of-analyst")
    assert (settings.clickhouse.port, settings.clickhouse.tls) == (9440, True)
    assert Settings.load(tmp_path, settings.environment()) == settings
    assert "secret-of" not in f"{settings!r}{settings.environment()}{settings.access()}"
    assert "p@ss" not in repr(Settings.load(tmp_path, NAMED))
    (tmp_path / "kafka").write_text("another")
    assert settings.login.password() == "another"


def test_who_has_no_access_of_their_own_reads_as_the_writer(tmp_path: Path, files: dict[str, str]) -> None:
    del files["LABELLOOP_CLICKHOUSE_ANALYST"], files["LABELLOOP_CLICKHOUSE_ANALYST_PASSWORD_FILE"]
    settings = Settings.load(tmp_path, files)
    assert settings.analyst == settings.clickhouse
    assert Settings.load(tmp_path, settings.environment()) == settings


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"LABELLOOP_KAFKA_CA": ""}, "nobody logs in without TLS"),
        ({"LABELLOOP_KAFKA_CA": "/not/there"}, "LABELLOOP_KAFKA_CA names /not/there"),
        ({"LABELLOOP_KAFKA_USER": ""}, "LABELLOOP_KAFKA_USER and LABELLOOP_KAFKA_PASSWORD_FILE belong together"),
        ({"LABELLOOP_KAFKA_PASSWORD_FILE": "empty"}, "empty is empty"),
        ({"LABELLOOP_KAFKA_MECHANISM": "PLAIN"}, "use SCRAM-SHA-512 or SCRAM-SHA-256"),
        ({"LABELLOOP_CLICKHOUSE": "clickhouse://sink@ch/db"}, "which is not encrypted"),
        ({"LABELLOOP_CLICKHOUSE": "clickhouses://sink:twice@ch/db"}, "give it once"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, files: dict[str, str], changed: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(LabelloopError, match=told) as refused:
        Settings.load(tmp_path, {**files, **changed})
    assert "twice" not in str(refused.value)
    assert "secret-of" not in str(refused.value)
