"""Bytewax as its documentation writes it: a keyed stateful step, recovery on (SQLite, an epoch a second)."""

import datetime
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

from bench.runtimes import work
from bench.runtimes.task import Stopwatch, Task


def main(task: Task) -> None:
    watch, brokers = Stopwatch(task.count), [task.kafka]
    flow = Dataflow("items")
    stream = op.input("in", flow, KafkaSource(brokers, [task.source], tail=False, batch_size=1000))

    def key_of(message: Any) -> str:
        watch.saw(1)
        key: str = message.key.decode()
        return key

    def fold(state: work.State | None, message: Any) -> tuple[work.State, list[bytes]]:
        event = work.decode(message.value)
        state = work.new_state() if state is None else state
        return state, [work.output(event["item_id"], state)] if work.apply(state, event) else []

    keyed = op.key_on("key", stream, key_of)
    said = op.stateful_flat_map("items", keyed, fold)
    messages = op.map("message", said, lambda pair: KafkaSinkMessage(pair[0].encode(), pair[1]))
    faster = {
        "linger.ms": "20",
        "compression.type": "lz4",
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": "500000",
    }
    op.output("out", messages, KafkaSink(brokers, task.out, add_config=faster))
    home = Path(task.home) / "recovery"
    home.mkdir(parents=True)
    init_db_dir(home, 1)
    run_main(flow, epoch_interval=datetime.timedelta(seconds=1), recovery_config=RecoveryConfig(home))
    watch.end()


if __name__ == "__main__":
    main(Task.given())
