"""A short run by a fixed seed, in which faults come fast: every rule holds. `make chaos` has the long ones."""

from pathlib import Path

import pytest

from tests.chaos.faults import KINDS
from tests.chaos.plan import draw
from tests.chaos.run import run

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.timeout(900)]

SEED, SECONDS, EVERY_S = 539, 100.0, 2.0
"""Three minutes whole. By this seed both servers are killed, frozen and starved, and ClickHouse merges nothing, so that
what was inserted twice can be seen."""


def test_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    outcome = run(draw(SEED, SECONDS, every_s=EVERY_S), tmp_path / "home", print)
    print(outcome)
    assert outcome.violations == []
    assert {*outcome.faults} == {*KINDS}
    assert not outcome.missed
    assert outcome.events["fact"] > 4000
    assert outcome.held > 0
