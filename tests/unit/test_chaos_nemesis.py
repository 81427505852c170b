"""The nemesis: does each fault to a target that runs, one after the other, undoes it, and counts what it has done."""

import signal
from pathlib import Path

import pytest

from tests.chaos.faults import KINDS, Fault
from tests.chaos.nemesis import PATIENCE_S, Nemesis
from tests.chaos.proxy import Mode

STOP, CONTINUE = signal.SIGSTOP.name, signal.SIGCONT.name


class FakeWorld:
    """Writes down what is done to it, and when."""

    def __init__(self, folder: Path) -> None:
        self.now, self.told, self.absent = 0.0, list[tuple[int, str]](), set[str]()
        self._folder = folder

    def clock(self) -> float:
        return self.now

    def runs(self, name: str) -> bool:
        return name not in self.absent

    def kill(self, name: str, seconds: float) -> None:
        self._tell(f"kill {name}")

    def signal(self, name: str, number: signal.Signals) -> None:
        self._tell(f"{number.name} {name}")

    def connections(self, client: str, server: str, mode: Mode) -> None:
        self._tell(f"{mode} {client} {server}")

    def fill_disk(self, name: str, *, full: bool) -> None:
        self._tell(f"full {name} {full}")

    def clock_file(self, client: str) -> Path:
        self._tell(f"clock {client}")
        return self._folder / client

    def _tell(self, what: str) -> None:
        self.told.append((round(self.now), what))

    def go(self, nemesis: Nemesis, until: float) -> bool:
        """Let time pass; return whether anything is left to do."""
        left = True
        while left and self.now < until:
            self.now += 0.02
            left = nemesis.tick()
        return left


@pytest.fixture
def world(tmp_path: Path) -> FakeWorld:
    return FakeWorld(tmp_path)


def test_every_kind_is_done_undone_and_counted(world: FakeWorld) -> None:
    faults = [Fault(10.0 * n, kind, "sink-0", 2.0, "kafka", 7) for n, kind in enumerate(KINDS)]
    nemesis = Nemesis(world, faults, world.clock)
    assert not world.go(nemesis, 200)
    assert nemesis.injected == dict.fromkeys(KINDS, 1)
    assert not nemesis.missed
    at = {kind: [what for when, what in world.told if 0 <= when - 10 * n < 9] for n, kind in enumerate(KINDS)}
    assert at["kill"] == ["kill sink-0"]
    assert at["pause"] == at["freeze"] == [f"{STOP} sink-0", f"{CONTINUE} sink-0"]
    assert at["starve"] == [f"{STOP} sink-0", f"{CONTINUE} sink-0"] * (len(at["starve"]) // 2)
    assert len(at["starve"]) > 30
    for kind in ("drop", "delay", "late", "half-open"):
        assert at[kind] == [f"{kind} sink-0 kafka", "pass sink-0 kafka"]
    assert at["full"] == ["full sink-0 True", "full sink-0 False"]
    assert (world.clock_file("sink-0")).read_text() == "0"


def test_a_fault_waits_until_its_target_runs(world: FakeWorld) -> None:
    world.absent.add("sink-0")
    nemesis = Nemesis(world, [Fault(1.0, "kill", "sink-0", 2.0)], world.clock)
    assert world.go(nemesis, 8)
    assert (world.told, nemesis.injected) == ([], {})
    world.absent.clear()
    assert not world.go(nemesis, 20)
    assert world.told == [(8, "kill sink-0")]
    assert nemesis.injected == {"kill": 1}


def test_a_fault_whose_target_never_runs_is_not_counted(world: FakeWorld) -> None:
    world.absent.add("sink-0")
    nemesis = Nemesis(world, [Fault(1.0, "freeze", "sink-0", 2.0)], world.clock)
    assert not world.go(nemesis, PATIENCE_S + 5)
    assert world.told == []
    assert (nemesis.injected, nemesis.missed) == ({}, {"freeze": 1})


def test_a_fault_does_not_end_another_one_of_its_target(world: FakeWorld) -> None:
    nemesis = Nemesis(world, [Fault(1.0, "freeze", "kafka", 10.0), Fault(2.0, "starve", "kafka", 1.0)], world.clock)
    world.go(nemesis, 30)
    assert world.told[:3] == [(1, f"{STOP} kafka"), (11, f"{CONTINUE} kafka"), (11, f"{STOP} kafka")]
