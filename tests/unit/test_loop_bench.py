"""The pure parts of the loop's benchmark."""

import random
from pathlib import Path
from typing import Literal

import pytest

from bench.loop.__main__ import asked_for, file_of, keep, kept
from bench.loop.goals import Run, at, goals
from bench.loop.pipeline import Order, Point, chosen, last_outcome
from streams.errors import LabelloopError
from workers.history import Loop

GOLD = {"a": "cat", "b": "dog", "c": "cat", "d": "dog"}
WAITING = [("a", "cat"), ("b", "cat"), ("c", "dog"), ("d", "dog")]


def point(reviews: int, labels: float, test: float | None = None) -> Point:
    return Point(reviews, labels, test, "promoted", None, 1.0)


@pytest.mark.parametrize(("order", "first"), [("queue", "a"), ("perfect", "b")])
def test_a_perfect_order_begins_with_what_is_wrong(order: Literal["queue", "perfect"], first: str) -> None:
    found = chosen(WAITING, GOLD.__getitem__, order, random.Random(0))
    assert found[0][0] == first
    assert sorted(found) == sorted(WAITING)


def test_a_random_order_depends_on_the_seed_alone() -> None:
    def drawn(seed: int) -> list[str]:
        return [item for item, _ in chosen(WAITING, GOLD.__getitem__, "random", random.Random(seed))]

    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(20)}) > 1
    assert sorted(drawn(3)) == sorted(GOLD)


def test_a_share_is_the_first_point_that_has_so_many_reviews() -> None:
    points = [point(0, 0.8), point(20, 0.85), point(100, 0.9)]
    assert at(points, 1000, 0.1) == points[2]
    assert at(points, 1000, 0.2) is None


def test_goals_speak_of_the_mean_over_the_seeds() -> None:
    runs: dict[Run, list[Point]] = {
        ("labelme", "logistic", "queue", 0): [point(0, 0.8, None), point(100, 0.92, 0.89), point(200, 0.98, 0.93)],
        ("labelme", "logistic", "queue", 1): [point(0, 0.8, 0.8), point(100, 0.93, 0.92), point(200, 0.94, 0.93)],
        ("labelme", "lightgbm", "queue", 0): [point(0, 1.0, 1.0), point(100, 1.0, 1.0)],
    }
    found = {(goal.name, goal.of): goal for goal in goals(runs, {"labelme": 1000, "sentiment_polarity": 500})}
    assert found["L1", "labelme: right answers after 10%"].reached
    assert not found["L1", "labelme: right answers after 20%"].reached
    assert not found["L2", "labelme: test accuracy after 10%"].reached
    assert found["L3", "labelme: reviews until the test accuracy is 0.9"].figure == "100"
    assert not any("30%" in goal.of or goal.name == "L4" for goal in found.values())  # nobody came so far


def test_a_run_that_ends_early_says_nothing_of_how_soon() -> None:
    early: dict[Run, list[Point]] = {("labelme", "logistic", "queue", 0): [point(0, 0.8, 0.8), point(60, 0.9, 0.85)]}
    late: dict[Run, list[Point]] = {("labelme", "logistic", "queue", 0): [point(0, 0.8, 0.8), point(120, 0.9, 0.85)]}
    assert not [goal for goal in goals(early, {"labelme": 1000}) if goal.name == "L3"]
    assert [goal.figure for goal in goals(late, {"labelme": 1000}) if goal.name == "L3"] == ["not after 120"]


def test_a_run_that_ended_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.loop.__main__.KEPT", tmp_path)
    orders: list[Order] = ["queue", "random"]
    files = [file_of(("labelme", "logistic", order, 0), 0.3, 0.02) for order in orders]
    points = [point(0, 0.8, None), point(20, 0.85, 0.9)]
    keep(files[0], points)
    assert kept(files[0]) == points
    assert kept(files[1]) is None


def test_what_is_asked_for_must_be_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked_for(["--orders", "queue,perfect"]).orders == ["queue", "perfect"]
    with pytest.raises(SystemExit):
        asked_for(["--sets", "labelme,birds"])
    assert "birds: use labelme" in capsys.readouterr().err


def test_a_project_without_a_snapshot_has_no_outcome() -> None:
    with pytest.raises(LabelloopError, match="nothing became"):
        last_outcome(Loop())
