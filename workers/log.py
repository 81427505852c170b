"""Reads what has happened in the loops of all projects."""

import time
from typing import Self

from streams.errors import LabelloopError, NotNow
from streams.query.lag import LagReader
from streams.settings import Settings
from streams.transport.plain import Follower
from workers.history import History

TOPICS = ("snapshots", "models")

_LIMIT_S = 60.0
"""Longer than a dead worker's open transaction holds back readers."""

_WAIT_S = 0.05


class HistoryReader:
    """Reads the facts of the loop again and again; what it is connected by is kept.

    Args:
        settings: Where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ends = LagReader(settings)
        self._follower = Follower(settings, [settings.topic(topic) for topic in TOPICS])
        self._follower.assign((settings.topic(topic), 0) for topic in TOPICS)
        self._history = History()

    def __enter__(self) -> Self:
        self._ends.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.__exit__(*error)

    def read(self) -> History:
        """Return what has happened by now, also in transactions that are just being committed.

        Raises:
            LabelloopError: Kafka does not answer.
        """
        limit = time.monotonic() + _LIMIT_S
        try:
            ends = {(self._settings.topic(topic), n): end for (topic, n), end in self._ends.end_offsets(TOPICS).items()}
            while any(self._follower.position(*at) < end for at, end in ends.items()):
                if time.monotonic() > limit:
                    raise NotNow(f"their ends did not come in {_LIMIT_S:g} s")
                for read in self._follower.read(_WAIT_S):
                    self._history.learn(read.value, read.log_time)
        except NotNow as error:
            raise LabelloopError(f"the models cannot be read ({error}): see `labelloop status`") from error
        return self._history


def read_history(settings: Settings) -> History:
    """Return what has happened by now, read once (`HistoryReader.read`)."""
    with HistoryReader(settings) as reader:
        return reader.read()
