"""A worker with a bug: `python -m tests.integration.broken NAME` fails at each record that speaks of `break-NAME`."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from streams.events import Event
from streams.processors import item_state, items_app, quality, quality_app, taking
from streams.processors.item_state import ItemState
from streams.settings import Settings
from streams.sinks import rows, run
from streams.sinks.rows import Raw
from streams.transport.batch import Batch, Effects, Rows
from streams.transport.worker import run as run_app
from workers import retrain, triggers


class Bug(Exception):
    """What nobody has thought of."""


def break_items() -> None:
    """Fail at the labels of one annotator."""
    fold = item_state.fold

    def broken(state: ItemState, topic: str, event: Event, log_time: int, size: int) -> bool:
        if event["actor"]["id"] == "break-items":
            raise Bug
        return fold(state, topic, event, log_time, size)

    taking.fold = broken  # type: ignore[attr-defined]
    run_app(Settings.load(), "items", items_app.create, 0)


def break_quality() -> None:
    """Fail at the skill of one annotator."""
    handle = quality.Quality.handle

    def broken(self: quality.Quality, batch: Batch, rows: Rows) -> Effects:
        if any(b"skill" in (one.key or b"") and b"break-quality" in (one.key or b"") for one in batch.records):
            raise Bug
        return handle(self, batch, rows)

    quality.Quality.handle = broken  # type: ignore[method-assign]
    run_app(Settings.load(), "quality", quality_app.create, 0)


def break_sink() -> None:
    """Fail at the labels and the disagreement of one item."""
    build = rows._build

    def broken(topic: str, full_name: str, partition: int, build_number: int, records: Sequence[Raw]) -> rows.Rows:
        if topic in ("labels", "disagreement") and any(b"break-sink" in (one.key or b"") for one in records):
            raise Bug
        return build(topic, full_name, partition, build_number, records)

    rows._build = broken
    run.main(Settings.load())


def break_retrain() -> None:
    """Fail at the resolved label of one item."""
    apply = triggers.Corrections.apply

    def broken(self: triggers.Corrections, record: Mapping[str, Any], now: float) -> None:
        if record["item_id"] == "break-retrain":
            raise Bug
        apply(self, record, now)

    triggers.Corrections.apply = broken  # type: ignore[method-assign]
    retrain.main(Settings.load(), 0)


if __name__ == "__main__":
    {"items": break_items, "quality": break_quality, "sink": break_sink, "retrain": break_retrain}[sys.argv[1]]()
