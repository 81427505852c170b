"""Regions for tests: short to write down, and at random with many ties."""

from typing import Any

from hypothesis import strategies as st

Region = dict[str, Any]
Value = dict[str, Any]


def span(start: int, end: int, label: str = "a") -> Region:
    return {"label": label, "start": start, "end": end, "id": None}


def box(x: float, y: float, width: float, height: float, label: str = "a", rotation: float = 0.0) -> Region:
    return {"label": label, "x": x, "y": y, "width": width, "height": height, "rotation": rotation, "id": None}


def polygon(*points: tuple[float, float], label: str = "a") -> Region:
    return {"label": label, "points": [{"x": x, "y": y} for x, y in points], "id": None}


def track(*keys: tuple[int, float, bool], label: str = "a") -> Region:
    """Return a track of a box 0.1 by 0.1 at the top, of keyframes (frame, left edge, whether it is visible)."""
    frames = [{"frame": n, "x": x, "y": 0.0, "width": 0.1, "height": 0.1, "visible": seen} for n, x, seen in keys]
    return {"label": label, "id": None, "frames": frames}


labels = st.sampled_from(["a", "b"])
_grid = st.integers(0, 6).map(lambda n: n / 10)
_sizes = st.integers(1, 4).map(lambda n: n / 10)
_anywhere = st.floats(-1, 2)
_coordinates = _grid | _anywhere
spans = st.builds(
    lambda start, length, label: span(start, start + length, label), st.integers(0, 9), st.integers(1, 5), labels
)
boxes = st.builds(box, _grid, _grid, _sizes, _sizes, labels, st.sampled_from([0.0, 0.0, 0.0, 30.0]))
polygons = st.builds(
    lambda points, label: polygon(*points, label=label),
    st.lists(st.tuples(_coordinates, _coordinates), min_size=3, max_size=6),
    labels,
)
tracks = st.builds(
    lambda keys, label: track(*[(n, *keys[n]) for n in sorted(keys)], label=label),
    st.dictionaries(st.integers(0, 8), st.tuples(_grid, st.booleans()), min_size=1, max_size=3),
    labels,
)
REGIONS = {"spans": spans, "boxes": boxes, "polygons": polygons, "tracks": tracks}
_contents: dict[str, st.SearchStrategy[Any]] = {
    "choice": labels,
    "choices": st.lists(st.sampled_from("abcd"), unique=True),
    "number": st.integers(-3, 3).map(float) | st.floats(allow_nan=False, allow_infinity=False),
    "text": st.text("ab é", max_size=8),
    **{kind: st.lists(regions, max_size=4) for kind, regions in REGIONS.items()},
}
KINDS = tuple(_contents)


def values(kind: str) -> st.SearchStrategy[Value]:
    """Return values of a kind."""
    return _contents[kind].map(lambda content: {"kind": kind, kind: content})
