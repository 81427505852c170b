"""Wall time, injected: nothing else in the project may ask what time it is."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Tells the time in milliseconds since 1970-01-01 UTC."""

    def now_ms(self) -> int:
        """Return the present time in milliseconds."""


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Return the machine's time in milliseconds."""
        return time.time_ns() // 1_000_000


@dataclass(slots=True)
class ManualClock:
    """A clock that a test sets."""

    ms: int = 0

    def now_ms(self) -> int:
        """Return the time that was set."""
        return self.ms
