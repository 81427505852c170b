"""The ceiling: a confluent-kafka loop with its state in a dict; only outputs and offsets last."""

import time

from confluent_kafka import Consumer, Producer

from bench.runtimes import work
from bench.runtimes.task import Stopwatch, Task

_BATCH, _COMMIT_S = 2000, 0.5


def main(task: Task) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": task.kafka,
            "group.id": task.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": task.kafka,
            "enable.idempotence": True,
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 500_000,
        }
    )
    consumer.subscribe([task.source])
    states, watch, committed, is_last = dict[bytes, work.State](), Stopwatch(task.count), time.monotonic(), False
    while not is_last:
        messages = consumer.consume(_BATCH, 0.5)
        if not messages:
            continue
        is_last = watch.saw(len(messages))
        touched = dict[bytes, work.State]()
        for message in messages:
            key, raw = message.key(), message.value()
            assert isinstance(key, bytes)
            assert isinstance(raw, bytes)
            state = states.get(key)
            if state is None:
                state = states[key] = work.new_state()
            if work.apply(state, work.decode(raw)):
                touched[key] = state
        for key, state in touched.items():
            producer.produce(task.out, work.output(key.decode(), state), key)
        producer.poll(0)
        if is_last or time.monotonic() - committed > _COMMIT_S:
            producer.flush()
            consumer.commit(asynchronous=False)
            committed = time.monotonic()
    watch.end()


if __name__ == "__main__":
    main(Task.given())
