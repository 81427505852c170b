"""Watches how long each part of the stack stands still while there is something to do."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable

from streams.errors import LabelloopError
from streams.query.lag import LagReader, by_group
from streams.settings import Settings

_PAUSE_S = 0.5


class Watch:
    """Asks the servers again and again, in a thread of its own.

    Args:
        settings: Where the servers are, directly.
        clickhouse_answers: Whether ClickHouse does.
    """

    def __init__(self, settings: Settings, clickhouse_answers: Callable[[], bool]) -> None:
        self._settings, self._answers = settings, clickhouse_answers
        self._worked: dict[str, float] = {}
        self._lag: dict[str, int] = {}
        self.longest: defaultdict[str, float] = defaultdict(float)
        """Longest standstill of each part, seconds."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._stop.set()
        self._thread.join(15)

    def _run(self) -> None:
        with LagReader(self._settings) as reader:
            while not self._stop.wait(_PAUSE_S):
                if self._answers():
                    self._works("clickhouse")
                try:
                    entries = reader.lag()
                except LabelloopError:
                    continue
                self._works("kafka")
                for group, records in by_group(entries).items():
                    if not records or records < self._lag.get(group, 0):
                        self._works(group)
                    self._lag[group] = records

    def _works(self, part: str) -> None:
        now = time.monotonic()
        self.longest[part] = max(self.longest[part], now - self._worked.get(part, now))
        self._worked[part] = now
