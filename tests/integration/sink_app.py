"""A sink that kills itself: python -m tests.integration.sink_app STEP N dies at the N-th time it reaches STEP.

A step that is none lets it live, with little patience for ClickHouse.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from confluent_kafka import TopicPartition

from streams.settings import Settings
from streams.sinks import runner, writer
from streams.sinks.runner import Sink
from streams.transport.topics import builds

STEPS = ("before-intent", "after-intent", "after-insert", "after-commit")


class DyingSink(Sink):
    """Dies as by `kill -9`.

    Args:
        step: Where.
        times: At which time.
    """

    def __init__(self, settings: Settings, step: str, times: int) -> None:
        super().__init__(settings, builds(settings))
        self._step, self._left = step, times
        insert = self._writer.insert

        def insert_and_die(table: str, names: Sequence[str], columns: Sequence[list[Any]], token: str) -> None:
            insert(table, names, columns, token)
            self._reach("after-insert")

        self._writer.insert = insert_and_die  # type: ignore[method-assign]

    def _reach(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)

    def _commit(self, offsets: list[TopicPartition]) -> None:
        intent = any(offset.metadata for offset in offsets)
        if intent:
            self._reach("before-intent")
        super()._commit(offsets)
        self._reach("after-intent" if intent else "after-commit")


if __name__ == "__main__":
    runner.SESSION_TIMEOUT_MS = 6000  # the broker allows no less; a successor waits for it
    writer.LIMIT_S = 2
    DyingSink(Settings.load(), sys.argv[1], int(sys.argv[2])).run()
