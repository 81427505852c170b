"""Stock Faust as its documentation writes it: `async for`, a table write an event, and all the same outputs.

Run as `python -m bench.stock COUNT OUT_PREFIX`; prints the events a second.
"""

import os
import sys
import tempfile
import time
from typing import Any, cast

from faust.worker import Worker

from bench.peer import Record, items_of
from bench.runtimes.stock_faust import create_app
from streams.settings import Settings
from streams.transport.batch import Batch, Rows


def main(count: int, out_prefix: str) -> None:
    settings = Settings.load()
    handler = items_of(settings, out_prefix)
    app = create_app(f"{out_prefix}.stock", settings.kafka, settings.partitions, tempfile.mkdtemp(), "memory")
    raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "value_serializer": "raw"}
    source = app.topic(settings.topic("labels"), partitions=settings.partitions, **raw)
    table = app.Table("state", partitions=settings.partitions, key_type=bytes)
    topics: dict[str, Any] = {}
    progress = {"done": 0, "started": 0.0}

    async def fold(stream: Any) -> None:
        async for event in stream.events():
            progress["started"] = progress["started"] or time.perf_counter()
            message = event.message
            record = Record(message.key, message.value, message.offset, int(message.timestamp * 1000))
            batch = Batch(f"{out_prefix}.labels", message.partition, [record], message.offset, message.offset + 1)
            effects = handler.handle(batch, cast(Rows, table))  # it is asked for single rows only
            for key, row in effects.rows.items():
                table[key] = row
            for out in effects.records:
                topic = topics.get(out.topic) or topics.setdefault(out.topic, app.topic(out.topic, **raw))
                partition = None if out.partition < 0 else out.partition
                await topic.send(key=out.key, value=out.value, partition=partition)
            progress["done"] += 1
            if progress["done"] == count:
                await app.producer.flush()
                rate = count / (time.perf_counter() - progress["started"])
                print(f"events_per_second {rate:.1f}", flush=True)
                os._exit(0)

    app.agent(source, name="fold")(fold)
    Worker(app, loglevel="ERROR", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
