"""Bounds of the hot path, counted: what the items worker calls, keeps and says for a label. Counts, never times.

The bounds are data (`bench/bounds.json`) and an ordinary test holds them. Run as `python -m bench.bounds`, this prints
both. A count that falls for good is a reason to lower its bound; one that must rise is told in the commit that raises
it.
"""

import gc
import json
import sys
from pathlib import Path
from types import FrameType

from bench.generated import Shape, batches, fit
from bench.local import Local

BOUNDS = Path(__file__).with_name("bounds.json")

SHAPES = {
    "3 labels an item": Shape(items=200, labels=3, annotators=40, classes=3),
    "30 labels an item": Shape(items=20, labels=30, annotators=40, classes=3),
}


def bounds() -> dict[str, dict[str, float]]:
    """Return what may be counted for a label at most, by shape and name of the count."""
    found: dict[str, dict[str, float]] = json.loads(BOUNDS.read_text())
    return found


def counts(shape: Shape) -> dict[str, float]:
    """Return what is counted for a label of a shape.

    Returns:
        `python_calls` and `c_calls`: functions that are entered. `blocks_kept`: allocations that the state keeps.
        `records` and `bytes`: what is produced, the changelog included.
    """
    work, known = [*batches(shape, size=shape.items // 4)], fit(shape)
    Local(known).take(work[0])  # what is done once: compiled schemas, caches
    calls = {"call": 0, "c_call": 0}

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event in calls:
            calls[event] += 1

    worker = Local(known)
    before = sys.getprofile()
    gc.collect()
    kept = sys.getallocatedblocks()
    try:
        sys.setprofile(count)
        for batch in work:
            worker.take(batch)
    finally:
        sys.setprofile(before)
    gc.collect()
    kept = sys.getallocatedblocks() - kept
    found = {
        "python_calls": calls["call"],
        "c_calls": calls["c_call"],
        "blocks_kept": kept,
        "records": worker.sink.records.total(),
        "bytes": worker.sink.bytes.total(),
    }
    return {name: round(number / shape.events, 1) for name, number in found.items()}


def main() -> None:
    """Print counts and bounds."""
    for name, shape in SHAPES.items():
        allowed = bounds()[name]
        for what, number in counts(shape).items():
            print(f"{name:>18}  {what:>13} {number:9,.1f}  of at most {allowed[what]:9,.1f}")


if __name__ == "__main__":
    main()
