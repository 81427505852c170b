"""Migration files fall apart into statements, and the files that ship hold exactly the contract's columns."""

import re

import pytest

from streams.catalogue import TOPICS
from streams.sinks.migrate import _FOLDER, refreshed, statements, views
from streams.sinks.rows import LOG_COLUMNS
from streams.sinks.tables import FACT_IDENTITY, IDENTITY, TABLES, columns

ALL = [statement for file in sorted(_FOLDER.glob("[0-9]*.sql")) for statement in statements(file.read_text())]
DDL = {match[1]: text for text in ALL if (match := re.match(r"(?:--.*\n|\s)*CREATE TABLE (\w+)", text))}


def columns_of(table: str) -> list[tuple[str, str, str]]:
    """Return name, type and comment of a table's columns as all migrations leave them."""
    found = re.findall(r"^    (\w+) (.+) COMMENT '((?:[^'\\]|\\.)*)',?$", DDL[table], re.MULTILINE)
    comment = r"\s+'((?:[^'\\]|\\.)*)'"
    for text in ALL:
        add = rf"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS `?(\w+)`? (.+?)(?: DEFAULT '\w+')?"
        if added := re.search(rf"{add}\s+COMMENT{comment} AFTER (\w+)", text):
            place = next(n for n, column in enumerate(found) if column[0] == added[4])
            found.insert(place + 1, (added[1], added[2], added[3]))
        if reworded := re.search(rf"ALTER TABLE {table} COMMENT COLUMN (\w+){comment}", text):
            found = [(n, t, reworded[2] if n == reworded[1] else about) for n, t, about in found]
    return found


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("-- nothing but a comment;\n", []),
        ("A;\nB;\n", ["A", "B"]),
        ("A;  \n\nB", ["A", "B"]),
        ("A 'x; y'\nMORE;\n", ["A 'x; y'\nMORE"]),
        ("-- what A is for\nA;\n-- the end\n", ["-- what A is for\nA"]),
    ],
)
def test_statements_end_with_a_semicolon_at_the_end_of_a_line(text: str, parts: list[str]) -> None:
    assert statements(text) == parts


def test_every_table_has_a_statement() -> None:
    assert DDL.keys() == {*TABLES.values(), "review_history", *refreshed()}  # the last are filled by views


@pytest.mark.parametrize("topic", TABLES)
def test_a_table_has_the_columns_of_its_schema_then_those_of_the_log(topic: str) -> None:
    table = TABLES[topic]
    found = columns_of(table)
    wanted = [(column.name, column.type, column.comment.replace("'", r"\'")) for column in columns(topic)]
    assert found[: len(wanted)] == wanted
    assert [name for name, _, _ in found[len(wanted) :]] == list(LOG_COLUMNS)
    assert all(comment for _, _, comment in found)
    identity = FACT_IDENTITY if table in TOPICS and table not in IDENTITY else IDENTITY[table]
    assert f"ORDER BY ({', '.join(identity)})" in DDL[table]


def test_every_file_ends_its_last_statement() -> None:
    for file in sorted(_FOLDER.glob("[0-9]*.sql")):
        assert file.read_text().rstrip().endswith(";"), file.name


def test_what_is_computed_every_so_often_has_a_view_of_this_moment_beside_it() -> None:
    assert "accuracy_weekly" in refreshed()
    assert {f"{table}_now" for table in refreshed()} <= views().keys()
    assert not views().keys() & {*refreshed()}
