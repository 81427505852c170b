"""Intervals hold the accuracy as often as they say, and drift is told from chance."""

import random
import statistics

import pytest

from streams.quality.labels import arrange
from streams.quality.reliability import LEVEL, drift, reliability
from streams.quality.truth import infer


def test_intervals_hold_the_accuracy_nine_times_in_ten() -> None:
    """Of 5,200 annotators of whom nothing but their labels is known, in projects of every kind."""
    draw = random.Random(5)
    held = total = 0
    for n in range(260):
        classes, items = "abcd"[: draw.choice([2, 3, 4])], draw.choice([60, 120])
        accuracy = {f"w{w}": draw.betavariate(12, 4) for w in range(20)}
        truth = [draw.choice(classes) for _ in range(items)]
        rows = []
        for item, label in enumerate(truth):
            for w in draw.sample(sorted(accuracy), 5):
                wrong = [one for one in classes if one != label]
                rows.append((f"i{item}", w, label if draw.random() < accuracy[w] else draw.choice(wrong)))
        result = infer(arrange(rows, classes))
        coin = result.models["one coin"].counts
        pooled = float(coin.right.sum() / coin.given.sum())
        posterior = {item: result.of(item) for item in result.labels.items}
        for w in accuracy:
            mine = [posterior[item].get(label, 0.0) for item, who, label in rows if who == w]
            found = reliability(mine, pooled)
            held += found.low <= accuracy[w] <= found.high
            total += 1
        assert n < 260
    assert total == 5200
    assert LEVEL - 0.03 <= held / total <= LEVEL + 0.03


def test_the_recent_accuracy_follows_the_newest_answers() -> None:
    found = reliability([1.0] * 300 + [0.0] * 100, 0.8)
    assert found.recent < 0.3 < 0.7 < found.accuracy
    assert found.low < found.accuracy < found.high
    nobody = reliability([], 0.8)
    assert nobody.accuracy == pytest.approx(0.8)
    assert nobody.high - nobody.low > 0.5


@pytest.mark.parametrize("accuracy", [0.95, 0.85, 0.7, 0.55])
def test_drift_alarms_are_few_without_drift_and_soon_with_it(accuracy: float) -> None:
    draw = random.Random(1)

    def answers(count: int, share: float) -> list[float]:
        return [float(draw.random() < share) for _ in range(count)]

    false = sum(drift(answers(3000, accuracy)) is not None for _ in range(60))
    assert false <= 9  # in 3,000 answers of one annotator in ten at most, with room for chance
    delays = []
    for _ in range(40):
        given = answers(150, accuracy) + answers(300, accuracy - 0.3)
        at = next((n for n in range(155, 451, 5) if (drift(given[:n]) or 0) >= 150), None)
        if at is not None:
            delays.append(at - 150)
    assert len(delays) >= 36
    assert statistics.mean(delays) < 120


def test_too_few_answers_say_nothing_of_drift() -> None:
    assert drift([0.0] * 60) is None
    assert drift([]) is None
