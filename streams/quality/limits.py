"""How much structure a label may hold, and how much of it is compared: no fact may keep a worker busy for minutes."""

from collections.abc import Mapping
from typing import Any

MAX_REGIONS = 1000
"""Most regions or tracks of one label."""

MAX_FRAMES = 1_000_000
"""Most frames that the tracks of one annotator may span together; over nine hours of one track."""

MAX_WORK = 2_000_000
"""Most comparisons of two regions, or as much work, for an item's consensus: some seconds on a busy machine.

It is enough for 200 boxes by each of 10 annotators, or 1,000 by each of 2.
"""

COMPARED = frozenset({"text", "spans", "boxes", "polygons", "tracks"})
"""Kinds of values that are compared part by part."""

_OF_A_PAIR = 300  # comparisons that take as long as to begin with two annotators
_FRAMES = 25  # frames of two tracks
_CHARACTERS = 64_000  # pairs of characters of two texts, of which a machine word holds 64


def spanned(track: Mapping[str, Any]) -> int:
    """Return the number of frames that a track spans."""
    return int(track["frames"][-1]["frame"]) - int(track["frames"][0]["frame"]) + 1


def work(kind: str, contents: list[Any]) -> float:
    """Return how much work it is to compare the values of each two annotators, in comparisons of two regions.

    Args:
        kind: Text, or the kind of the regions.
        contents: Text or regions of each annotator.
    """
    sizes = [len(content) for content in contents]
    pairs = len(sizes) * (len(sizes) - 1) / 2
    products = (sum(sizes) ** 2 - sum(size**2 for size in sizes)) / 2
    if kind == "text":
        return _OF_A_PAIR * pairs + products / _CHARACTERS
    found = _OF_A_PAIR * pairs + products
    if kind == "tracks":
        frames = [sum(map(spanned, content)) for content in contents]
        # each track of one with each of the other, at most: frames of one times tracks of the other
        both = sum(frames) * sum(sizes) - sum(n * size for n, size in zip(frames, sizes, strict=True))
        found += both / 2 / _FRAMES
    return found
