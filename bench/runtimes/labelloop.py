"""labelloop's transport: batches, one transaction for state, outputs and offsets."""

import threading
import time
from pathlib import Path

import confluent_kafka
import faust
from confluent_kafka import TopicPartition

from bench.runtimes import work
from bench.runtimes.task import Stopwatch, Task
from streams.settings import ClickHouseAddress, Settings
from streams.transport.app import create_app
from streams.transport.batch import Batch, Effects, Outgoing, Rows
from streams.transport.worker import run

NAME, SOURCE = "items", "labels"
"""The processor and its source in the catalogue: their topics are those that the work is done on."""

_NOWHERE = ClickHouseAddress("", 0, "", "")
_LOOK_S = 0.005


def main(task: Task) -> None:
    prefix = task.group
    settings = Settings(Path(task.home), task.kafka, _NOWHERE, _NOWHERE, prefix, task.partitions, store=task.store)
    watch, is_last = Stopwatch(task.count), threading.Event()

    def handle(batch: Batch, rows: Rows) -> Effects:
        if watch.saw(len(batch)):
            is_last.set()
        touched = dict[bytes, work.State]()
        for record in batch.records:
            key, raw = record.key or b"", record.value or b""
            state = touched.get(key)
            if state is None:
                state = rows.get(key) or work.new_state()
            if work.apply(state, work.decode(raw)):
                touched[key] = state
        said = [
            Outgoing(task.out, key, work.output(key.decode(), state), batch.partition) for key, state in touched.items()
        ]
        return Effects(touched, said)

    def create(settings: Settings, slot: int) -> faust.App:
        return create_app(settings, NAME, (SOURCE,), handle, slot=slot)

    threading.Thread(target=_end, args=(settings, watch, is_last), daemon=True).start()
    run(settings, NAME, create, 0)


def _end(settings: Settings, watch: Stopwatch, is_last: threading.Event) -> None:
    """Wait until all is committed."""
    is_last.wait()
    group = {"group.id": settings.topic(NAME), "bootstrap.servers": settings.kafka, "enable.auto.commit": False}
    looker = confluent_kafka.Consumer(group)
    places = [TopicPartition(settings.topic(SOURCE), n) for n in range(settings.partitions)]
    while sum(max(0, place.offset) for place in looker.committed(places, 10)) < watch.count:
        time.sleep(_LOOK_S)
    watch.end()


if __name__ == "__main__":
    main(Task.given())
