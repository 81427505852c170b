"""Every topic there is, declared once: broker, Faust, sinks, tests and docs read this.

Facts are never compacted, never expire, and carry the log's own time. Derived topics can be deleted and built again
from the facts (`streams.rebuild`); the compacted ones hold the newest snapshot of each key. A processor never ends a
key: what is no more is told as a state. Only a rebuild does, where the facts do not give the key at all.
"""

from dataclasses import dataclass
from typing import Literal

Key = Literal[
    "project/item",
    "project",
    "project/item/annotator",
    "project/part",
    "project/annotator",
    "project/scope/name",
    "topic",
    "none",
]
Kind = Literal["fact", "derived", "system"]

MAX_FACT_BYTES = 256 * 1024
"""Largest fact the processors take; a larger one is a dead letter."""

_FACT_TOPIC_BYTES = 1024 * 1024
_WIDE_TOPIC_BYTES = 4 * 1024 * 1024  # snapshots of many facts, and dead letters that carry a whole fact


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the catalogue.

    Args:
        name: Name without the prefix.
        schema: File in `schemas/` without its ending; None for the processors' own state.
        key: What a record's key is made of.
        kind: `fact` (immutable, kept for ever), `derived` (can be rebuilt) or `system`.
        about: One line for the documentation.
        partitions: Fixed number of partitions; None for the number all item-keyed topics share.
        compact: Whether only the newest record of each key is kept.
    """

    name: str
    schema: str | None
    key: Key
    kind: Kind
    about: str
    partitions: int | None = None
    compact: bool = False

    def config(self) -> dict[str, str]:
        """Return the broker's settings of the topic."""
        return {
            "cleanup.policy": "compact" if self.compact else "delete",
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "message.timestamp.type": "LogAppendTime" if self.kind == "fact" else "CreateTime",
            "max.message.bytes": str(_FACT_TOPIC_BYTES if self.kind == "fact" else _WIDE_TOPIC_BYTES),
        }


TIERS = ("p0", "p1", "p2", "p3")
"""Review tiers, the most urgent first."""

ITEM_FACTS = ("items", "labels", "flags", "comments", "corrections", "predictions", "gold", "claims")
"""Fact topics keyed by item: the sources of the processor "items"."""

ACTIONS = "dead-letters.actions"
"""What people do about dead letters; the consumers read it too, for it gives them their records back."""

_ALL = (
    Topic("items", "items", "project/item", "fact", "What is to be annotated"),
    Topic("labels", "labels", "project/item", "fact", "An annotator's label of an item, or its retraction"),
    Topic("flags", "flags", "project/item", "fact", "Somebody doubts an item, or settles a doubt"),
    Topic("comments", "comments", "project/item", "fact", "Discussion threads on an item"),
    Topic("corrections", "corrections", "project/item", "fact", "A reviewer's verdict on an item"),
    Topic("predictions", "predictions", "project/item", "fact", "What a model version says of an item"),
    Topic("gold", "gold", "project/item", "fact", "The known answer of an item and what it may be used for"),
    Topic("claims", "claims", "project/item", "fact", "A reviewer takes, keeps, gives back or skips an item"),
    Topic("projects", "projects", "project", "fact", "Classes, policy, members and guidelines of a project", partitions=1),
    Topic("snapshots", "snapshots", "project", "fact", "What models are trained on: how far the facts were read, and what came of it", partitions=1),
    Topic("models", "models", "project", "fact", "What happened to the models of a project: trained, refused, promoted, scored", partitions=1),
    Topic("ticks", "ticks", "none", "fact", "Time passes: one to every partition"),
    Topic("review.p0", "review_task", "project/item", "derived", "Tasks to review first"),
    Topic("review.p1", "review_task", "project/item", "derived", "Tasks to review next"),
    Topic("review.p2", "review_task", "project/item", "derived", "Tasks worth a look"),
    Topic("review.p3", "review_task", "project/item", "derived", "Tasks probably right"),
    Topic("review.state", "review_task", "project/item", "derived", "The present task and answer of every item", compact=True),
    Topic("disagreement", "disagreement", "project/item", "derived", "Agreement of the annotators on an item", compact=True),
    Topic("judgements", "judgements", "project/item/annotator", "derived", "An annotator's present value of an item beside its verdict; partitioned by project", compact=True),
    Topic("labels.corrected", "labels_corrected", "project/item", "derived", "The resolved label of an item with its evidence", compact=True),
    Topic("feedback", "feedback", "project/item", "derived", "What became of somebody's flag or correction"),
    Topic("flips", "flips", "project/item", "derived", "Examples on which a model and the one before it are not both right"),
    Topic("annotators", "annotators", "project/part", "derived", "What a refit has learnt of a project's annotators, for every worker", partitions=1, compact=True),
    Topic("skill", "skill", "project/annotator", "derived", "Accuracy of an annotator or model; partitioned by project", compact=True),
    Topic("agreement", "agreement", "project/scope/name", "derived", "Agreement of the annotators of a project and its parts; partitioned by project", compact=True),
    Topic("rescores", "rescores", "none", "derived", "Score the items of a project again: one to every partition"),
    Topic("settles", "settles", "project", "system", "Requests to refit a project now; partitioned by project"),
    Topic("fits", None, "project", "system", "What the fitter proposes: records for other topics, in order; partitioned by project"),
    Topic("quality-state-changelog", None, "project", "system", "State of the processor \"quality\"", compact=True),
    Topic("items-state-changelog", None, "project/item", "system", "State of the processor \"items\"", compact=True),
    Topic("dead-letters", "dead_letters", "none", "system", "Records that could not be processed, with the reason", partitions=1),
    Topic("dead-letters.actions", "dead_letter_actions", "none", "system", "What was done about dead letters; redriven ones carry the record"),
    Topic("catalogue", "catalogue", "topic", "system", "Build number and partition count of every topic", partitions=1, compact=True),
)  # fmt: skip

TOPICS = {topic.name: topic for topic in _ALL}
"""The catalogue by name."""
