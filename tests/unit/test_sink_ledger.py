"""Whatever step a sink dies at, every record ends up in its table once."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import product

import pytest

from streams.sinks.ledger import Ledger, Range

OFFSETS = [0, 1, 2, 5, 6, 9, 10, 11, 12]  # the holes are control records
END = 14  # two markers follow the last record
STEPS = ("before intent", "before insert", "before commit", "after commit")


class Crash(Exception):
    pass


class World:
    """A broker's partition and a ClickHouse table that knows the tokens it has seen."""

    def __init__(self) -> None:
        self.position, self.metadata = 0, ""
        self.tokens: dict[str, list[int]] = {}

    def rows(self) -> list[int]:
        return sorted(offset for rows in self.tokens.values() for offset in rows)

    def run(self, cuts: Iterator[int], crash: tuple[str, int] | None) -> None:
        """Run a sink until it has read all, or dies at the n-th time it reaches a step."""
        seen = dict.fromkeys(STEPS, 0)

        def reach(step: str) -> None:
            seen[step] += 1
            if crash == (step, seen[step]):
                raise Crash

        ledger: Ledger[int] = Ledger(self.position, Range.parse(self.metadata))
        todo = [offset for offset in OFFSETS if offset >= self.position]
        while self.position < END:
            for offset in todo[: (cut := next(cuts))]:
                ledger.add(offset, offset, 1)
            del todo[:cut]
            if not todo:
                ledger.reach(END)
            if not ledger.due(full=True):
                continue
            range_, records = ledger.close()
            if range_ is not None:
                reach("before intent")
                self.metadata = range_.dump()
                reach("before insert")
                self.tokens.setdefault(f"{range_.first}-{range_.last}", list(records))
            reach("before commit")
            self.position, self.metadata = ledger.passed(range_), ""
            reach("after commit")


def repeat(*sizes: int) -> Iterator[int]:
    while True:
        yield from sizes


@pytest.mark.parametrize(("step", "times"), [*product(STEPS, (1, 2, 3))])
@pytest.mark.parametrize("sizes", [(1,), (2,), (3, 1), (4,), (20,)])
@pytest.mark.parametrize("sizes_after", [(1,), (5,), (20,)])
def test_a_crash_at_any_step_loses_and_doubles_nothing(
    step: str, times: int, sizes: tuple[int, ...], sizes_after: tuple[int, ...]
) -> None:
    world = World()
    try:
        world.run(repeat(*sizes), (step, times))
    except Crash:
        noted = Range.parse(world.metadata)
        with suppress(Crash):  # and once more, in the same place
            world.run(repeat(*sizes_after), (step, 1))
        if noted is not None and step == "before insert":
            assert Range.parse(world.metadata) == noted, "a noted range is neither split nor merged"
        world.run(repeat(*sizes_after), None)
    assert world.rows() == OFFSETS
    assert (world.position, world.metadata) == (END, "")


def test_a_noted_range_waits_for_its_last_record() -> None:
    ledger: Ledger[int] = Ledger(3, Range(5, 9))
    ledger.add(5, 5, 1)
    assert not ledger.due(full=True)
    ledger.add(12, 12, 1)  # compaction has removed 9
    assert ledger.due(full=False)
    assert ledger.close() == (Range(5, 9), [5])
    assert ledger.passed(Range(5, 9)) == 12
    assert ledger.close() == (Range(12, 12), [12])


def test_records_that_come_again_are_left_out() -> None:
    ledger: Ledger[int] = Ledger(0)
    for offset in (0, 1, 0, 1, 2):
        ledger.add(offset, offset, 1)
    assert ledger.close() == (Range(0, 2), [0, 1, 2])


def test_what_comes_while_a_range_is_written_belongs_to_the_next() -> None:
    ledger: Ledger[int] = Ledger(0)
    ledger.add(0, 0, 1)
    range_, records = ledger.close()
    ledger.add(1, 1, 1)
    assert list(records) == [0]
    assert ledger.passed(range_) == 1
    assert ledger.close() == (Range(1, 1), [1])


def test_markers_alone_move_the_position_without_a_range() -> None:
    ledger: Ledger[int] = Ledger(7)
    assert not ledger.due(full=True)
    ledger.reach(9)
    assert ledger.close() == (None, ())
    assert ledger.passed(None) == 9


@pytest.mark.parametrize("metadata", [None, "", "nonsense", "[]", '{"first": 1}', '{"first": "x", "last": 2}'])
def test_other_metadata_notes_no_range(metadata: str | None) -> None:
    assert Range.parse(metadata) is None
