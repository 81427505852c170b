"""How many inserts a table remembers is read from the setting that its engine heeds."""

import pytest

from streams.sinks.checks import window

OURS = "non_replicated_deduplication_window = 10000"


@pytest.mark.parametrize(
    ("engine", "settings", "inserts"),
    [
        ("ReplacingMergeTree", OURS, 10_000),
        ("ReplacingMergeTree", "index_granularity = 8192", 0),
        ("ReplacingMergeTree", "replicated_deduplication_window = 500", 0),
        ("ReplicatedReplacingMergeTree", OURS, None),
        ("SharedReplacingMergeTree", f"{OURS}, replicated_deduplication_window = 500", 500),
        ("SharedReplacingMergeTree", f"replicated_deduplication_window = 500, {OURS}", 500),
    ],
)
def test_a_table_remembers_as_many_inserts_as_its_engine_is_told(
    engine: str, settings: str, inserts: int | None
) -> None:
    clauses = f"{engine}(_offset) ORDER BY event_id SETTINGS {settings}"
    assert window(engine, clauses) == inserts
