"""What docs and deploy files say of rights is what the code needs."""

import re
from pathlib import Path

from streams.catalogue import ITEM_FACTS, TOPICS
from streams.processors.quality import _TAKEN
from streams.rights import table
from streams.settings import ACCESS
from streams.sinks.tables import TABLES
from workers.fold import KEPT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def names(user: str, operation: str, kind: str = "topic") -> set[str]:
    return {
        name
        for right in table()
        for name in right.names
        if (right.user, right.operation, right.kind) == (user, operation, kind)
    }


def test_the_topics_of_the_table_are_those_of_the_catalogue() -> None:
    assert {name for right in table() if right.kind == "topic" for name in right.names} - {""} <= TOPICS.keys()


def test_each_process_may_do_what_the_code_does() -> None:
    assert names("sink", "Read") == {*TABLES, "catalogue"}
    assert {*ITEM_FACTS, "projects", "annotators", "rescores"} <= names("items", "Read")
    assert {*_TAKEN, "fits"} <= names("quality", "Write")
    assert {*KEPT, "catalogue"} <= names("retrain", "Read")
    assert names("publisher", "Write") == {*ITEM_FACTS}
    assert all(names(user, "Read", "group") for user in ("items", "quality", "retrain", "sink", "reviewer"))


def test_the_page_shows_the_table() -> None:
    shown = {}
    for line in re.findall(r"^\| `\w+` \| .* \| .* \| .* \| .* \|.*$", PAGE, re.MULTILINE):
        user, _, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        shown[user.strip("`")] = [set(re.findall(r"`([^`]+)`", cell)) for cell in cells]
    assert shown == {
        user: [
            names(user, "Read"),
            names(user, "Write"),
            names(user, "Read", "group"),
            names(user, "Write", "transactional-id"),
        ]
        for user in dict.fromkeys(right.user for right in table())
    }


def test_the_sinks_role_adds_rows_to_the_tables_of_the_topics() -> None:
    roles = (ROOT / "deploy" / "clickhouse" / "roles.sql").read_text()
    granted = re.findall(
        r"^GRANT INSERT, SELECT\(_topic, _partition\) ON labelloop\.(\w+) TO labelloop_sink;", roles, re.M
    )
    assert granted == sorted({*TABLES.values()})


def test_every_variable_is_on_the_page() -> None:
    assert {*ACCESS} <= {*re.findall(r"^\| `(LABELLOOP_\w+)` \|", PAGE, re.MULTILINE)}
