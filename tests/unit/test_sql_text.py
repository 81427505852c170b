"""SQL is built of names from our own catalogue alone; what others say goes in as a parameter."""

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_VERB = re.compile(r"\s*(SELECT|INSERT|ALTER|DROP|CREATE|GRANT|WITH)\s")

_OURS = {
    ("streams/sinks/writer.py", "table"),  # tables and columns of the catalogue's sinks
    ("streams/sinks/writer.py", "', '.join((f'`{name}`' for name in names))"),
    ("streams/sinks/migrate.py", "database"),  # of the settings, which the operator writes
    ("streams/sinks/migrate.py", "user"),
    ("streams/sinks/checks.py", "table"),
    ("streams/rebuild/tables.py", "table"),  # of the catalogue's sinks, and what lies beside it under its name
    ("streams/rebuild/tables.py", "built"),
    ("streams/rebuild/tables.py", "left"),
    ("streams/rebuild/tables.py", "hashes"),  # of the columns that tell its rows apart
    ("streams/rebuild/tables.py", "what"),  # TABLE or VIEW
    ("streams/rebuild/tables.py", "name"),  # of a view in the migrations, and its statement
    ("streams/rebuild/tables.py", "rest"),
    ("streams/report/shell.py", "MOST_ITEMS"),  # numbers of our own
    ("streams/report/shell.py", "_MOST_MOMENTS"),
    ("streams/query/item.py", "' UNION ALL '.join(parts)"),  # of the two below
    ("streams/query/item.py", "table"),
    ("streams/query/item.py", "says"),
    ("streams/query/facts.py", "', '.join(fields.values())"),
    ("streams/query/facts.py", "TABLES[topic]"),
    ("streams/query/auditing.py", "TABLES[topic.name]"),
    ("streams/query/auditing.py", "wanted"),
}
"""What is put into the text of a statement, as it was read and found to be ours."""


def test_nothing_but_our_own_names_is_put_into_sql() -> None:
    found = set()
    for file in [*(_ROOT / "streams").rglob("*.py"), *(_ROOT / "workers").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
                parts = [ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)]
                if _VERB.match(text):
                    found |= {(file.relative_to(_ROOT).as_posix(), part) for part in parts}
    assert found == _OURS
