"""When a process that ended is started again, and when it is given up: a pure policy."""

from dataclasses import dataclass

STOP_FOR_GOOD = 78
"""Exit status (sysexits' EX_CONFIG) of a worker that a restart cannot help."""
FIRST_DELAY = 0.5  # seconds
LONGEST_DELAY = 10.0  # seconds
HEALTHY_AFTER = 30.0  # seconds of running, after which earlier failures no longer slow a restart down
FAILURES_ALLOWED = 8
WINDOW = 120.0  # seconds


@dataclass(frozen=True, slots=True)
class History:
    """The failures of one process that still count.

    Args:
        streak: Failures in a row, none of them after `HEALTHY_AFTER` seconds of running.
        times: When the failures of the last `WINDOW` seconds happened, in seconds of a monotonic clock.
    """

    streak: int = 0
    times: tuple[float, ...] = ()

    def after_failure(self, now: float, ran: float) -> "History":
        """Return the history with one more failure, at `now`, of a process that ran for `ran` seconds."""
        streak = 1 if ran >= HEALTHY_AFTER else self.streak + 1
        return History(streak, (*(time for time in self.times if time > now - WINDOW), now))

    def delay(self, status: int) -> float | None:
        """Return the seconds to wait before the next start, None if there is to be none.

        Args:
            status: Exit status of the last failure, negative for a signal.
        """
        if status == STOP_FOR_GOOD or len(self.times) >= FAILURES_ALLOWED:
            return None
        return float(min(FIRST_DELAY * 2 ** (self.streak - 1), LONGEST_DELAY))
