"""Stepping back: a nice value of the process, and on Linux of its session where it leads one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams import background

TELL = """
import os, sys
from streams import background
if sys.argv[1] == "steps back":
    background.step_back()
weight = background._AUTOGROUP.read_text().split() if background._AUTOGROUP.exists() else []
print(os.nice(0), weight[-1] if weight else "none")
"""


def _nice_values(does: str, leads: bool) -> tuple[int, str]:
    """The nice value of a process that `does` it, and that of its session: `none` where sessions weigh nothing."""
    told = subprocess.run(
        [sys.executable, "-c", TELL, does], capture_output=True, text=True, start_new_session=leads, check=True
    )
    process, session = told.stdout.split()
    return int(process), session


@pytest.mark.parametrize("leads", [True, False])
def test_a_session_of_its_own_steps_back_and_one_that_it_shares_does_not(leads: bool) -> None:
    before, session_before = _nice_values("stays", leads)
    after, session_after = _nice_values("steps back", leads)
    assert after == min(19, before + background._NICE)
    # a process that was started before the system has a session may have no weight to change (an empty file)
    weighs = leads and session_before != "none"
    assert session_after == (str(background._NICE) if weighs else session_before)


def test_a_system_without_sessions_to_weigh_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(background, "_AUTOGROUP", tmp_path / "missing" / "autogroup")
    monkeypatch.setattr(os, "nice", lambda value: value)
    monkeypatch.setattr(os, "getsid", lambda pid: os.getpid())
    background.step_back()
