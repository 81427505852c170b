"""What can be built again, by name."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal, NamedTuple

from streams.catalogue import TOPICS
from streams.errors import LabelloopError
from streams.rebuild.compare import BUILT
from streams.sinks.migrate import views
from streams.sinks.tables import TABLES

Kind = Literal["topic", "table", "view"]

ALL = "all"

KEPT = {
    "topic feedback": "a receipt is told once, of models and of a day's limit that were in force then",
    "topic flips": "its records are told once, of two models that were trained then",
    "table review_history": "it keeps the snapshots that compaction takes from the log",
}
"""Derived, and not built again: why."""


class Target(NamedTuple):
    """A topic, table or view that can be built again, and from what."""

    kind: Kind
    name: str
    source: str


def targets() -> list[Target]:
    """Return all there are: topics first, for tables are filled from them, and views last."""
    sources: dict[str, list[str]] = {}
    for topic, table in TABLES.items():
        sources.setdefault(table, []).append(topic)
    return [
        *(Target("topic", topic, "the facts") for topic in TOPICS if topic in BUILT),
        *(Target("table", table, f"topic {', '.join(topics)}") for table, topics in sources.items()),
        *(Target("view", name, "the migrations") for name in views()),
    ]


def chosen(names: Sequence[str]) -> list[Target]:
    """Return the targets of some names; `all` means all.

    A name that a topic and a table share means both, and a view the tables that it reads as well.

    Raises:
        LabelloopError: there is none of a name.
    """
    every = targets()
    if ALL in names:
        return every
    known = {target.name for target in every}
    for name in names:
        if name not in known:
            if (why := KEPT.get(f"table {name}")) is not None:
                raise LabelloopError(f"{name} is not built again, for {why}")
            near = get_close_matches(name, known, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else "`labelloop rebuild` lists them"
            raise LabelloopError(f"there is no target {name!r}: {hint}")
    wanted, texts = {*names}, views()
    while read := {table for view in wanted & texts.keys() for table in _read(texts[view])} & known - wanted:
        wanted |= read
    # a topic is built again only by its own name: a view that reads its table says nothing of it
    return [target for target in every if target.name in (names if target.kind == "topic" else wanted)]


def _read(statement: str) -> list[str]:
    """Return what a view's statement reads, and some words that are no tables."""
    return re.findall(r"\b(?:FROM|JOIN)\s+(\w+)", statement)
