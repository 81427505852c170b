"""Stepping back behind the processes that people wait for, where all share a few cores."""

import os
from contextlib import suppress
from pathlib import Path

_NICE = 10
_AUTOGROUP = Path("/proc/self/autogroup")


def step_back() -> None:
    """Have the items worker and the broker served first: people wait for the queue, not for a row in a table.

    Linux shares the cores among sessions first (`sched_autogroup_enabled`), and looks at nice values within one: a
    process that leads a session of its own steps back with it.
    """
    os.nice(_NICE)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # another system, or a kernel without it
            _AUTOGROUP.write_text(str(_NICE))
