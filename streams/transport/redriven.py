"""Gives a handler the records of dead letters back: each as it lies in its own topic, at its own time.

A handler sees a batch like any other, and its state is a function of the set of facts with their log times: so what it
makes of a record now is what it would have made of it then.
"""

from dataclasses import replace

from streams.dead_letters import given_back
from streams.transport.batch import Batch, Effects, Handler, Row, Rows


class _RowsSoFar:
    """Rows with what earlier records of the batch made of them.

    Args:
        rows: The rows before the batch.
        written: The rows that were written since.
    """

    def __init__(self, rows: Rows, written: dict[bytes, Row]) -> None:
        self._rows, self._written = rows, written

    def get(self, key: bytes) -> Row | None:
        """Return a row, None where there is none."""
        row = self._written.get(key)
        return self._rows.get(key) if row is None else row

    def scan(self, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix`, sorted."""
        written = (key for key in self._written if key.startswith(prefix))
        return sorted({*self._rows.scan(prefix), *written})


def redrive(consumer: str, batch: Batch, rows: Rows, handler: Handler) -> Effects:
    """Return what the records cause that a batch of actions on dead letters gives back.

    Args:
        consumer: Whose records are meant; what was done about those of others causes nothing here.
        batch: Records of the topic of the actions.
        rows: The state rows of the batch's partition.
        handler: Turns a record into effects; it is called for one at a time.
    """
    effects = Effects()
    for record in batch.records:
        original = given_back(record.value, consumer)
        if original is None:
            continue
        first = original.offset
        one = Batch(original.topic, original.partition, [original], first, first + 1, redriven=True)
        caused = handler(one, _RowsSoFar(rows, effects.rows))
        effects.rows |= caused.rows
        effects.records += caused.records
        effects.dead += [replace(letter, attempt=original.attempt) for letter in caused.dead]
    return effects
