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
