"""When a worker must not go on: the ways out, and the limits that lead there."""

import logging
import os
import sys
from collections import deque
from typing import NoReturn

RESTART = 70
"""Exit status: the process can not go on, its successor can."""

STOP = 78
"""Exit status: starting again would not help; a person has to look."""

log = logging.getLogger("labelloop.transport")


def leave(why: str, status: int = RESTART) -> NoReturn:
    """End the process at once: nothing further may be committed.

    An open transaction is aborted by the next start of this slot, or by its own time limit.
    """
    log.critical("%s: exit %s", why, status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


TOO_MANY = (
    "too many records fail by a fault of ours: see `labelloop dlq list` and the log above, mend it, start again, then "
    "`labelloop dlq redrive`"
)
"""What is said of a worker that stops rather than make dead letters of all that comes."""


class StartLimit:
    """Tells when a worker that was given partitions comes no nearer to handling them.

    What waits beneath for the broker may wait for ever, and Faust's own limits end a recovery without a word.

    Args:
        limit_s: Longest time between two steps of a start, seconds.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: float | None = None

    def step(self, now: float) -> None:
        """Note that partitions were given, or that something of them was restored; `now` in monotonic seconds."""
        self._since = now

    def done(self) -> None:
        """Note that the worker handles its partitions, or that it has none."""
        self._since = None

    def is_over(self, now: float) -> bool:
        """Return whether the last step is too long ago."""
        return self._since is not None and now - self._since > self._limit_s


class TooManyBugs(Exception):
    """More records fail by a fault of ours than dead letters may hide."""


class BugLimit:
    """Tells when bugs make dead letters of too many records: then the worker stops rather than drain the topic.

    Args:
        run: Most records in a row.
        share: Largest share of the last `window` records.
        window: Records that are looked back on.
        floor: Dead letters below which the share says nothing.
    """

    def __init__(self, run: int = 10, share: float = 0.01, window: int = 1000, floor: int = 10) -> None:
        self._run, self._share, self._floor = run, share, floor
        self._in_a_row = 0
        self._recent: deque[bool] = deque(maxlen=window)
        self._bugs = 0

    def passed(self, records: int) -> None:
        """Note records that were handled."""
        self._in_a_row = 0
        if not self._bugs:
            return  # nothing to weigh them against: the common case costs nothing
        for _ in range(min(records, self._recent.maxlen or 0)):
            self._add(False)

    def bug(self) -> bool:
        """Note a record that became a dead letter by a bug; return whether that is too many."""
        self._in_a_row += 1
        self._add(True)
        crowded = self._bugs > self._floor and self._bugs > self._share * len(self._recent)
        return self._in_a_row > self._run or crowded

    def _add(self, bug: bool) -> None:
        if len(self._recent) == self._recent.maxlen:
            self._bugs -= self._recent[0]
        self._recent.append(bug)
        self._bugs += bug
