"""The report as tables for people."""

from collections.abc import Mapping, Sequence
from statistics import mean, pstdev

from rich.table import Table

from bench.loop.goals import SHARES, Run, at
from bench.loop.pipeline import Point
from streams.terminal import Console

AT = (0.0, 0.04, *SHARES)
Lines = Mapping[str, Sequence[Sequence[Point]]]
"""Runs of every seed by what they are."""


def lines(
    runs: Mapping[Run, Sequence[Point]], peers: Sequence[Sequence[Point]], data: str
) -> dict[str, list[list[Point]]]:
    """Return the runs of one data set by name, the seeds of each together.

    Args:
        runs: The product's runs.
        peers: The cleanlab loop's runs by seed.
        data: The data set.
    """
    found: dict[str, list[list[Point]]] = {}
    for (name, trainer, order, _), points in runs.items():
        if name == data:
            found.setdefault(f"{order} order, {trainer}", []).append([*points])
    if peers:
        found["cleanlab loop, logistic"] = [[*points] for points in peers]
    return found


def curves(console: Console, data: str, items: int, found: Lines, ceilings: Mapping[str, float]) -> None:
    """Print what each kind of run reaches, mean of the seeds and at 10 % their spread."""
    for field, title in (("labels", "right answers"), ("test", "test accuracy")):
        table = Table("loop", "seeds", title=f"{data}: {title} after reviews of", title_justify="left")
        for share in AT:
            table.add_column(f"{share:.0%}", justify="right")
        for name in ("sd at 10 %", "refused"):
            table.add_column(name, justify="right")
        for name, runs in found.items():
            table.add_row(
                name,
                str(len(runs)),
                *(_mean(figures_at(runs, items, share, field)) for share in AT),
                _spread(figures_at(runs, items, SHARES[0], field)),
                f"{sum(point.outcome == 'refused' for points in runs for point in points)}",
            )
        if field == "test":
            for trainer, figure in ceilings.items():
                table.add_row(f"ceiling: all answers right, {trainer}", "", *[""] * (len(AT) - 1), f"{figure:.4f}")
        console.print(table)


def figures_at(runs: Sequence[Sequence[Point]], items: int, share: float, field: str) -> list[float]:
    """Return a figure of every run that came so far."""
    points = (at(points, items, share) for points in runs)
    figures = (None if point is None else getattr(point, field) for point in points)
    return [figure for figure in figures if figure is not None]


def _mean(figures: Sequence[float]) -> str:
    return f"{mean(figures):.4f}" if figures else "-"


def _spread(figures: Sequence[float]) -> str:
    return f"{pstdev(figures):.4f}" if figures else "-"
