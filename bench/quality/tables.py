"""The report as tables for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from bench.quality.cost import Cost
from bench.quality.data import DataSet
from bench.quality.goals import Cases, Goal
from bench.quality.measures import SHARES
from bench.quality.order import SHOWN
from bench.quality.reviews import Curves
from streams.terminal import Console


def consensus(console: Console, accuracy: Mapping[str, Mapping[str, float]], sets: Sequence[DataSet]) -> None:
    """Print the share of right answers by method and data set."""
    title = "Share of right answers"
    table = _table(title, "method", [f"{data.name}\n{len(data.items):,} items" for data in sets])
    for method, by_set in accuracy.items():
        table.add_row(method, *(_number(by_set.get(data.name), 4) for data in sets))
    console.print(table)


def review_order(console: Console, cases: Cases) -> None:
    """Print, for each data set, how many errors each order finds."""
    numbers = [*(f"{share:.0%}" for share in SHARES), "area"]
    for data, by_shown in cases.items():
        told = " and ".join(f"{by_shown[shown].errors} of the {shown}'s" for shown in SHOWN)
        title = f"{data}: errors found in the first items by score; there are {told}"
        table = _table(title, "score", [f"{shown}\n{number}" for shown in SHOWN for number in numbers])
        for score in by_shown[SHOWN[0]].orders:
            row: list[float] = []
            for shown in SHOWN:
                order = by_shown[shown].orders[score]
                row += [*order.found, order.area]
            table.add_row(escape(score), *(_number(number) for number in row))
        console.print(table)
        for shown in SHOWN:
            margin = by_shown[shown].margin
            console.print(
                f"  {shown}: labelloop {margin.ahead:+.3f} +- {margin.spread:.3f} beside {escape(margin.library)} "
                f"({margin.area:.3f})",
                highlight=False,
            )


def calibration(console: Console, cases: Cases, own: Mapping[str, Mapping[str, float]]) -> None:
    """Print the expected calibration error of p_wrong by answer shown, method and data set."""
    table = _table("Expected calibration error of p_wrong, 10 bins", "shown, probability", cases)
    for shown in SHOWN:
        methods = dict.fromkeys(method for by_shown in cases.values() for method in by_shown[shown].calibration)
        for method in methods:
            found = (by_shown[shown].calibration.get(method) for by_shown in cases.values())
            table.add_row(f"{shown}, {escape(method)}", *map(_number, found))
    for method, by_set in own.items():
        table.add_row(f"its own answer, {method}", *(_number(by_set.get(data)) for data in cases))
    console.print(table)


def pipeline(console: Console, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print how right the stack's answers are in each order of arrival, and how far the orders differ."""
    table = _table("Through the topics, by order of arrival", "", found)
    for order in next(iter(found.values()))["accuracy"]:
        table.add_row(f"right answers, {order}", *(_number(one["accuracy"][order], 4) for one in found.values()))
    for name, key in (
        ("an order differs from the file's by", "orders_differ"),
        ("p_wrong is off by", "p_wrong_differs"),
    ):
        table.add_row(name, *(f"{one[key]:.1e}" for one in found.values()))
    table.add_row(
        "settling, s, slowest", *(f"{max(s for _, s in one['seconds'].values()):.1f}" for one in found.values())
    )
    console.print(table)


def reviews(console: Console, found: Mapping[str, Curves]) -> None:
    """Print, for each data set, which errors of its own answer a review finds by what is reviewed first."""
    table = _table(
        "Errors of the product's own answer found, settled after each 5 % of verdicts",
        "reviewed first",
        [f"{data}\n{share:.0%}" for data in found for share in SHARES],
    )
    for policy in next(iter(found.values())):
        table.add_row(policy, *(_number(share) for curves in found.values() for share in curves[policy]))
    console.print(table)


def goals(console: Console, title: str, found: Iterable[Goal]) -> None:
    """Print each goal, what was found and whether that is enough."""
    table = Table("goal", "of", "wanted", "found", "", title=title, title_justify="left")
    for goal in found:
        table.add_row(
            goal.name,
            goal.of,
            goal.wanted,
            escape(goal.figure),
            "reached" if goal.reached else "[red]not reached[/red]",
        )
    console.print(table)


def _table(title: str, first: str, others: Iterable[str]) -> Table:
    table = Table(first, title=title, title_justify="left")
    for name in others:
        table.add_column(name, justify="right")
    return table


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def costs(console: Console, found: Sequence[Cost]) -> None:
    """Print what quality costs by the size of the project."""
    title = "Cost: microseconds a label or item, seconds a fit; 3 labels an item"
    names = (
        *("items", "annotators", "classes", "fold, us", "fold\nfitted, us", "posterior\nus", "fitter's\nfold, us"),
        *("fit, s", "with its\nrecords, s", "refit a\nlabel, us", "skill\nrecords", "largest, kB", "share of\na core"),
        "open items\nthat moved",
    )
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name, justify="right")
    for one in found:
        size = (one.size.items, one.size.annotators, one.size.classes)
        times = (one.fold_us, one.fold_fitted_us, one.posterior_us, one.collect_us)
        table.add_row(
            *(f"{number:,}" for number in size),
            *(f"{number:.0f}" for number in times),
            *(f"{number:.2f}" for number in (one.fit_s, one.refit_s)),
            f"{one.refit_us:.0f}",
            f"{one.records}",
            f"{one.record_bytes / 1000:,.0f}",
            f"{one.core_share:.3f}",
            "-" if one.moved is None else f"{one.moved:.1%}",
        )
    console.print(table)
