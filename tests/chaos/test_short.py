"""A short run by a fixed seed: every rule holds. `make chaos` has the long ones."""

from pathlib import Path

import pytest

from tests.chaos.plan import draw
from tests.chaos.run import run

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.timeout(400)]

SEED, SECONDS = 215, 25.0


def test_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    outcome = run(draw(SEED, SECONDS), tmp_path / "home", print)
    assert outcome.violations == []
    assert sum(outcome.faults.values()) >= 4
    assert outcome.events["fact"] > 1000
    assert outcome.held > 0
