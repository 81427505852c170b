"""The capacity model: pure arithmetic from what is asked for and what was measured to what is needed.

Everything is taken to grow in straight lines with labels and items. Whatever is not measured is an assumption, and the
plan names each one.
"""

import math
from dataclasses import dataclass

from streams.capacity.measured import Measured

UTILISATION = 0.5
"""Part of a core that a process may use in the busiest hours: the rest is there to catch up with."""

COMPACTION_SLACK = 2.0
"""Disk of a compacted topic as a multiple of its newest records: Kafka's cleaner begins at one half of stale ones."""

PROCESS_MB = 8192.0
"""Most memory of a process: beyond it the state of items goes to disk, and projects to further quality workers."""

ROCKSDB_MB = 512.0
"""Memory of RocksDB's buffers and caches that an items worker is given, whatever the size of its state."""

LEAST_PARTITIONS = 4

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Need:
    """What is asked for.

    Args:
        labels_per_day: Labels a day.
        overlap: Labels an item gets.
        retention_days: For how many days labels are kept.
        peak: Labels a second in the busiest hours as a multiple of the day's mean.
        replication: Copies of each record in Kafka.
    """

    labels_per_day: float
    overlap: float
    retention_days: float
    peak: float = 5.0
    replication: int = 1

    @property
    def labels(self) -> float:
        """Labels that are there in the end."""
        return self.labels_per_day * self.retention_days

    @property
    def items(self) -> float:
        """Items that are there in the end."""
        return self.labels / self.overlap

    @property
    def peak_per_second(self) -> float:
        """Labels a second in the busiest hours."""
        return self.labels_per_day * self.peak / DAY_S


@dataclass(frozen=True, slots=True)
class Plan:
    """What is needed.

    Args:
        labels: Labels in the end.
        items: Items in the end.
        peak_per_second: Labels a second in the busiest hours.
        partitions: Partitions of each item-keyed topic; fixed when they are created.
        processes: Number of each kind of worker.
        store: `memory` or `rocksdb`.
        cores: Cores that are busy in the busiest hours, by process; servers included.
        memory_mb: Memory of all processes of a kind together.
        state_disk_bytes: State on the items workers' disks, all together.
        kafka_bytes: Disk of the brokers, all copies.
        clickhouse_rows: Rows of all tables.
        clickhouse_bytes: Disk of ClickHouse.
        recovery_seconds: Time for which an items worker reads its state back, from the changelog alone.
        assumptions: What the plan takes for granted.
    """

    labels: float
    items: float
    peak_per_second: float
    partitions: int
    processes: dict[str, int]
    store: str
    cores: dict[str, float]
    memory_mb: dict[str, float]
    state_disk_bytes: float
    kafka_bytes: dict[str, float]
    clickhouse_rows: float
    clickhouse_bytes: float
    recovery_seconds: float
    assumptions: list[str]


def plan(need: Need, measured: Measured) -> Plan:
    """Return what is needed.

    Args:
        need: What is asked for.
        measured: The constants.

    Raises:
        ValueError: a number that is asked for is not above 0.
    """
    if min(need.labels_per_day, need.overlap, need.retention_days, need.peak, need.replication) <= 0:
        raise ValueError("all numbers of a plan must be above 0")
    labels, items, singles = need.labels, need.items, measured.singles

    def total(name: str) -> float:
        return measured.lines[name].growth(labels, items)

    cores = {
        name: measured.lines[f"{name}_cpu_us"].growth(need.peak_per_second, need.peak_per_second / need.overlap) / 1e6
        for name in ("items", "quality", "sink", "kafka", "clickhouse")
    }
    state_mb = total("items_memory_bytes") / 2**20
    quality_mb = total("quality_memory_bytes") / 2**20
    processes = {name: max(1, math.ceil(cores[name] / UTILISATION)) for name in ("items", "quality", "sink")}
    processes["quality"] = max(processes["quality"], math.ceil(quality_mb / (PROCESS_MB - singles["quality_base_mb"])))
    room = PROCESS_MB - singles["items_base_mb"]
    store = "memory" if state_mb <= room * processes["items"] else "rocksdb"
    if store == "rocksdb":
        cores["items"] *= singles["rocksdb_cpu_ratio"]
        processes["items"] = max(1, math.ceil(cores["items"] / UTILISATION))
        items_mb = processes["items"] * (singles["items_base_mb"] + ROCKSDB_MB)
    else:
        items_mb = processes["items"] * singles["items_base_mb"] + state_mb
    settled = total("kafka_settled_bytes") * COMPACTION_SLACK
    kafka = {
        "facts": total("kafka_facts_bytes") * need.replication,
        "compacted topics and state": settled * need.replication,
        "queue": total("kafka_queue_bytes") * need.replication,
    }
    return Plan(
        labels,
        items,
        need.peak_per_second,
        max(LEAST_PARTITIONS, 2 ** math.ceil(math.log2(2 * max(processes.values())))),
        processes,
        store,
        cores,
        {
            "items": items_mb,
            "quality": processes["quality"] * singles["quality_base_mb"] + quality_mb,
            "sink": processes["sink"] * singles["sink_mb"],
        },
        total("items_state_bytes") if store == "rocksdb" else 0.0,
        kafka,
        total("clickhouse_rows"),
        total("clickhouse_bytes"),
        items / processes["items"] * singles["recovery_us"] / 1e6,
        assumptions(need, measured, store),
    )


def assumptions(need: Need, measured: Measured, store: str) -> list[str]:
    """Return in words what a plan takes for granted."""
    found = [
        f"an item has one description, one prediction and {need.overlap:g} labels; reviews, flags and comments are few",
        "items and values are as long as those that were measured (texts of 20 words, labels of one class)",
        f"everything grows in straight lines; the largest run was {measured.labels:,} labels, this is "
        f"{need.labels / measured.labels:,.0f} times as many",
        f"the busiest hours bring {need.peak:g} times the day's mean (--peak)",
        f"a process uses {UTILISATION:.0%} of a core in the busiest hours, the rest is there to catch up with",
        f"CPU is that of {measured.machine}, read in large batches: a trickle costs more for each label",
        f"compacted topics hold {COMPACTION_SLACK:g} times their newest records, as Kafka's cleaner leaves them",
        "facts and tables are kept for the whole time; nothing of the log expires by itself",
        "twice as many partitions as processes, a power of two (`labelloop rebuild --partitions` changes it)",
        "the quality workers keep every label of a project in memory, and a project has one of them: there are at "
        "least as many projects as quality workers",
        f"no process is to have more than {PROCESS_MB:,.0f} MB: the quality workers are as many as that takes",
        "ClickHouse has merged its parts, and has one replica; a query's memory and the merges' own disk come on top",
        "keys and projects are spread evenly over the partitions",
    ]
    if store == "rocksdb":
        found += [
            f"state in memory would pass {PROCESS_MB:,.0f} MB a process, so it goes to disk, not compressed; RocksDB "
            f"is given {ROCKSDB_MB:,.0f} MB of each process"
        ]
    return found
