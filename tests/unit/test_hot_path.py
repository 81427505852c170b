"""What the items worker does for a label stays within its bounds: counts, never times."""

import pytest

from bench import bounds
from streams.processors import snapshots
from streams.processors.answer import answer


@pytest.mark.parametrize("name", bounds.SHAPES)
def test_a_label_costs_no_more_than_its_bounds(name: str) -> None:
    allowed = bounds.bounds()[name]
    found = bounds.counts(bounds.SHAPES[name])
    passed = {what: (number, allowed[what]) for what, number in found.items() if number > allowed[what]}
    assert not passed, f"{name}: a label takes more than bench/bounds.json allows (found, bound): {passed}"


def test_work_that_is_done_twice_passes_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "3 labels an item"
    monkeypatch.setattr(snapshots, "answer", lambda *given: (answer(*given), answer(*given))[0])
    found = bounds.counts(bounds.SHAPES[name])
    assert found["python_calls"] > bounds.bounds()[name]["python_calls"]
