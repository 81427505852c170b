"""Watches where labels become visible: the topic `review.state`, and the tables of ClickHouse."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, Message, TopicPartition

from bench.latency.events import Arrivals, item_number
from streams import codec
from streams.clickhouse import connect
from streams.clients import reading
from streams.errors import LabelloopError
from streams.settings import Settings

LOOK_S = 0.1
"""Pause between two looks into a table: so much later than it appeared a row may be seen. Looks take cores too."""

_WAIT_S = 0.1


@dataclass(slots=True)
class Seen:
    """What a run has seen; times by the machine's monotonic clock but for those of the log, which are ms since 1970.

    Args:
        state: When `review.state` showed each event.
        fact_row: When the table `labels` did.
        state_row: When the table `review_state` did.
        produced: When the items worker wrote what showed the event, ms.
        logged: When the log got the event, ms.
    """

    state: Arrivals
    fact_row: Arrivals
    state_row: Arrivals
    produced: dict[int, int] = field(default_factory=dict)
    logged: dict[int, int] = field(default_factory=dict)


class Watch:
    """Looks on in threads until all has been seen, or the time is up.

    Args:
        settings: Where the servers are.
        project: The project of the events; everything else is passed over.
        count: Number of events.
        tables: Whether to look into ClickHouse too.
    """

    def __init__(self, settings: Settings, project: str, count: int, *, tables: bool = True) -> None:
        self._settings, self._project, self._tables = settings, project, tables
        self.seen = Seen(Arrivals(count), Arrivals(count), Arrivals(count))
        self._ended = threading.Event()
        self._failed: list[BaseException] = []
        self._came: list[tuple[float, Message]] = []  # decoded afterwards: the reader's work is not what is measured
        self._consumer = self._subscribe()
        self._threads = [
            threading.Thread(target=self._run, args=[look], daemon=True)
            for look in (self._read_topic, *((self._read_labels, self._read_states) if tables else ()))
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, until: float) -> Seen:
        """Return what was seen once all was, or at a time of the monotonic clock.

        Raises:
            LabelloopError: a watcher failed, or not all was seen.
        """
        while not self._all_seen() and time.monotonic() < until and not self._failed:
            time.sleep(_WAIT_S)
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._consumer.close()
        if self._failed:
            raise LabelloopError(f"the watch failed: {self._failed[0]!r}")
        self._decode()
        if not self._all_seen():
            seen = self.seen
            missing = {name: getattr(seen, name).missing() for name in ("state", "fact_row", "state_row")}
            raise LabelloopError(f"not seen in time: {missing}")
        return self.seen

    def _all_seen(self) -> bool:
        if self._tables:
            return not (self.seen.fact_row.missing() or self.seen.state_row.missing())
        self._decode()
        return not self.seen.state.missing()

    def _run(self, look: Callable[[], None]) -> None:
        try:
            look()
        except BaseException as error:
            self._failed.append(error)

    def _subscribe(self) -> Consumer:
        consumer, topic = Consumer(reading(self._settings)), self._settings.topic("review.state")
        consumer.assign([TopicPartition(topic, n, OFFSET_END) for n in range(self._settings.partitions)])
        ends = 0
        while ends < self._settings.partitions:  # each says once that nothing more is there: from then on it reads
            message = consumer.poll(_WAIT_S)
            ends += message is not None and message.error() is not None
        return consumer

    def _read_topic(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(_WAIT_S)
            if message is not None and message.error() is None:
                self._came.append((time.monotonic(), message))

    def _decode(self) -> None:
        came, self._came = self._came, []
        for at, message in came:
            task = codec.decode_own(message.value())[1]
            if task["project"] == self._project:
                for number in self.seen.state.labels(item_number(task["item_id"]), task["n_labels"], at):
                    self.seen.produced[number] = message.timestamp()[1]

    def _read_labels(self) -> None:
        def note(row: tuple[Any, ...], at: float) -> None:
            number, logged = row
            if self.seen.fact_row.event(number, at):
                self.seen.logged[number] = logged

        self._look("labels", "source_seq, toUnixTimestamp64Milli(logged_at)", note)

    def _read_states(self) -> None:
        def note(row: tuple[Any, ...], at: float) -> None:
            item, labels = row
            self.seen.state_row.labels(item_number(item), labels, at)

        self._look("review_state", "item_id, n_labels", note)

    def _look(self, table: str, columns: str, note: Callable[[tuple[Any, ...], float], None]) -> None:
        """Select what is new in a table again and again; the rows of a partition appear in the order of the log."""
        client = connect(self._settings.clickhouse)
        statement = (
            f"SELECT _partition, _offset, {columns} FROM {table} "
            "WHERE project = %(project)s AND _offset >= %(from)s[_partition + 1]"
        )
        first = [0] * self._settings.partitions
        try:
            while not self._ended.wait(LOOK_S):
                rows = client.execute(statement, {"project": self._project, "from": first})
                at = time.monotonic()
                for partition, offset, *row in rows:
                    first[partition] = max(first[partition], offset + 1)
                    note(tuple(row), at)
        finally:
            client.disconnect()
