"""What a process has used, as Linux tells it."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its children have used.

    Args:
        cpu_seconds: User and system time, that of children which have ended included.
        peak_mb: Largest resident memory of each, added up.
        mb: Present resident memory of all.
    """

    cpu_seconds: float
    peak_mb: float
    mb: float


def usage(pid: int) -> Usage:
    """Return what a process has used by now; nothing of one that is gone."""
    folder = Path(f"/proc/{pid}")
    try:
        spent = (folder / "stat").read_text().rpartition(")")[2].split()[11:15]  # utime, stime, cutime, cstime
        status = dict(line.partition(":")[::2] for line in (folder / "status").read_text().splitlines())
        children = [usage(int(n)) for n in (folder / "task" / str(pid) / "children").read_text().split()]
    except FileNotFoundError:
        return Usage(0.0, 0.0, 0.0)
    return Usage(
        sum(map(int, spent)) / _TICKS + sum(child.cpu_seconds for child in children),
        int(status.get("VmHWM", "0 kB").split()[0]) / 1024 + sum(child.peak_mb for child in children),
        int(status.get("VmRSS", "0 kB").split()[0]) / 1024 + sum(child.mb for child in children),
    )


def child_running(words: str) -> int:
    """Return the id of this process's child whose command line holds some words.

    Raises:
        LookupError: there is none.
    """
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        if words in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode():
            return int(pid)
    raise LookupError(f"no child runs {words!r}")
