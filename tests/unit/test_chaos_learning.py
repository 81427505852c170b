"""The rules of the chaos runs for the loop of retraining: each fault in it is found."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from streams import codec
from streams.producers import facts
from streams.producers.wire import key_of
from tests.chaos.evidence import Evidence
from tests.unit.chaos_logs import P, append, clean, first, newest, texts
from workers.registry import About, fact


def tell_a_snapshot(run: Evidence, **fields: Any) -> None:
    """Say something else of the snapshot than it is."""
    records, record = first(run, "snapshots")
    records[0] = record._replace(value=codec.encode("snapshots", codec.decode(record.value)[1] | fields))


def train_a_snapshot_twice(run: Evidence) -> None:
    _, record = first(run, "models")
    trained = codec.decode(record.value)[1]
    again = fact(P, "trained", About("m2", trained["snapshot"]), caused_by="c")
    append(run, "models", record, codec.encode("models", again))


def train_twice(run: Evidence) -> None:
    _, record = first(run, "models")
    append(run, "models", record, record.value)


def predict_by_no_champion(run: Evidence) -> None:
    predict(run, "m2", "x")


def predict_for_no_reason(run: Evidence) -> None:
    predict(run, "m1", "x")


def predict(run: Evidence, version: str, cause: str) -> None:
    told = facts.prediction(P, "i1", version, probabilities={"cat": 0.9, "dog": 0.1}, caused_by=cause)
    append(run, "predictions", newest(run, "predictions", "i1")[1], codec.encode(*told), key_of(told))


def lose_a_prediction(run: Evidence) -> None:
    records, record = newest(run, "predictions", "i3")
    records.remove(record)


def score_unsaid(run: Evidence) -> None:
    records: Any = run.log["models", 0]
    records[:] = [one for one in records if codec.decode(one.value)[1]["stage"] != "scored"]


def lose_a_receipt(run: Evidence) -> None:
    first(run, "feedback")[0].pop()


def tell_nobody(run: Evidence) -> None:
    run.log["models", 0].pop()  # type: ignore[attr-defined]


def lose_a_fact_of_a_snapshot(run: Evidence) -> None:
    records, record = newest(run, "corrections", "i1")
    records.remove(record)


def freeze_other_examples(run: Evidence) -> None:
    tell_a_snapshot(run, fixed=[{"item_id": "i1", "value": "{}"}])


def name_a_snapshot_otherwise(run: Evidence) -> None:
    tell_a_snapshot(run, snapshot="s-1")


FAULTS: Mapping[Callable[[Evidence], None], str] = {
    train_a_snapshot_twice: "has the models ['m1', 'm2']",
    train_twice: "is there 2 times",
    predict_by_no_champion: "crowd/i1 is predicted by m2, not by m1",
    predict_for_no_reason: "1 items are predicted by x, which is no promotion",
    lose_a_prediction: "of m1 has scored 10 items, and 9 are predicted",
    score_unsaid: "crowd: to score m1 was left undone",
    lose_a_receipt: "m1 has told ",
    tell_nobody: "m1 has told 0 receipts, and",
    lose_a_fact_of_a_snapshot: "models: crowd: of snapshot s-",
    freeze_other_examples: "fixed is [{'item_id': 'i1', 'value': '{}'}], not []",
    name_a_snapshot_otherwise: "of snapshot s-1 snapshot is 's-1', not ",
}
"""What is said of each fault; each is something that no other rule says."""


@pytest.mark.parametrize("break_it", FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_found(break_it: Callable[[Evidence], None]) -> None:
    run = clean()
    break_it(run)
    found = texts(run)
    assert any(FAULTS[break_it] in text for text in found), found


def test_a_promotion_that_was_followed_before_it_was_scored_has_no_predictions() -> None:
    run = clean()
    records, record = first(run, "models")
    trained = codec.decode(record.value)[1]
    before = fact(P, "promoted", About("m1", trained["snapshot"]), caused_by="by hand")
    records.insert(1, record._replace(value=codec.encode("models", before)))
    assert texts(run) == []
