"""The ceiling: a plain confluent_kafka loop with the same fold and outputs, its state in a dict, nothing durable.

Run as `python -m bench.plain COUNT OUT_PREFIX`; prints the events a second.
"""

import sys
import time

from confluent_kafka import Consumer, Producer

from bench.peer import Record, items_of
from streams.settings import Settings
from streams.transport.batch import Batch, MemoryRows


def main(count: int, out_prefix: str) -> None:
    settings = Settings.load()
    handler = items_of(settings, out_prefix)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": f"{out_prefix}.plain",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka,
            "enable.idempotence": True,
            "linger.ms": 20,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 500_000,
        }
    )
    consumer.subscribe([settings.topic("labels")])
    rows = MemoryRows()
    done, started, committed = 0, 0.0, time.monotonic()
    while done < count:
        messages = [m for m in consumer.consume(2000, 0.5) if m.error() is None]
        if not messages:
            continue
        started = started or time.perf_counter()
        by_partition: dict[int, list[Record]] = {}
        for message in messages:
            by_partition.setdefault(int(message.partition() or 0), []).append(Record.of(message))
        for partition, records in by_partition.items():
            batch = Batch(f"{out_prefix}.labels", partition, records, records[0].offset, records[-1].offset + 1)
            effects = handler.handle(batch, rows)
            rows.update(effects.rows)
            for out in effects.records:
                producer.produce(out.topic, out.value, out.key, out.partition)
        producer.poll(0)
        done += len(messages)
        if time.monotonic() - committed > 0.5:
            producer.flush()
            consumer.commit(asynchronous=False)
            committed = time.monotonic()
    producer.flush()
    print(f"events_per_second {count / (time.perf_counter() - started):.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
