"""Labels made by rule, of any number of items, annotators and classes: what is measured without a broker."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bench.peer import Record
from streams import codec
from streams.keys import item_key, partition_of
from streams.processors.fits import proposals
from streams.producers import facts
from streams.projects import ProjectView
from streams.quality.project import Project
from streams.transport.batch import Batch
from streams.transport.pace import BATCH_RECORDS

PREFIX, PROJECT, PARTITIONS = "bench", "generated", 4

_BEGAN = 1_700_000_000_000
_RIGHT = 0.8
_FITTED_ITEMS = 300


@dataclass(frozen=True, slots=True)
class Shape:
    """What labels are made.

    Args:
        items: Number of items; half of the labels that each gets come in a second pass over all.
        labels: Labels of each item.
        annotators: Number of annotators, each as busy as the next.
        classes: Number of classes.
    """

    items: int = 20_000
    labels: int = 3
    annotators: int = 200
    classes: int = 2

    @property
    def events(self) -> int:
        """Number of labels."""
        return self.items * self.labels


def labels(shape: Shape, seed: int = 0) -> Iterator[tuple[int, str, str, str]]:
    """Yield number, item, annotator and class of each label, in the order in which the log gets them.

    As annotators are given items: each pass over the items, in an order of its own, gives every item one more label.
    """
    chance, number = random.Random(seed), 0
    truth = [chance.randrange(shape.classes) for _ in range(shape.items)]
    for turn in range(shape.labels):
        for item in chance.sample(range(shape.items), shape.items):
            said = truth[item] if chance.random() < _RIGHT else chance.randrange(shape.classes)
            who = (item * 31 + turn) % shape.annotators
            yield number, f"item-{item}", f"annotator-{who}", f"class-{said}"
            number += 1


def batches(shape: Shape, size: int = BATCH_RECORDS, seed: int = 0) -> Iterator[Batch]:
    """Yield the labels as a worker is handed them: batches of `size` of one partition, the partitions by turns."""
    waiting: list[list[Record]] = [[] for _ in range(PARTITIONS)]
    offsets = [0] * PARTITIONS

    def cut(partition: int) -> Batch:
        records, waiting[partition] = waiting[partition], []
        return Batch(f"{PREFIX}.labels", partition, records, records[0].offset, records[-1].offset + 1)

    for number, item, who, said in labels(shape, seed):
        key = item_key(PROJECT, item)
        fact = facts.label(PROJECT, item, who, said, source="bench", source_seq=number)
        partition = partition_of(key, PARTITIONS)
        record = Record(key, codec.encode("labels", fact.event), offsets[partition], _BEGAN + number)
        offsets[partition] += 1
        waiting[partition].append(record)
        if len(waiting[partition]) == size:
            yield cut(partition)
    yield from (cut(partition) for partition in range(PARTITIONS) if waiting[partition])


def fit(shape: Shape, seed: int = 0) -> list[bytes]:
    """Return a fit of the first items as records of the topic `annotators`."""
    project = Project()
    for number, item, who, said in labels(Shape(_FITTED_ITEMS, shape.labels, shape.annotators, shape.classes), seed):
        project.apply(
            {
                "item_id": item,
                "annotator": who,
                "actor_kind": "annotator",
                "value": {"kind": "choice", "choice": said},
                "labelled_at": _BEGAN + number,
                "guideline_version": None,
                "reference": None,
                "group": None,
            }
        )
    classes = tuple(f"class-{n}" for n in range(shape.classes))
    truth = project.fit(classes)
    told = proposals(PROJECT, project, truth, ProjectView(classes=classes), 1, None)
    return [proposal.value for proposal in told if proposal.topic == "annotators"]
