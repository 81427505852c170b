"""Real crowd labels: any shuffling, duplication and cutting of the log gives the same item states and answers."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from streams import codec
from streams.catalogue import ITEM_FACTS, TOPICS
from streams.keys import item_key, partition_of
from streams.processors.answer import answer
from streams.processors.items import Items
from streams.producers.facts import Fact
from streams.producers.import_file import import_file
from streams.projects import Projects
from streams.transport.batch import Batch, MemoryRows
from tests.unit.test_items import Fetched
from workers.dataset import Logged, build

PARTITIONS = 4
Log = list[tuple[str, Fetched]]
Tables = list[MemoryRows]
Settled = dict[tuple[str, bytes], bytes]


def log_of(folder: Path) -> Log:
    """Return the records of a data set as a log: labels and gold as truth for every seventh item."""
    facts: list[Fact] = []
    import_file(folder / "labels.jsonl", "labels", "p", facts.append)
    import_file(folder / "gold.jsonl", "gold", "p", facts.append, use="truth")
    kept = [fact for n, fact in enumerate(facts) if fact.topic == "labels" or n % 7 == 0]
    return [
        (
            fact.topic,
            Fetched(codec.encode(fact.topic, fact.event), item_key("p", fact.event["item_id"]), n, 1_000_000 + n),
        )
        for n, fact in enumerate(kept)
    ]


def fold(log: Log, size: int) -> tuple[Tables, Settled]:
    """Fold a log in batches of `size`; each batch holds one topic and partition, as the transport cuts them.

    Returns:
        State rows by partition, and the newest record of each key of the compacted topics.
    """
    items, tables = Items("x", PARTITIONS, Projects()), [MemoryRows() for _ in range(PARTITIONS)]
    settled: Settled = {}
    for start in range(0, len(log), size):
        part = log[start : start + size]
        for topic in ITEM_FACTS:
            for partition in range(PARTITIONS):
                records: Sequence[Fetched] = [
                    r for t, r in part if t == topic and partition_of(r.key or b"", PARTITIONS) == partition
                ]
                if records:
                    batch = Batch(f"x.{topic}", partition, records, records[0].offset, records[-1].offset + 1)
                    effects = items.handle(batch, tables[partition])
                    assert not effects.dead
                    tables[partition].update(effects.rows)
                    for out in effects.records:
                        if TOPICS[out.topic.removeprefix("x.")].compact:
                            settled[out.topic, out.key] = out.value
    return tables, settled


def states(tables: Tables) -> dict[bytes, object]:
    return {key: row["facts"] for table in tables for key, row in table.items()}


@pytest.mark.parametrize("name", ["bluebird", "zencrowd_us", "labelme"])
def test_order_copies_and_batches_do_not_matter(name: str, data_dir: Callable[[str], Path]) -> None:
    log = log_of(data_dir(name))
    expected, _ = fold(log, len(log))
    for seed, size in ((1, 500), (2, 2000), (3, len(log))):
        mixed = [*log, *random.Random(seed).sample(log, len(log) // 3)]
        random.Random(seed).shuffle(mixed)
        found, _ = fold(mixed, size)
        assert states(found) == states(expected)
        view = Projects().at("p", 10**12)
        for table, other in zip(found, expected, strict=True):
            for key, row in table.items():
                one, two = answer(row, view), answer(other[key], view)  # type: ignore[arg-type]
                assert (one.votes, one.majority, one.posterior) == (two.votes, two.majority, two.posterior)


@pytest.mark.parametrize("name", ["bluebird", "labelme"])
def test_incremental_equals_batch(name: str, data_dir: Callable[[str], Path]) -> None:
    """Also in what the topics settle on: it depends on the facts, not on where the batches were cut."""
    log = log_of(data_dir(name))
    tables, settled = fold(log, 1)
    for size in (700, len(log)):
        others, other = fold(log, size)
        assert states(others) == states(tables)
        assert other == settled


def test_what_is_trained_on_does_not_depend_on_the_order_of_the_log(data_dir: Callable[[str], Path]) -> None:
    log = [
        Logged(topic, partition_of(one.key or b"", PARTITIONS), one.offset, one.timestamp, event, len(one.value or b""))
        for topic, one in log_of(data_dir("labelme"))
        for event in [codec.decode(one.value)[1]]
    ]
    expected = build("p", log, Projects(), PARTITIONS)
    assert expected.source_counts["truth"] > 300
    assert expected.source_counts["consensus"] > 300
    mixed = [*log, *random.Random(1).sample(log, 500)]
    random.Random(2).shuffle(mixed)
    found = build("p", mixed, Projects(), PARTITIONS)
    assert found.content_hash == expected.content_hash
    assert found == expected
