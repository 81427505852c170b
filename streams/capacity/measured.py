"""The measured constants of the capacity model: data in `measured.json`, each with the command that measures it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).with_name("measured.json")

LINES = {
    "kafka_facts_bytes": "bytes on the broker's disk: facts, never compacted",
    "kafka_settled_bytes": "bytes on the broker's disk: newest records of compacted topics, workers' state included",
    "kafka_queue_bytes": "bytes on the broker's disk: derived topics that are not compacted (review.p0 to p3)",
    "clickhouse_rows": "rows of all tables, merged",
    "clickhouse_bytes": "bytes on ClickHouse's disk, merged",
    "items_cpu_us": "CPU us of the items workers",
    "quality_cpu_us": "CPU us of the quality workers and their fitters",
    "sink_cpu_us": "CPU us of the sinks",
    "kafka_cpu_us": "CPU us of the broker",
    "clickhouse_cpu_us": "CPU us of ClickHouse",
    "items_state_bytes": "bytes of the items workers' rows, as the store on disk has them",
    "items_memory_bytes": "resident bytes of the items workers beyond their start, store in memory",
    "quality_memory_bytes": "resident bytes of the quality workers and their fitters beyond their start",
}
"""What grows with labels and items, with its unit."""

SINGLES = {
    "items_base_mb": "resident MB of an items worker at its start",
    "quality_base_mb": "resident MB of a quality worker and its fitter at their start",
    "sink_mb": "largest resident MB of a sink",
    "rocksdb_cpu_ratio": "CPU of an event with the store on disk, as a multiple of that in memory",
    "recovery_us": "us for which one process reads an item's state back from the changelog",
}
"""What does not grow."""


@dataclass(frozen=True, slots=True)
class Line:
    """A quantity that grows with the number of labels and with that of items.

    Args:
        per_label: Its growth with a label.
        per_item: Its growth with an item: its description, one prediction, and its state and outcome.
        fixed: What it takes whatever the number: of large ones no part.
    """

    per_label: float
    per_item: float
    fixed: float = 0.0

    def growth(self, labels: float, items: float) -> float:
        """Return by how much so many labels of so many items make it grow."""
        return self.per_label * labels + self.per_item * items


@dataclass(frozen=True, slots=True)
class Measured:
    """All constants.

    Args:
        lines: What grows, by its name in `LINES`.
        singles: What does not, by its name in `SINGLES`.
        commands: The command that measures a constant, by the name.
        labels: Labels of the largest run that the lines were checked against.
        machine: What they were measured on.
    """

    lines: Mapping[str, Line]
    singles: Mapping[str, float]
    commands: Mapping[str, str]
    labels: int
    machine: str

    @classmethod
    def load(cls, file: Path = FILE) -> "Measured":
        """Read the constants that this version of labelloop was measured to have."""
        raw = json.loads(file.read_text())
        return cls(
            {name: Line(**raw["lines"][name]) for name in LINES},
            {name: raw["singles"][name] for name in SINGLES},
            raw["commands"],
            raw["labels"],
            raw["machine"],
        )

    def save(self, file: Path = FILE) -> None:
        """Write the constants where `load` finds them."""
        file.write_text(json.dumps(asdict(self), indent=2) + "\n")
