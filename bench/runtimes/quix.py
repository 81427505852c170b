"""Quix Streams as its documentation writes it: a stateful apply with a changelog, at-least-once, a record an event."""

from typing import Any

from quixstreams import Application

from bench.runtimes import work
from bench.runtimes.task import Stopwatch, Task


def main(task: Task) -> None:
    app = Application(
        broker_address=task.kafka,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        state_dir=task.home,
        loglevel="WARNING",
        commit_interval=1.0,
        use_changelog_topics=True,
        producer_extra_config={"linger.ms": 20, "compression.type": "lz4"},
    )
    source = app.topic(task.source, value_deserializer="bytes", key_deserializer="bytes")
    out = app.topic(task.out, value_serializer="bytes", key_serializer="bytes")
    watch = Stopwatch(task.count)

    def fold(raw: bytes, state: Any) -> bytes | None:
        if watch.saw(1):
            app.stop()
        event = work.decode(raw)
        item = state.get("item") or work.new_state()
        if not work.apply(item, event):
            return None
        state.set("item", item)
        return work.output(event["item_id"], item)

    frame = app.dataframe(source).apply(fold, stateful=True)
    frame.filter(lambda said: said is not None).to_topic(out)
    app.run()
    watch.end()


if __name__ == "__main__":
    main(Task.given())
