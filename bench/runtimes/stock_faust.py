"""Stock Faust as its documentation writes it: `async for`, a table write and a record for each event."""

from typing import Any

import faust
import mode.loop
from faust.worker import Worker

from bench.runtimes import work
from bench.runtimes.task import Stopwatch, Task


def create_app(name: str, kafka: str, partitions: int, home: str, store: str) -> faust.App:
    """Return an app that keeps its table in `home`, with what makes it fast and lets it wait for nothing."""
    mode.loop.use("uvloop")
    return faust.App(
        name,
        broker=f"kafka://{kafka}",
        store=f"{store}://",
        datadir=home,
        topic_partitions=partitions,
        topic_replication_factor=1,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        stream_wait_empty=False,
        producer_linger=0.05,
        producer_compression_type="lz4",
        worker_redirect_stdouts=False,
    )


def main(task: Task) -> None:
    app = create_app(task.group, task.kafka, task.partitions, task.home, task.store)
    raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "value_serializer": "raw"}
    source = app.topic(task.source, partitions=task.partitions, **raw)
    out = app.topic(task.out, partitions=task.partitions, **raw)
    table: Any = app.Table("items", partitions=task.partitions, key_type=bytes, default=work.new_state)
    watch = Stopwatch(task.count)

    async def fold(stream: Any) -> None:
        async for key, value in stream.items():
            is_last = watch.saw(1)
            state = table[key]
            if work.apply(state, work.decode(value)):
                table[key] = state
                await out.send(key=key, value=work.output(key.decode(), state))
            if is_last:
                await app.producer.flush()
                await app.consumer.commit()
                watch.end()

    app.agent(source, name="fold")(fold)
    Worker(app, loglevel="ERROR", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main(Task.given())
