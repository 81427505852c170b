"""How many records a batch may have, so that handling it takes about as long as it should."""

BATCH_RECORDS = 2000
"""Most records of a batch: more gain nothing."""

FIRST_RECORDS = 250
"""Records of the first batches, while nobody knows how long a record takes."""

BATCH_S = 0.5
"""How long a batch may take. Where the machine is busy or the items are large, batches become smaller: commits and
heartbeats wait for the end of a batch, and a transaction may not outlast its limit."""


class Pace:
    """The present size of batches, learnt from how long they take.

    Args:
        most: Records of a batch at most.
    """

    def __init__(self, most: int) -> None:
        self._most, self._records = most, min(most, FIRST_RECORDS)

    def records(self) -> int:
        """Return how many records the next batch may have."""
        return self._records

    def learn(self, records: int, seconds: float) -> None:
        """Note how long a batch took."""
        if seconds > BATCH_S:
            self._records = min(self._records, max(1, int(records * BATCH_S / seconds)))
        elif records >= self._records and seconds < BATCH_S / 2:
            self._records = min(self._most, 2 * self._records)
