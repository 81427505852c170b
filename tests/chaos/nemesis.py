"""Does what the plan's schedule of faults says, and undoes it."""

import heapq
import itertools
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import cast

from tests.chaos.plan import Fault
from tests.chaos.proxy import Mode
from tests.chaos.world import World

_BEAT_S = 0.1
_AWAKE = 0.15
"""Share of the time that a starved process runs."""


class Nemesis:
    """The faults of one run.

    Args:
        world: What is broken.
        faults: When, how and for how long.
    """

    def __init__(self, world: World, faults: Iterable[Fault]) -> None:
        self._world = world
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._began = time.monotonic()
        self.injected: Counter[str] = Counter()
        for fault in faults:
            self._at(self._began + fault.at, lambda fault=fault: self._begin(fault))  # type: ignore[misc]

    def tick(self) -> bool:
        """Do what is due; return whether anything is left to do."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        return bool(self._due)

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._order), act))

    def _begin(self, fault: Fault) -> None:
        world, target = self._world, fault.target
        self.injected[fault.kind] += 1
        end = time.monotonic() + fault.seconds
        match fault.kind:
            case "kill":
                world.kill(target, fault.seconds)
            case "stop":
                world.signal(target, signal.SIGSTOP)
                self._at(end, lambda: world.signal(target, signal.SIGCONT))
            case "starve":
                self._starve(target, end)
            case "drop" | "delay" | "late" | "half-open":
                world.connections(target, fault.server, cast(Mode, fault.kind))
                self._at(end, lambda: world.connections(target, fault.server, "pass"))
            case "full":
                world.fill_disk(target, full=True)
                self._at(end, lambda: world.fill_disk(target, full=False))
            case "clock":
                world.clock_file(target).write_text(str(fault.offset_ms))
                self._at(end, lambda: self._right(target))

    def _right(self, target: str) -> None:
        self._world.clock_file(target).write_text("0")

    def _starve(self, target: str, end: float) -> None:
        """Stop a process for most of a beat, and again until the end."""
        now = time.monotonic()
        if now >= end:
            return
        self._world.signal(target, signal.SIGSTOP)
        self._at(now + _BEAT_S * (1 - _AWAKE), lambda: self._world.signal(target, signal.SIGCONT))
        self._at(now + _BEAT_S, lambda: self._starve(target, end))
