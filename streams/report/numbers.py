"""What the report is made of: tables of numbers, and sections that show them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, sqrt
from typing import Any

Record = dict[str, Any]

Z90 = 1.6448536269514722  # 95 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers as they are read and written.

    Args:
        columns: Names of the columns.
        rows: Values in their order.
    """

    columns: tuple[str, ...] = ()
    rows: Sequence[Sequence[Any]] = ()

    def records(self) -> list[Record]:
        """Return each row as a mapping."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot.

    Args:
        svg: The drawing, safe to stand in a page.
        look_for: What to look for in it, one sentence.
        title: Says which one it is, where there are several; the page folds it up then.
    """

    svg: str
    look_for: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A table that is shown; texts are escaped by the page.

    Args:
        head: Names of the columns.
        rows: Cells as text.
        look_for: What to look for in it, one sentence.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    look_for: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Args:
        title: What it is about.
        parts: What it shows, in order.
        nothing: Why it has nothing to show; then there are no parts.
        files: Names of the CSV files with its numbers.
    """

    title: str
    parts: Sequence[Figure | Listing] = ()
    nothing: str = ""
    files: Sequence[str] = field(default_factory=tuple)


Numbers = Mapping[str, Table]
"""Tables by the name of their CSV file, without the ending."""


def records(numbers: Numbers, name: str) -> list[Record]:
    """Return a table's rows as mappings; none if it is not there."""
    return numbers.get(name, Table()).records()


def wilson(right: float, of: float) -> tuple[float, float]:
    """Return the 90 % Wilson interval of the share `right` / `of`, as the views have it; `of` is above 0."""
    share, spread = right / of, Z90 * Z90 / of
    middle = share + spread / 2
    half = Z90 * sqrt(max(0.0, share * (1 - share)) / of + spread / (4 * of))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def expected_calibration_error(bins: Iterable[tuple[int, float, float]]) -> float | None:
    """Return the mean distance of what was expected from what was observed, each bin weighed by its size.

    Args:
        bins: Size, mean of the expected and share of the observed, each.

    Returns:
        0 to 1; None without any.

    Source: M. P. Naeini, G. F. Cooper, M. Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning
    (2015).
    """
    found = [*bins]
    total = sum(size for size, _, _ in found)
    return fsum(size * abs(expected - seen) for size, expected, seen in found) / total if total else None


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share as text, a dash where there is none."""
    return "-" if share is None or share != share else f"{100 * share:.{digits}f} %"


def coefficient(value: float | None) -> str:
    """Return a coefficient as text, a dash where there is none."""
    return "-" if value is None or value != value else f"{value:.3f}"
