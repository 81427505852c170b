"""All that two sinks, their group and a table can do in any order, crashes and zombies included, state by state.

A sink that was stopped for long does not know that its partition is another's until a commit is refused: it may insert
a range that it noted long ago. The search visits every state that so many rebalances can lead to.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal, NamedTuple

import pytest

from streams.sinks.ledger import Ledger, Range

OFFSETS = (0, 2, 3)  # the hole is a control record
END = 5  # a marker follows the last record
REBALANCES = 3

Phase = Literal["reads", "intends", "inserts", "commits"]
Token = tuple[object, ...]


class Process(NamedTuple):
    """One sink; without a phase it owns nothing.

    Args:
        phase: What it does next.
        generation: Of the group, when it was given the partition.
        position: Where its ledger stands.
        noted: The range that its ledger found noted.
        reached: Where its reader stands.
        waiting: Offsets that it holds.
        closed: The range that it is about to write, and its records.
    """

    phase: Phase | None = None
    generation: int = 0
    position: int = 0
    noted: Range | None = None
    reached: int = 0
    waiting: tuple[int, ...] = ()
    closed: tuple[Range | None, tuple[int, ...]] | None = None

    def ledger(self) -> Ledger[int]:
        """Return its ledger."""
        ledger: Ledger[int] = Ledger(self.position, self.noted)
        for offset in self.waiting:
            ledger.add(offset, offset, 1)
        ledger.reach(self.reached)
        return ledger

    def with_ledger(self, ledger: Ledger[int]) -> "Process":
        return self._replace(
            position=ledger.position, noted=ledger.noted, reached=ledger.reached, waiting=tuple(ledger._offsets)
        )


class World(NamedTuple):
    """The group's offset, the table, and two sinks.

    Args:
        generation: Of the group.
        position: Committed position.
        metadata: What is noted beside it.
        table: Tokens and the offsets that were inserted under each.
        sinks: The two sinks.
    """

    generation: int = 0
    position: int = 0
    metadata: str = ""
    table: frozenset[tuple[Token, tuple[int, ...]]] = frozenset()
    sinks: tuple[Process, ...] = (Process(), Process())

    def put(self, n: int, process: Process) -> "World":
        return self._replace(sinks=tuple(process if i == n else one for i, one in enumerate(self.sinks)))


class Rules(NamedTuple):
    """What the protocol rests on; each can be broken."""

    notes_first: bool = True
    fenced: bool = True
    same_token: bool = True
    range_whole: bool = True


def after(world: World, rules: Rules) -> Iterator[World]:
    """Yield every world that one step leads to."""
    for n, process in enumerate(world.sinks):
        if world.generation < REBALANCES:  # the group gives it the partition; the other one may not know yet
            noted = Range.parse(world.metadata) if rules.range_whole else None
            begun = Process("reads", world.generation + 1, world.position, noted, world.position)
            yield world.put(n, begun)._replace(generation=world.generation + 1)
        if process.phase is not None:
            yield world.put(n, Process())  # it dies, or hears that the partition is another's
            yield from step(world, n, process, rules)


def step(world: World, n: int, process: Process, rules: Rules) -> Iterator[World]:
    """Yield the worlds that a sink's next step leads to."""
    if process.phase == "reads":
        ledger = process.ledger()
        if ledger.reached < END:
            coming = next((offset for offset in OFFSETS if offset >= ledger.reached), None)
            if coming is None:
                ledger.reach(END)
            else:
                ledger.add(coming, coming, 1)
            yield world.put(n, process.with_ledger(ledger))
        ledger = process.ledger()
        if ledger.due(full=True):
            range_, records = ledger.close()
            phase: Phase = "commits" if range_ is None else "intends" if rules.notes_first else "inserts"
            yield world.put(n, process._replace(phase=phase, closed=(range_, tuple(records))))
        return
    assert process.closed is not None
    range_, records = process.closed
    is_mine = process.generation == world.generation or not rules.fenced
    if process.phase == "intends":
        assert range_ is not None
        if is_mine:
            world = world._replace(position=process.position, metadata=range_.dump())
        yield world.put(n, process._replace(phase="inserts") if is_mine else Process())
    elif process.phase == "inserts":
        token: Token = (range_,) if rules.same_token else (range_, process.generation)
        if token not in {known for known, _ in world.table}:
            world = world._replace(table=world.table | {(token, records)})
        yield world.put(n, process._replace(phase="commits"))
    else:
        ledger = process.ledger()
        position = ledger.passed(range_)
        if is_mine:
            world = world._replace(position=position, metadata="")
        yield world.put(n, process.with_ledger(ledger)._replace(phase="reads", closed=None) if is_mine else Process())


def search(rules: Rules, is_wrong: Callable[[World], bool]) -> tuple[int, World | None]:
    """Return how many states were visited, and the first that is wrong; None: none is."""
    todo, seen = [World()], {World()}
    while todo:
        world = todo.pop()
        if is_wrong(world):
            return len(seen), world
        for following in after(world, rules):
            if following not in seen:
                seen.add(following)
                todo.append(following)
    return len(seen), None


def doubled(world: World) -> bool:
    rows = [offset for _, offsets in world.table for offset in offsets]
    return len(rows) > len({*rows})


def lost(world: World) -> bool:
    rows = {offset for _, offsets in world.table for offset in offsets}
    return not rows.issuperset(offset for offset in OFFSETS if offset < world.position)


def unfinished(world: World) -> bool:
    """Return whether a last sink that nobody disturbs would not bring everything in."""
    return not is_completed(world.position, world.metadata, world.table)


@cache
def is_completed(position: int, metadata: str, table: frozenset[tuple[Token, tuple[int, ...]]]) -> bool:
    last = Process("reads", 0, position, Range.parse(metadata), position)
    world = World(0, position, metadata, table, (last,))
    while steps := [*step(world, 0, world.sinks[0], Rules())]:
        world = steps[-1]  # it writes as soon as it may
    return not doubled(world) and (world.position, {offset for _, some in world.table for offset in some}) == (
        END,
        {*OFFSETS},
    )


def test_no_order_of_steps_loses_or_doubles_a_record() -> None:
    states, wrong = search(Rules(), lambda world: doubled(world) or lost(world) or unfinished(world))
    assert wrong is None
    assert states > 10_000


@pytest.mark.parametrize("broken", Rules._fields)
def test_each_rule_is_needed(broken: str) -> None:
    _, wrong = search(Rules()._replace(**{broken: False}), lambda world: doubled(world) or lost(world))
    assert wrong is not None
