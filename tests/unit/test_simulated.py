"""Simulated annotators are what they are said to be, and the same for the same seed."""

from collections import Counter, defaultdict

from streams.producers.simulated import Label, crowd, labels

CLASSES = ["wren", "robin", "owl"]
TRUTH = {f"img-{n}": CLASSES[n % 3] for n in range(1200)}
START = 1_700_000_000_000


def simulated(seed: int = 1) -> list[Label]:
    return [*labels(TRUTH, CLASSES, crowd(CLASSES, seed), seed=seed, overlap=3, start_ms=START, days=5)]


def accuracy(given: list[Label]) -> float:
    return sum(label.value == TRUTH[label.item_id] for label in given) / len(given)


def test_the_same_seed_gives_the_same_labels() -> None:
    assert simulated() == simulated()
    assert simulated(1) != simulated(2)


def test_every_item_is_labelled_by_different_annotators_who_are_plainly_simulated() -> None:
    found = simulated()
    annotators = defaultdict(set)
    for label in found:
        annotators[label.item_id].add(label.annotator)
    assert {len(names) for names in annotators.values()} == {3}
    assert annotators.keys() == TRUTH.keys()
    assert all(label.annotator.startswith("simulated-") and label.value in CLASSES for label in found)


def test_labels_come_in_order_over_the_days() -> None:
    times = [label.occurred_at for label in simulated()]
    assert times == sorted(times)
    assert START <= times[0] < times[-1] < START + 5 * 86_400_000


def test_each_temper_errs_in_its_way() -> None:
    found = defaultdict(list)
    for label in simulated():
        found[label.annotator].append(label)
    careful, hasty, spammer = (accuracy(found[f"simulated-{kind}-1"]) for kind in ("careful", "hasty", "spammer"))
    assert careful > 0.9 > hasty > 0.65 > 0.5 > spammer
    drifting = found["simulated-drifting-1"]
    half = len(drifting) // 2
    assert accuracy(drifting[:half]) > accuracy(drifting[half:]) + 0.15
    assert Counter(label.value for label in found["simulated-spammer-1"]).most_common(1)[0][0] == CLASSES[0]
    assert all(label.duration_ms > 0 for label in drifting)
