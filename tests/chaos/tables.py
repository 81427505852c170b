"""Proves that ClickHouse holds what a recount of the log gives. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from math import isclose

from tests.chaos.evidence import Evidence, Row, Table, Violation

_SHOWN = 5


def tables(evidence: Evidence) -> Iterator[Violation]:
    """Yield rows of ClickHouse that a recount of the log does not give, that it lacks, or that lie there twice."""
    for name, table in sorted(evidence.tables.items()):
        for what, rows in zip(("lacks", "has"), _unequal(table), strict=True):
            for row in rows[:_SHOWN]:
                yield Violation("tables", f"{name} {what} {str(row)[:300]}")
    for name, doubled in sorted(evidence.twice.items()):
        for place in doubled[:_SHOWN]:
            yield Violation("tables", f"{name} was given {place} more than once")


def _unequal(table: Table) -> tuple[list[Row], list[Row]]:
    """Return the expected rows that were not found, and the found ones that were not expected."""
    lacking, surplus = _beyond(table.expected, table.found), _beyond(table.found, table.expected)
    others = defaultdict[str, list[Row]](list)
    for row in surplus:
        others[_exact(row)].append(row)
    left = []
    for row in lacking:
        same = others[_exact(row)]
        twin = next((n for n, other in enumerate(same) if _is_close(row, other)), None)
        if twin is None:
            left.append(row)
        else:
            del same[twin]
    return left, [row for rows in others.values() for row in rows]


def _beyond(rows: Iterable[Row], others: Iterable[Row]) -> list[Row]:
    """Return the rows that are not among others, each as often as it is missing there."""
    known, left = Counter(map(str, others)), list[Row]()
    for row in rows:
        if known[str(row)]:
            known[str(row)] -= 1
        else:
            left.append(row)
    return left


def _exact(row: Row) -> str:
    """Return what of a row must be equal to the last bit: all but floats."""
    return str([int(cell) if isinstance(cell, bool) else cell for cell in row if not isinstance(cell, float)])


def _is_close(one: Row, other: Row) -> bool:
    """Return whether floats are equal but for the order in which a server adds them."""
    pairs = ((a, b) for a, b in zip(one, other, strict=True) if isinstance(a, float) and isinstance(b, float))
    return all(isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in pairs)
