"""Stepping back: a nice value of the process, and on Linux of its session where it leads one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams import background

TELL = (
    "import os; from streams.background import step_back; step_back(); "
    "print(os.nice(0), *open('/proc/self/autogroup').read().split()[-1:])"
)


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel has no autogroups")
@pytest.mark.parametrize("leads", [True, False])
def test_a_session_of_its_own_steps_back_and_one_that_it_shares_does_not(leads: bool) -> None:
    before = Path("/proc/self/autogroup").read_text().split()[-1]
    done = subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, start_new_session=leads)
    own, session = done.stdout.split()
    assert int(own) == min(19, os.nice(0) + background._NICE)
    assert session == (str(background._NICE) if leads else before)


def test_a_system_without_sessions_to_weigh_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(background, "_AUTOGROUP", tmp_path / "missing" / "autogroup")
    monkeypatch.setattr(os, "nice", lambda value: value)
    monkeypatch.setattr(os, "getsid", lambda pid: os.getpid())
    background.step_back()
