"""Several processes of one command: those that die come again, and one that is given up ends all."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from streams.embedded import several
from streams.settings import NOWHERE, ClickHouseAddress, Settings
from tests.waiting import eventually, is_alive


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    nowhere = ClickHouseAddress.parse(NOWHERE)
    return Settings(tmp_path, "localhost:1", nowhere, nowhere)


def command(code: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", code)


LIVE = "import os, pathlib, time; pathlib.Path(str(os.getpid())).touch(); time.sleep(60)"


def pids(folder: Path) -> list[int]:
    return [int(file.name) for file in folder.iterdir() if file.name.isdecimal()]


def test_one_that_dies_comes_again_and_an_interrupt_ends_all(settings: Settings) -> None:
    told: list[str] = []

    def watch() -> None:
        eventually(lambda: len(pids(settings.home)) == 2, "both run", 30)
        os.kill(pids(settings.home)[0], signal.SIGKILL)
        eventually(lambda: len(pids(settings.home)) == 3, "one comes again", 30)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=watch)
    thread.start()
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        assert several.run(settings, command(LIVE), 2, told.append) == 0
    finally:
        signal.signal(signal.SIGINT, former)
    thread.join()
    assert len(told) == 1
    assert "ended with status -9, next start in 0.5 s" in told[0]
    assert not any(map(is_alive, pids(settings.home)))


def test_one_that_must_stay_stopped_ends_its_neighbours(settings: Settings) -> None:
    code = (
        "import os, pathlib, sys, time; pathlib.Path(str(os.getpid())).touch()\n"
        "try: pathlib.Path('first').touch(exist_ok=False)\n"
        "except FileExistsError: time.sleep(60)\n"
        "while len([*pathlib.Path().iterdir()]) < 3: time.sleep(.01)\n"
        "sys.exit(78)"
    )
    told: list[str] = []
    assert several.run(settings, command(code), 2, told.append) == 78
    assert "is given up" in told[0]
    assert not any(map(is_alive, pids(settings.home)))
