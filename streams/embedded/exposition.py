"""The metrics page: the workers' values added up, and the supervisor's own."""

import threading
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from streams import metrics
from streams.embedded.ports import LOCALHOST
from streams.errors import LabelloopError
from streams.query.dlq import LetterReader
from streams.query.lag import LagReader
from streams.settings import Settings


class _Lag(Collector):
    """Asks for the lag when somebody reads the page, so that it is never old and costs nothing unread."""

    def __init__(self, settings: Settings) -> None:
        self._reader = LagReader(settings)

    def describe(self) -> Iterable[Metric]:
        return metrics.LAG.describe()

    def collect(self) -> Iterable[Metric]:
        metrics.LAG.clear()
        try:
            for entry in self._reader.lag():
                metrics.LAG.labels(entry.group, entry.topic).set(entry.records)
        except LabelloopError:
            pass  # no number is better than an old one while the broker is away; PROCESS_UP tells that it is
        return metrics.LAG.collect()


class _OpenLetters(Collector):
    """Counts the open dead letters when somebody reads the page; each time only what came since is read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: LetterReader | None = None
        self._reading = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        return metrics.OPEN_LETTERS.describe()

    def collect(self) -> Iterable[Metric]:
        with self._reading:
            metrics.OPEN_LETTERS.clear()
            try:
                self._reader = self._reader or LetterReader(self._settings)
                for (consumer, reason), letters in self._reader.read().open_by().items():
                    metrics.OPEN_LETTERS.labels(consumer, reason).set(letters)
            except LabelloopError:
                if self._reader is not None:
                    self._reader.close()
                self._reader = None  # it may have lost its way
            return [*metrics.OPEN_LETTERS.collect()]


def serve(port: int, directory: Path, settings: Settings) -> None:
    """Serve the metrics page on a port of this machine, in a thread that ends with the process.

    Args:
        port: The port.
        directory: Where the workers leave their values, their `PROMETHEUS_MULTIPROC_DIR`.
        settings: Where the servers are.
    """
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]
    for collector in (metrics.PROCESS_UP, metrics.RESTARTS, _Lag(settings), _OpenLetters(settings)):
        registry.register(collector)
    start_http_server(port, LOCALHOST, registry)
