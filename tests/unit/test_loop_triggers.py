"""When a model is trained: each rule of the policy, and none without new corrections."""

from dataclasses import replace
from typing import Any

import pytest

from streams.events import choice
from streams.projects import Guideline, ProjectView, Training
from workers.triggers import HOUR_MS, Corrections, cause, is_quiet

AS_OF = 1_000


def record(item: str, at: int, label: str = "wren", source: str = "verdict") -> dict[str, Any]:
    value = None if source == "none" else choice(label)
    return {"item_id": item, "source": source, "value": value, "updated_at": at}


def corrections(*records: dict[str, Any]) -> Corrections:
    found = Corrections()
    for n, one in enumerate(records):
        found.apply(one, float(n))
    return found


def view(**training: Any) -> ProjectView:
    nothing = {"after_corrections": 0, "on_guideline": False}
    return ProjectView(training=replace(Training(), **{**nothing, **training}))


def asked(view: ProjectView, found: Corrections, *, as_of: int | None = AS_OF, drift_at: int | None = None,
          today: int = 0, now_ms: int = 2_000) -> str | None:  # fmt: skip
    return cause(view, found, as_of, drift_at, today, now_ms)


THREE = [record("a", 1_001), record("b", 1_002, "robin"), record("c", 1_003, "robin")]


def test_so_many_new_corrections_or_so_many_of_a_class() -> None:
    assert asked(view(after_corrections=3), corrections(*THREE)) == "corrections"
    assert asked(view(after_corrections=4), corrections(*THREE)) is None
    assert asked(view(after_class_corrections=2), corrections(*THREE)) == "class"
    assert asked(view(after_class_corrections=3), corrections(*THREE)) is None


def test_what_the_last_snapshot_has_is_not_new_and_what_is_undone_is_none() -> None:
    policy = view(after_corrections=1)
    assert asked(policy, corrections(record("a", AS_OF))) is None
    assert asked(policy, corrections(record("a", AS_OF)), as_of=None) == "corrections"
    assert asked(policy, corrections(record("a", 1_001), record("a", 1_002, source="none"))) is None
    assert asked(policy, corrections(record("a", 1_001, source="consensus"))) is None


def test_age_counts_from_the_last_snapshot_and_only_with_something_new() -> None:
    policy = view(after_hours=1.0)
    assert asked(policy, corrections(*THREE), now_ms=AS_OF + HOUR_MS) == "age"
    assert asked(policy, corrections(*THREE), now_ms=AS_OF + HOUR_MS - 1) is None
    assert asked(policy, corrections(), now_ms=AS_OF + HOUR_MS) is None


def test_drift_and_a_new_guideline() -> None:
    assert asked(view(on_drift=True), corrections(*THREE), drift_at=1_001) == "drift"
    assert asked(view(on_drift=True), corrections(*THREE), drift_at=AS_OF) is None
    changed = replace(view(on_guideline=True), guidelines=(Guideline("g2", (), 1_002),))
    assert asked(changed, corrections(*THREE)) == "guideline"
    assert asked(changed, corrections(THREE[0])) is None  # nobody has worked by it yet


def test_the_budget_of_a_day() -> None:
    policy = view(after_corrections=1, max_per_day=2)
    assert asked(policy, corrections(*THREE), today=1) == "corrections"
    assert asked(policy, corrections(*THREE), today=2) is None


@pytest.mark.parametrize(("now", "due_since", "quiet"), [(6.9, 2.0, False), (7.0, 2.0, True), (6.0, -44.0, True)])
def test_a_burst_is_waited_for_but_not_for_ever(now: float, due_since: float, quiet: bool) -> None:
    found = corrections(*THREE)  # the last one came at 2 s
    found.due_since = due_since
    assert is_quiet(view(quiet_s=5.0), found, now) is quiet
