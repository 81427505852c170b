"""The report's plots, as SVG to stand in a page.

Matplotlib writes them: static, without a script, and texts stay texts, so that the reader's own fonts show any
alphabet. Names come from people nobody knows: they are cut, their control characters go, and no `$` makes them a
formula. Colours are those of Okabe and Ito, which people tell apart who see fewer.
"""

import io
import re
import warnings
from collections.abc import Sequence
from datetime import date, datetime
from math import ceil
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import DAILY, MONTHLY, YEARLY, AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Polygon
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from streams.terminal import printable

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6b7280"

_WIDTH = 9.2  # inches; the page scales it
_TICKS = (None, {YEARLY: 4, MONTHLY: 4, DAILY: 4})  # of a plot as wide as the page, and of a narrow one
_MOST_OUTLINES = 150  # regions of an item that are drawn
_MOST_NAMED = 12  # and if there are more, no labels
_NAME = 26  # characters of a name that is drawn

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "labelloop",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


class Point(NamedTuple):
    """A measured share with its interval, at a date or beside a name."""

    at: Any
    value: float
    low: float
    high: float


class Panel(NamedTuple):
    """One annotator's trend: what is known, and what is estimated."""

    title: str
    known: Sequence[Point]
    estimate: Sequence[Point]


class Outline(NamedTuple):
    """A region: label, share of annotators behind it, corners in fractions of width and height."""

    label: str
    support: float
    points: Sequence[tuple[float, float]]


def shown(name: object) -> str:
    """Return a name as it may be drawn or listed: one line, cut, without control characters."""
    text = printable(str(name)).strip() or "(no name)"
    return text if len(text) <= _NAME else f"{text[: _NAME - 1]}…"


def trends(panels: Sequence[Panel]) -> str:
    """Draw shares over time with their intervals, a panel each, all of one scale."""
    columns = min(3, len(panels))
    height = ceil(len(panels) / columns)
    everything = [point for panel in panels for point in (*panel.known, *panel.estimate)]
    bottom = max(0.0, min(min(point.low for point in everything) - 0.03, 0.9))
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH, 0.5 + 2.0 * height))
        grid = canvas.subplots(height, columns, sharex=True, sharey=True, squeeze=False)
        for panel, axes in zip(panels, grid.flat, strict=False):
            axes.set_title(shown(panel.title), fontsize=10, loc="left")
            _band(axes, panel.estimate, ORANGE, "estimate (all labels)", "--")
            _band(axes, panel.known, BLUE, "known (verdicts, gold)", "-")
            axes.set_ylim(bottom, 1.01)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            _dates(axes, [point.at for point in everything], 3)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for name in range(max(0, len(panels) - columns), len(panels)):
            grid.flat[name].tick_params(labelbottom=True)
        handles = {label: h for a in grid.flat for h, label in zip(*a.get_legend_handles_labels(), strict=True)}
        canvas.legend(handles.values(), handles.keys(), loc="outside upper right", ncols=2)
        return _svg(canvas, "accuracy over time")


def _band(axes: Axes, points: Sequence[Point], colour: str, label: str, line: str) -> None:
    if not points:
        return
    at, value, low, high = (np.array(column) for column in zip(*points, strict=True))
    axes.plot(at, value, line, color=colour, marker="o", markersize=3.5, label=label)
    if len(points) > 1:
        axes.fill_between(at, low, high, color=colour, alpha=0.16, linewidth=0)
    else:
        axes.errorbar(at, value, [np.maximum(value - low, 0), np.maximum(high - value, 0)], color=colour, capsize=3)


def intervals(rows: Sequence[Point], marks: Sequence[float | None], mark: str, axis: str, unit: str = "share") -> str:
    """Draw a value with its interval for each name, the first on top, and beside it another value where there is one.

    Args:
        rows: Names with their values.
        marks: Another value of each.
        mark: What that value is.
        axis: What the values are.
        unit: `share` or `number`.
    """
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH, 0.9 + 0.24 * len(rows)))
        axes = canvas.subplots()
        places = np.arange(len(rows))[::-1]
        value = np.array([row.value for row in rows])
        ends = [value - [row.low for row in rows], [row.high for row in rows] - value]
        axes.errorbar(value, places, xerr=np.maximum(ends, 0), fmt="o", color=BLUE, markersize=5, capsize=3, label=axis)
        there = [(m, place) for m, place in zip(marks, places, strict=True) if m is not None]
        if there:
            axes.plot(*zip(*there, strict=True), "D", color=ORANGE, fillstyle="none", markersize=9, label=mark)
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        axes.set_yticks(places, [shown(row.at) for row in rows])
        axes.set_ylim(-0.7, len(rows) - 0.3)
        if unit == "share":
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.set_xlim(right=1.005)
        else:
            axes.set_xlim(left=0)
        axes.set_xlabel(axis)
        return _svg(canvas, axis)


def matrix(truths: Sequence[str], answers: Sequence[str], counts: Sequence[Sequence[float]]) -> str:
    """Draw counts by right answer (rows) and given answer (columns), coloured by the share of the row."""
    number = np.array(counts, dtype=float).reshape(len(truths), len(answers))
    total = number.sum(axis=1, keepdims=True)
    share = np.divide(number, total, out=np.zeros_like(number), where=total > 0)
    size = min(_WIDTH, 2.6 + 0.46 * len(answers))
    with mpl.rc_context({**_STYLE, "axes.grid": False}):
        canvas = Canvas(figsize=(size, 1.5 + 0.4 * len(truths)))
        axes = canvas.subplots()
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="none", aspect="auto")
        axes.set_xticks(range(len(answers)), [shown(name) for name in answers], **_turned(answers))
        axes.set_yticks(range(len(truths)), [shown(name) for name in truths])
        axes.set_xlabel("answer given")
        axes.set_ylabel("right answer")
        for (row, column), count in np.ndenumerate(number):
            if count:
                ink = "white" if share[row, column] > 0.55 else "#111827"
                cell = axes.text(column, row, _count(count), ha="center", va="center", fontsize=8, color=ink)
                cell.set_in_layout(False)  # to measure hundreds of them takes longer than all else
        bar = canvas.colorbar(image, ax=axes, format=PercentFormatter(1, decimals=0), shrink=0.8)
        bar.set_label("share of the row")
        return _svg(canvas, "confusion matrix")


def _turned(names: Sequence[str]) -> dict[str, Any]:
    """Return how names stand beneath an axis: slanted, unless all are short."""
    return {} if max(map(len, names)) <= 3 else {"rotation": 40, "ha": "right"}


def _count(count: float) -> str:
    return f"{count:.0f}" if count < 10_000 else f"{count / 1000:.0f}k"


def steps(at: Sequence[datetime], values: Sequence[float], axis: str) -> str:
    """Draw a number that stays the same between changes."""
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH, 2.8))
        axes = canvas.subplots()
        moments = np.array([moment.replace(tzinfo=None) for moment in at])
        axes.plot(moments, values, drawstyle="steps-post", color=BLUE)
        axes.fill_between(moments, values, step="post", color=BLUE, alpha=0.14, linewidth=0)
        axes.set_ylim(0, max([*values, 1]) * 1.08)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.set_ylabel(axis)
        _dates(axes, [*moments])
        return _svg(canvas, axis)


def curve(values: Sequence[float], rate: float, line: str, axes_names: tuple[str, str]) -> str:
    """Draw what was reached after each step from 1, beside a straight line of so much a step."""
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH * 0.75, 3.2))
        axes = canvas.subplots()
        steps_taken = np.arange(len(values) + 1)
        keep = np.unique(np.linspace(0, len(values), 400).astype(int))
        axes.plot(steps_taken[keep], np.array([0, *values])[keep], color=BLUE, linewidth=2, label="in this order")
        axes.plot([0, len(values)], [0, rate * len(values)], "--", color=GREY, label=line)
        axes.set_xlim(0, len(values))
        axes.set_ylim(bottom=0)
        axes.set_xlabel(axes_names[0])
        axes.set_ylabel(axes_names[1])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return _svg(canvas, axes_names[1])


def reliability(points: Sequence[Point], sizes: Sequence[int]) -> str:
    """Draw observed shares over expected ones, with the diagonal on which both are equal, and the sizes beneath."""
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH * 0.62, 4.6))
        upper, lower = canvas.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
        upper.plot([0, 1], [0, 1], "--", color=GREY, label="as expected")
        at, value, low, high = (np.array(column, dtype=float) for column in zip(*points, strict=True))
        ends = np.maximum([value - low, high - value], 0)
        upper.errorbar(at, value, yerr=ends, fmt="o", color=BLUE, capsize=3, label="observed, 90 % interval")
        upper.set_ylim(-0.02, 1.02)
        upper.set_ylabel("were wrong")
        upper.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        lower.bar(at, sizes, width=0.04, color=GREY)
        lower.set_yscale("log")
        lower.set_ylim(0.6, max(sizes) * 2)
        lower.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        lower.yaxis.set_minor_formatter(NullFormatter())
        lower.set_ylabel("items")
        lower.set_xlabel("p_wrong: probability that the shown answer is wrong")
        lower.set_xlim(-0.02, 1.02)
        lower.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        return _svg(canvas, "reliability of p_wrong")


def versions(series: Sequence[tuple[str, Sequence[float | None]]], first: int, axis: str) -> str:
    """Draw up to three shares of each model, numbered from `first`; gaps where there is none."""
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH, 3.0))
        axes = canvas.subplots()
        for (name, values), colour, mark in zip(series, (BLUE, ORANGE, GREEN), "osD", strict=False):
            numbers = np.array([np.nan if value is None else value for value in values])
            at = np.arange(first, first + len(numbers))
            axes.plot(at, numbers, marker=mark, markersize=4, color=colour, label=shown(name))
        axes.set_xlabel("model")
        axes.set_ylabel(axis)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12, min_n_ticks=1))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        return _svg(canvas, axis)


def lines(at: Sequence[date], series: Sequence[tuple[str, Sequence[float | None]]], axis: str) -> str:
    """Draw up to three series over dates; gaps where there is no value."""
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH, 2.8))
        axes = canvas.subplots()
        for (name, values), colour, mark in zip(series, (BLUE, ORANGE, GREEN), "osD", strict=False):
            numbers = np.array([np.nan if value is None else value for value in values])
            axes.plot(np.array(at), numbers, marker=mark, markersize=4, color=colour, label=shown(name))
        axes.set_ylabel(axis)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        _dates(axes, at)
        return _svg(canvas, axis)


def bars(names: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], axis: str, share: bool = False) -> str:
    """Draw up to three values beside each name, the first name on top."""
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH, 0.9 + (0.14 + 0.13 * len(series)) * len(names)))
        axes = canvas.subplots()
        thick = 0.8 / len(series)
        for n, ((name, values), colour) in enumerate(zip(series, (BLUE, ORANGE, GREEN), strict=False)):
            places = np.arange(len(names))[::-1] + 0.4 - thick * (n + 0.5)
            axes.barh(places, values, thick * 0.92, color=colour, label=shown(name))
        axes.set_yticks(np.arange(len(names))[::-1], [shown(name) for name in names])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xlim(left=0)
        axes.set_xlabel(axis)
        if share:
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        if len(series) > 1:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        return _svg(canvas, axis)


def outlines(panels: Sequence[tuple[str, Sequence[Outline]]]) -> str:
    """Draw the regions of items, a panel each; those with everybody behind them stand out from the others."""
    columns = min(3, len(panels))
    height = ceil(len(panels) / columns)
    with mpl.rc_context({**_STYLE, "axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}):
        canvas = Canvas(figsize=(_WIDTH, 0.3 + 2.5 * height))
        grid = canvas.subplots(height, columns, squeeze=False)
        for (title, regions), axes in zip(panels, grid.flat, strict=False):
            axes.set_title(title, fontsize=10, loc="left")
            axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
            for region in regions[:_MOST_OUTLINES]:
                whole = region.support >= 1
                colour = BLUE if whole else ORANGE
                axes.add_patch(Polygon(region.points, fill=False, edgecolor=colour, linestyle="-" if whole else "--"))
                if len(regions) <= _MOST_NAMED:
                    across, down = (min(point[axis] for point in region.points) for axis in (0, 1))
                    place = min(max(across, 0.0), 0.75) + 0.01, min(max(down, 0.0), 0.94) + 0.01
                    axes.text(*place, shown(region.label), fontsize=7, color=colour, va="top", clip_on=True)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        return _svg(canvas, "regions of the most doubtful items")


def _dates(axes: Axes, at: Sequence[Any], most: int = 8) -> None:
    """Write dates beneath an axis, also if there is but one; few days, up to `most`, are all written."""
    if len({*at}) < 2:
        axes.set_xticks([at[0]], [f"{at[0]:%Y-%m-%d}"])
        return
    days = sorted({moment for moment in at if not isinstance(moment, datetime)})
    locator = (
        FixedLocator([date2num(day) for day in days])
        if 0 < len(days) <= most
        else AutoDateLocator(maxticks=_TICKS[most <= 3])
    )
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _svg(canvas: Canvas, label: str) -> str:
    """Return the drawing without what belongs to a file of its own: prologue, size, ids that would be there twice."""
    out = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's font has it
        canvas.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'(<g) id="[^"]*"', r"\1", text)
    width, height = re.findall(r'\b(?:width|height)="([\d.]+)pt"', text[: text.index(">")])
    head = f'<svg role="img" aria-label="{label}" style="width:100%;max-width:{float(width) * 4 / 3:.0f}px"'
    return re.sub(r"<svg", head, re.sub(rf' (?:width="{width}pt"|height="{height}pt")', "", text, count=2), count=1)
