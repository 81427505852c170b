"""The queue a reviewer sees: the newest snapshot counts, in order of rank, without what is not for them."""

from typing import Any

from streams.query.tasks import Task, Tasks


def task(item_id: str, rank: float, **fields: Any) -> Task:
    return {
        "project": "p",
        "item_id": item_id,
        "revision": item_id,
        "status": "open",
        "tier": "p1",
        "rank": rank,
        "annotators": [],
        "skipped_by": [],
        "unsure_by": [],
        "owner": None,
        "lease_until": None,
        **fields,
    }


def queue_of(*snapshots: Task, reviewer: str | None = "ria", now: int = 1000) -> list[str]:
    tasks = Tasks("p", ["p0", "p1"], reviewer)
    for snapshot in snapshots:
        tasks.apply(snapshot)
    return [found["item_id"] for found in tasks.queue(now)]


def test_highest_rank_first_ties_by_item() -> None:
    assert queue_of(task("b", 0.1), task("a", 0.1), task("c", 0.9)) == ["c", "a", "b"]


def test_a_superseded_task_is_gone() -> None:
    assert queue_of(task("a", 0.9), task("b", 0.5), task("a", 0.1)) == ["b", "a"]
    assert queue_of(task("a", 0.9), task("a", 0.9, status="closed", tier=None)) == []


def test_other_projects_and_tiers_are_left_out() -> None:
    assert queue_of(task("a", 1, project="q"), task("b", 1, tier="p2")) == []


def test_nobody_is_given_what_they_labelled_or_skipped_or_could_not_decide() -> None:
    snapshots = [task(name[0], 1, **{name: ["ria"]}) for name in ("annotators", "skipped_by", "unsure_by")]
    assert queue_of(*snapshots) == []
    assert queue_of(*snapshots, reviewer="tom") == ["a", "s", "u"]
    assert queue_of(*snapshots, reviewer=None) == ["a", "s", "u"]


def test_a_claimed_task_is_free_again_after_its_lease() -> None:
    claimed = task("a", 1, owner="tom", lease_until=2000)
    assert queue_of(claimed, now=1999) == []
    assert queue_of(claimed, now=2000) == ["a"]
    assert queue_of(claimed, now=1999, reviewer="tom") == ["a"]
