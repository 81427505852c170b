"""Draws reliability diagrams. Runs in the libraries' environment, with nothing of labelloop.

Run as `python diagram.py FILE`: reads bins (items, mean probability, share wrong) by data set and answer shown as JSON
from standard input, and writes one SVG.
"""

import json
import sys
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

Bins = Sequence[tuple[int, float, float]]

_Z = 1.96  # 95 % of a normal distribution


def draw(sets: Mapping[str, Mapping[str, Bins]], file: str) -> None:
    """Write a diagram for each data set, side by side: on the diagonal a probability is what it says."""
    mpl.rcParams["svg.hashsalt"] = "labelloop"  # the same file each time
    figure = Figure(figsize=(4 * len(sets), 4.6), layout="constrained")
    for axes, (name, curves) in zip(figure.subplots(1, len(sets), squeeze=False)[0], sets.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=0)
        for shown, bins in curves.items():
            items, mean, wrong = zip(*bins, strict=True)
            spread = [_Z * (share * (1 - share) / n) ** 0.5 for n, _, share in bins]
            (line,) = axes.plot(mean, wrong, linewidth=1, label=shown)
            axes.errorbar(mean, wrong, spread, fmt="none", color=line.get_color(), alpha=0.4)
            axes.scatter(mean, wrong, [8 + 150 * n / sum(items) for n in items], color=line.get_color())
        axes.set(title=name, xlabel="p_wrong, mean of the bin", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.legend(loc="upper left", frameon=False)
    figure.get_axes()[0].set_ylabel("share of wrong answers (area: items; bars: 95 %)")
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
