"""The processor "quality": what the fitter proposes becomes visible, all of it at once or none of it.

The fitter is a child process without a place in the group; a worker that lost its partitions may still have one. So it
only proposes: what it wrote is taken over by the owner of the project's partition, unless a newer fit was.
"""

from typing import cast

from streams import codec
from streams.errors import Poison
from streams.keys import make_key, project_partition
from streams.processors.fits import key_of
from streams.transport.batch import Batch, Effects, Outgoing, Row, Rows

CONSUMER = "quality"

_TAKEN = ("annotators", "skill", "agreement", "rescores")


class Quality:
    """Takes over proposals.

    Args:
        prefix: First part of every topic's name.
        partitions: Partitions of every item-keyed topic.
    """

    def __init__(self, prefix: str, partitions: int) -> None:
        self._prefix, self._partitions = prefix, partitions

    def handle(self, batch: Batch, rows: Rows) -> Effects:
        """Return what a batch of proposals causes.

        Raises:
            LabelloopError: a fitter of a newer labelloop proposed.
        """
        effects = Effects()
        for record in batch.records:
            try:
                topic, proposed = codec.decode_own(record.value)
            except Poison:  # our own process wrote it; whatever it is, it is no proposal
                continue
            if topic not in _TAKEN or record.value is None:
                continue
            project = proposed["project"]
            key = make_key(project)
            row = effects.rows.get(key) or rows.get(key) or cast(Row, {"refit": 0})
            if proposed["refit"] < row["refit"] and proposed["refit"]:
                continue
            effects.rows[key] = {"refit": max(proposed["refit"], row["refit"])}
            name = f"{self._prefix}.{topic}"
            if topic == "rescores":
                every = range(self._partitions)
                effects.records += [Outgoing(name, key, record.value, partition) for partition in every]
            else:
                home = -1 if topic == "annotators" else project_partition(project, self._partitions)
                target = key_of(topic, proposed)
                effects.records.append(Outgoing(name, target, record.value, home))
        return effects
