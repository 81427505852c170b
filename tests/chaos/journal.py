"""What the workload knows to be true: facts it sent, facts the broker acknowledged, items its reviewers held.

A line is written after what it tells of has happened, but for `sent`, which comes first: what is in the log and was
never sent has come from nowhere.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Hold(NamedTuple):
    """A reviewer believed that an item was theirs.

    Args:
        project: The project.
        item: The item.
        reviewer: Who.
        start: When they were told so, ms since 1970.
        end: When they gave it back, or the lease ended, ms since 1970.
    """

    project: str
    item: str
    reviewer: str
    start: int
    end: int


@dataclass(slots=True)
class Journal:
    """What was written down.

    Args:
        sent: Event ids by topic.
        acknowledged: Event ids by topic.
        holds: Items that were held.
    """

    sent: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    acknowledged: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    holds: list[Hold] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> "Journal":
        """Return what a file tells."""
        found = cls()
        for line in file.read_text().splitlines():
            match json.loads(line):
                case ["sent", topic, *ids]:
                    found.sent[topic].update(ids)
                case ["acknowledged", topic, *ids]:
                    found.acknowledged[topic].update(ids)
                case ["held", *fields]:
                    found.holds.append(Hold(*fields))
        return found


class Writer:
    """Writes a journal; may be used by several threads.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file.open("a", buffering=1), threading.Lock()

    def sent(self, topic: str, event_id: str) -> None:
        """Note that a fact is about to be sent."""
        self._write(["sent", topic, event_id])

    def acknowledged(self, facts: Iterable[tuple[str, str]]) -> None:
        """Note that the broker has facts, each given by topic and event id."""
        by_topic = defaultdict(list)
        for topic, event_id in facts:
            by_topic[topic].append(event_id)
        for topic, ids in by_topic.items():
            self._write(["acknowledged", topic, *ids])

    def held(self, hold: Hold) -> None:
        """Note that a reviewer held an item."""
        self._write(["held", *hold])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, line: list[str] | list[object]) -> None:
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
