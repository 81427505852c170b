"""Does what the plan's schedule of faults says, and undoes it."""

import heapq
import itertools
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, cast

from tests.chaos.faults import Fault
from tests.chaos.proxy import Mode

PATIENCE_S = 120.0
"""Longest a fault waits for its target: a worker in its back-off waits for servers that start again."""

_LOOK_S = 0.05
_BEAT_S = 0.1
_AWAKE = 0.15
"""Share of the time that a starved process runs."""


class Breakable(Protocol):
    """What can be broken: `World`, or a fake of it."""

    def runs(self, name: str) -> bool:
        """Return whether a process runs."""

    def kill(self, name: str, seconds: float) -> None:
        """End a process; it is started again after so many seconds."""

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process."""

    def connections(self, client: str, server: str, mode: Mode) -> None:
        """Treat the connections of a client to a server otherwise."""

    def fill_disk(self, name: str, *, full: bool) -> None:
        """Make each write of a process fail, or let it write again."""

    def clock_file(self, client: str) -> Path:
        """Return the file that tells by how much a client's clock is wrong, ms."""


class Nemesis:
    """The faults of one run.

    A fault waits until its target runs and has no other fault: it would have no effect, or end the other one's. So
    whatever is counted has been done.

    Args:
        world: What is broken.
        faults: When, how and for how long.
        monotonic: Seconds of a clock that never goes back.
    """

    def __init__(
        self, world: Breakable, faults: Iterable[Fault], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._world, self._monotonic = world, monotonic
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._broken: set[str] = set()
        self.injected: Counter[str] = Counter()
        """Faults that were done, by kind."""
        self.missed: Counter[str] = Counter()
        """Faults whose target did not run in time, by kind."""
        began = monotonic()
        for fault in faults:
            self._plan(fault, began + fault.at, began + fault.at + PATIENCE_S)

    def tick(self) -> bool:
        """Do what is due; return whether anything is left to do."""
        now = self._monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        return bool(self._due)

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._order), act))

    def _plan(self, fault: Fault, when: float, last: float) -> None:
        self._at(when, lambda: self._begin(fault, last))

    def _begin(self, fault: Fault, last: float) -> None:
        now = self._monotonic()
        if fault.target not in self._broken and self._world.runs(fault.target):
            self.injected[fault.kind] += 1
            self._broken.add(fault.target)
            self._break(fault, now + fault.seconds)
            self._at(now + fault.seconds, lambda: self._mend(fault))
        elif now < last:
            self._plan(fault, now + _LOOK_S, last)
        else:
            self.missed[fault.kind] += 1

    def _break(self, fault: Fault, end: float) -> None:
        world, target = self._world, fault.target
        match fault.kind:
            case "kill":
                world.kill(target, fault.seconds)
            case "pause" | "freeze":
                world.signal(target, signal.SIGSTOP)
            case "starve":
                self._starve(target, end)
            case "drop" | "delay" | "late" | "half-open":
                world.connections(target, fault.server, cast(Mode, fault.kind))
            case "full":
                world.fill_disk(target, full=True)
            case "clock":
                world.clock_file(target).write_text(str(fault.offset_ms))

    def _mend(self, fault: Fault) -> None:
        world, target = self._world, fault.target
        self._broken.remove(target)
        match fault.kind:
            case "pause" | "freeze":
                world.signal(target, signal.SIGCONT)
            case "drop" | "delay" | "late" | "half-open":
                world.connections(target, fault.server, "pass")
            case "full":
                world.fill_disk(target, full=False)
            case "clock":
                world.clock_file(target).write_text("0")

    def _starve(self, target: str, end: float) -> None:
        """Stop a process for most of a beat, and again until the end."""
        now = self._monotonic()
        if now + _BEAT_S > end:
            return
        self._world.signal(target, signal.SIGSTOP)
        self._at(now + _BEAT_S * (1 - _AWAKE), lambda: self._world.signal(target, signal.SIGCONT))
        self._at(now + _BEAT_S, lambda: self._starve(target, end))
