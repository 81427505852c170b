"""The queue a reviewer sees: the newest snapshot counts, in order of rank, without what is not for them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.query.tasks import DAY_MS, Task, Tasks


def task(item_id: str, rank: float, **fields: Any) -> Task:
    return {
        "project": "p",
        "item_id": item_id,
        "revision": item_id,
        "status": "open",
        "tier": "p1",
        "priority": 0.0,
        "rank": rank,
        "reasons": [],
        "opened_at": 0,
        "annotators": [],
        "skipped_by": [],
        "unsure_by": [],
        "group": None,
        "groups": [],
        "owner": None,
        "lease_until": None,
        "verdict": None,
        "budget_per_day": 0,
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


def test_a_task_is_aged_once_its_waiting_counts_more_than_its_priority() -> None:
    day, opened = 86_400_000, 20_000 * 86_400_000
    waiting = task("a", 0.05 - 0.01 * 20_000, priority=0.05, opened_at=opened, reasons=["disagreement"])
    tasks = Tasks("p", ["p1"])
    tasks.apply(waiting)
    told = [[one["reasons"] for one in tasks.queue(opened + days * day)] for days in (0, 4, 6)]
    assert told == [[["disagreement"]], [["disagreement"]], [["disagreement", "aged"]]]
    tasks.apply({**waiting, "rank": 0.05})
    assert [one["reasons"] for one in tasks.queue(opened + 900 * day)] == [["disagreement"]], "the policy knows no age"


snapshots = st.builds(
    task,
    st.sampled_from("abcdef"),
    st.sampled_from([0.1, 0.2, 0.3]),
    status=st.sampled_from(["open", "open", "closed"]),
    tier=st.sampled_from(["p0", "p1", "p2"]),
    skipped_by=st.sampled_from([[], [], ["ria"]]),
    group=st.sampled_from([None, "g", "h"]),
    groups=st.sampled_from([[], ["g"], ["near:1", "h"]]),
)


@given(st.lists(snapshots, max_size=30))
def test_after_any_snapshots_order_and_groups_are_those_of_the_newest_alone(told: list[Task]) -> None:
    newest = {one["item_id"]: one for one in told}
    tasks = Tasks("p", ["p0", "p1"], "ria")
    for one in told:
        tasks.apply(one)
    mine = [t for t in newest.values() if t["status"] == "open" and t["tier"] != "p2" and not t["skipped_by"]]
    assert [*tasks.queue(0)] == sorted(mine, key=lambda t: (-t["rank"], t["item_id"]))
    for name in ("g", "h", "near:1"):
        members = {i for i, t in newest.items() if t["status"] == "open" and name in (t["group"], *t["groups"])}
        assert {t["item_id"] for t in tasks.group(name)} == members
    for one in newest.values():
        for name, others in tasks.similar(one).items():
            assert others == sorted({t["item_id"] for t in tasks.group(name)} - {one["item_id"]})


def judged(item_id: str, at: int) -> Task:
    return task(item_id, 1, status="closed", tier=None, verdict={"at": at})


def test_a_budget_lets_the_most_urgent_through_and_counts_today_s_verdicts() -> None:
    tasks = Tasks("p", ["p1"], "ria")
    for name, rank in (("a", 0.9), ("b", 0.8), ("c", 0.7), ("d", 0.6)):
        tasks.apply(task(name, rank, budget_per_day=3))
    today = 20 * DAY_MS
    assert [found["item_id"] for found in tasks.queue(today)] == ["a", "b", "c"]
    assert tasks.held(today) == 1
    tasks.apply(judged("a", today + 5))
    tasks.apply(judged("x", today - 1))  # yesterday's
    assert [found["item_id"] for found in tasks.queue(today + 9)] == ["b", "c"]
    assert tasks.held(today + 9) == 1
    tasks.apply(task("b", 0.8, budget_per_day=3, owner="tom", lease_until=today + 100))
    assert [found["item_id"] for found in tasks.queue(today + 9)] == ["c"], "what others have claimed counts"
    assert [found["item_id"] for found in tasks.queue(today + DAY_MS)] == ["b", "c", "d"]
    assert tasks.held(today + DAY_MS) == 0


def test_an_undone_verdict_gives_its_place_back() -> None:
    tasks = Tasks("p", ["p1"], "ria")
    for snapshot in (task("b", 0.1, budget_per_day=1), judged("a", 5), task("a", 0.9, budget_per_day=1)):
        tasks.apply(snapshot)
    assert [found["item_id"] for found in tasks.queue(9)] == ["a"]
