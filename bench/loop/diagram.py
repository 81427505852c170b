"""Draws what loops reach. Runs in the libraries' environment, with nothing of labelloop.

Run as `python diagram.py FILE`: reads panels as JSON from standard input, and writes one SVG.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_COLUMNS = 2


def draw(panels: Sequence[Mapping[str, Any]], file: str) -> None:
    """Write one panel for each data set and measure: the share reviewed, and what is reached by then."""
    mpl.rcParams["svg.hashsalt"] = "labelloop"  # the same file each time
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(6 * _COLUMNS, 4 * rows), layout="constrained")
    places = figure.subplots(rows, _COLUMNS, squeeze=False).flat
    for panel, axes in zip(panels, places, strict=False):  # in this order none is taken too many
        for name, (shares, figures) in panel["curves"].items():
            dashed = "--" if name.startswith("cleanlab") else "-"
            axes.plot([100 * share for share in shares], figures, dashed, marker=".", label=name)
        if panel["ceiling"] is not None:
            axes.axhline(panel["ceiling"], color="0.6", linewidth=1, label="all answers right")
        axes.set(title=panel["title"], xlabel="reviewed, % of the items", ylabel=panel["y"])
        axes.legend(loc="lower right", frameon=False, fontsize="small")
    for axes in places:
        axes.set_visible(False)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
