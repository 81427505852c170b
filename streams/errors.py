"""The failures of labelloop: one for people, and the only two a handler may raise.

*Poison*: this record can never work. It goes to the dead-letter topic in the transaction that passes it, and its
neighbours go on. *Not now*: a server is away; the same bytes are tried again and the partition waits. Anything else
that leaves a handler is a bug.
"""

from typing import ClassVar, Literal

Reason = Literal[
    "undecodable",  # not the wire format, or the body does not match its schema
    "unknown_schema",  # the schema id is not in the lock file
    "too_large",  # the record is larger than a fact may be
    "foreign_partitioner",  # the key does not belong to this partition
    "invalid",  # a field's value breaks the contract
    "unknown_class",  # a label outside the classes the project declared
    "not_allowed",  # the actor's role does not permit it
    "id_conflict",  # an event id was used again with other content
    "item_too_large",  # the item's state would pass its bound
    "refused",  # ClickHouse cannot hold the row
    "bug",  # our own error, met twice at the same offset
]


class LabelloopError(Exception):
    """A failure to be shown to a person as one line, without a stack trace; the text says what to do."""

    status: ClassVar[int] = 1
    """Exit status of a command that ends with it."""


class Denied(LabelloopError):
    """A server does not let this user in or do this, or cannot prove who it is: trying again does not help."""

    status: ClassVar[int] = 78  # a worker that ends with it is not started again


class Poison(Exception):
    """This record can never work.

    Args:
        reason: Short code, counted and shown by reason.
        detail: What is wrong with which value, and the remedy.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


class NotNow(Exception):
    """A server is away; try the same bytes again."""
