"""Waits until everything that was published has gone all the way: facts, the processors' records, ClickHouse."""

import time
from collections.abc import Callable

from streams.errors import Denied, LabelloopError
from streams.query.lag import SOURCES, Lag, LagReader
from streams.settings import Settings

_PAUSE_S = 0.1


def wait(settings: Settings, timeout_s: float, tell: Callable[[int], None] = lambda _: None) -> None:
    """Return when a full round over all consumers adds no record, but for the retraining worker.

    That one trains when its policy says so, whatever it has read; who needs no models runs none.

    A round reads the ends of all partitions, then what every group has committed, then the ends again. If nothing was
    added in between and nobody lags, nothing is on its way: a processor commits its position in the transaction that
    holds its records, and these count in the ends before they are visible.

    Args:
        settings: Where the servers are.
        timeout_s: Limit in seconds.
        tell: Told after each round how many records are still to do.

    Raises:
        Denied: this user may not ask for that.
        LabelloopError: somebody still lags after `timeout_s` seconds; the text says who.
    """
    limit = time.monotonic() + timeout_s
    topics = {topic for sources in SOURCES.values() for topic in sources}
    trouble = "no round could be made in the time given"
    with LagReader(settings) as reader:
        while True:
            try:
                before = reader.end_offsets(topics)
                behind = [entry for entry in reader.lag() if entry.records and entry.group != "retrain"]
                still = reader.end_offsets(topics) == before
            except Denied:
                raise
            except LabelloopError as error:  # a broker that is being started again is waited for
                trouble = str(error)
            else:
                if still and not behind:
                    return
                tell(sum(entry.records for entry in behind))
                trouble = f"still to do: {_told(behind)}; see `labelloop status`" if behind else "records keep coming"
            if time.monotonic() >= limit:
                raise LabelloopError(f"not settled after {timeout_s:g} s, {trouble}")
            time.sleep(_PAUSE_S)


def _told(behind: list[Lag]) -> str:
    """Return who lags, the worst first."""
    worst = sorted(behind, key=lambda entry: (-entry.records, entry.group, entry.topic))
    return ", ".join(f"{entry.group} has {entry.records:,} records of {entry.topic}" for entry in worst)
