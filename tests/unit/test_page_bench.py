"""The benchmarks' page draws what each of them writes."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import items, page, publish, recovery, review, scale, sink, training
from bench.latency import __main__ as latency
from bench.runtimes.rounds import Took
from bench.views.__main__ import Answer
from streams.errors import LabelloopError

TOOK = Took(1000, 0.5, 0.4, 100.0)
MS = {"p50": 70.0, "p99": 127.0, "p99.9": 159.0}


def results() -> dict[str, object]:
    """Return what each benchmark writes, made by its own functions."""
    run = latency.Run("here", 1000, dict.fromkeys(latency.WAYS, MS), 1.0, {"items": 300.0})
    answer = Answer("skill_now", "SELECT 1", 1, 1, 0.1, 0.05, 0.04, 0.06, [])
    two = [asdict(scale.Took(n, 1000, 2.0, 1.0, 1.0, 1.0)) for n in (1, 2)]
    states = [recovery.Took("here", store, 1_000_000, 15.0, 6.0, 700.0) for store in ("memory", "rocksdb")]
    return {
        "items": items.report([{"sink": 1e5, "labelloop": 2e4, "plain": 2.1e4, "faust": 1.7e3}], 200_000),
        "runtimes": {"rounds": [{"plain loop": asdict(TOOK)}]},
        "latency": latency.report([run]),
        "review": review.report(
            20_000,
            20_005,
            {review.OPEN: [0.3, 0.4], review.PLAIN: [0.2]},
            {"take a task": [90.0], "give a verdict": [2.0]},
        ),
        "publish": publish.report([dict.fromkeys((publish.SDK, publish.IMPORT, publish.PLAIN), TOOK)]),
        "sink": sink.report([dict.fromkeys((sink.SINK, sink.PREPARED), TOOK)]),
        "views": {"labels": 10, "cold_s": 1.0, "warm_s": 0.2, "views": [asdict(answer)]},
        "training": training.report(50_000, [dict.fromkeys(training.STEPS, 1.5)]),
        "recovery": {"cores": 2, "runs": [asdict(state) for state in states]},
        "scale": {"cores": 2, "rounds": [two], "pauses": [asdict(scale.Pause(0.2, 2.9, 1.8))]},
        "growth": {"10,000 items": {"to_first": 1.0}, "100 classes": {"to_first": 1.23}},
    }


def test_every_result_has_its_plots(tmp_path: Path) -> None:
    assert results().keys() == page.SECTIONS.keys()
    for name, found in results().items():
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    drawn = page.drawn(tmp_path)
    assert drawn.count("<h2") == len(page.SECTIONS)
    assert drawn.count("<svg") == len(page.SECTIONS) + 2  # two workers and a reviewer have two
    for text in ("1,000 a second, p99", "skill_now", "take a task, p99.9", "2 workers", "1,000,000 items, memory"):
        assert text in drawn
    assert "11.76 times the labels of stock Faust" in drawn


def test_what_has_not_run_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "growth.json").write_text(json.dumps(results()["growth"]))
    assert page.drawn(tmp_path).count("<h2") == 1


def test_nothing_to_draw_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(LabelloopError, match="run `make bench` or another"):
        page.drawn(tmp_path)
