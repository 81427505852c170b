"""What log and table hold is compared as it should be: each difference is found, and nothing else is."""

from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from streams.cli.audit import audit
from streams.query.audit import Stored, TopicLog, compare, hash_of, laggards, orphans


def topic_log(*records: tuple[int, int, str], topic: str = "labels", derived: bool = False) -> TopicLog:
    """Return a log of records (partition, offset, identity); one that begins with `-` cannot be stored."""
    found = TopicLog(topic, not derived, derived)
    for partition, offset, name in records:
        found.add(partition, offset, hash_of(name), storable=not name.startswith("-"))
    return found


def stored(rows: dict[int, list[int]], passed: int = 10, end: int = 10, partitions: int = 2) -> Stored:
    every = range(partitions)
    arrays = {number: np.array(offsets, dtype=np.int64) for number, offsets in rows.items()}
    return Stored(arrays, dict.fromkeys(every, passed), dict.fromkeys(every, end), {1: 3})


def kinds(log: TopicLog, table: Stored) -> list[tuple[str, int]]:
    return [(one.kind, one.number) for one in compare(log, table)[1]]


FACTS = ((0, 0, "a"), (0, 2, "b"), (0, 3, "a"), (1, 1, "-poison"), (1, 4, "c"))


def test_what_agrees_is_counted_and_nothing_is_found() -> None:
    counts, findings = compare(topic_log(*FACTS), stored({0: [0, 2], 1: [4]}))
    assert not findings
    assert [one[:7] for one in counts] == [("labels", 0, 0, 10, 3, 2, 1), ("labels", 1, 1, 10, 2, 2, 0)]
    assert [one[7:] for one in counts] == [(0, 10, 2, 0, 2, 0, 0), (3, 10, 1, 4, 4, 0, 0)]


def test_each_difference_is_found() -> None:
    log = topic_log(*FACTS)
    assert kinds(log, stored({0: [0], 1: [4]})) == [("lost_row", 1)]
    assert kinds(log, stored({0: [0], 1: []}, passed=4)) == [("lost_row", 1)]  # c is not passed yet
    assert kinds(log, stored({0: [3, 2], 1: [4]})) == []  # a later copy of a
    assert kinds(log, stored({0: [0, 1, 2], 1: [4]})) == [("foreign_row", 1)]
    assert kinds(log, stored({0: [0, 2], 1: [4], 9: [0]})) == [("foreign_row", 1)]
    assert "labels-0 offset 2" in compare(log, stored({0: [0], 1: [4]}))[1][0].text
    assert kinds(topic_log(), stored({})) == []


def test_of_a_derived_topic_the_newest_counts() -> None:
    log = topic_log((0, 0, "a"), (0, 2, "b"), (0, 3, "a"), derived=True)
    assert kinds(log, stored({0: [2, 3]})) == []
    assert kinds(log, stored({0: [0, 2]})) == [("lost_row", 1)]
    assert kinds(log, stored({0: [0, 2]}, passed=3)) == []
    assert kinds(log, stored({0: [1, 2, 3]}, passed=9)) == []  # what lay at 1 may have been compacted away since
    assert kinds(log, stored({0: [1, 2, 3]})) == [("foreign_row", 1)]


@given(st.data())
def test_a_table_of_first_copies_is_never_blamed_and_a_lost_one_always(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from("abcdef"), min_size=1))
    log = topic_log(*((0, n, name) for n, name in enumerate(names)))
    first = sorted({names.index(name) for name in names})
    end = len(names)
    assert kinds(log, stored({0: first}, end, end, 1)) == []
    gone = data.draw(st.sampled_from(first))
    assert kinds(log, stored({0: [n for n in first if n != gone]}, end, end, 1)) == [("lost_row", 1)]


def logs(**of: TopicLog) -> dict[str, TopicLog]:
    return {name: of.get(name, TopicLog(name, True, False)) for name in ("labels", "corrections", "feedback")}


def test_orphans() -> None:
    label, verdict = topic_log((0, 0, "l")), topic_log((1, 5, "v"), topic="corrections")
    label.speaks_of(hash_of("p", "i"))
    verdict.speaks_of(hash_of("p", "i"))
    verdict.refers(hash_of("l"))
    receipt = topic_log((0, 0, "r"), topic="feedback", derived=True)
    receipt.refers(hash_of("v"))
    whole: dict[str, Any] = {"labels": label, "corrections": verdict, "feedback": receipt}
    facts = ("labels", "corrections")
    assert orphans(logs(**whole), facts) == []
    assert [one.kind for one in orphans(logs(**whole | {"labels": TopicLog("labels", True, False)}), facts)] == [
        *("dangling_cause", "correction_without_item")
    ]
    receipt.refers(hash_of("r"))  # no fact
    (found,) = orphans(logs(**whole), facts)
    assert found == ("dangling_cause", 1, "feedback: 1 receipts have no cause: feedback-0 offset 0")


def test_who_is_further_behind_than_is_allowed_is_told() -> None:
    found = laggards({"items": 0, "quality": 10, "sink": 11}, 10)
    assert [(one.kind, one.number) for one in found] == [("behind", 11)]
    assert found[0].text == "sink is 11 records behind, more than 10: `labelloop status`"
    assert laggards({"items": 0}, 0) == []


def test_an_audit_without_servers_exits_with_2(tmp_path: Path) -> None:
    """A monitor tells that nobody answers from that something is wrong."""
    result = CliRunner().invoke(audit, ["--data", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "labelloop up" in result.stderr
