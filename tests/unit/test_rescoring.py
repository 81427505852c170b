"""A refit moves the items that were there: in slices, once each, and settled by the fit alone."""

from typing import Any

import pytest

from streams import codec, events
from streams.errors import LabelloopError
from streams.processors.fits import Skills, proposals
from streams.processors.items import FitMissing, Items
from streams.processors.rescoring import LEAST_ITEMS, MOST_ITEMS
from streams.projects import DEFAULTS, Projects
from streams.transport.batch import Batch, Effects, MemoryRows
from tests.unit.facts import PROJECT, fact, label, verdict
from tests.unit.test_items import Fetched, raw
from tests.unit.test_project import judgement, project_of


class Worker:
    """An items worker of one partition that hears of fits.

    Args:
        items: Items that get three labels each, two of one class.
    """

    def __init__(self, items: int) -> None:
        self.skills, self.rows = Skills(), MemoryRows()
        self.items = Items("x", 1, Projects(), self.skills)
        names = [f"i{n:04}" for n in range(items)]
        self.labels = [
            label(w, "cat" if w != "c" else "dog", item_id=name, event_id=f"{name}{w}") for name in names for w in "abc"
        ]
        self.handle("labels", *(raw("labels", one) for one in self.labels))

    def handle(self, topic: str, *records: Fetched) -> Effects:
        effects = self.items.handle(Batch(f"x.{topic}", 0, records, 0, len(records)), self.rows)
        self.rows.update(effects.rows)
        return effects

    def slice(self, order: dict[str, Any]) -> tuple[list[str], dict[str, Any] | None]:
        """Score a slice; return its items, and the order of the next one."""
        effects = self.handle("rescores", Fetched(codec.encode("rescores", order), b"k"))
        more = [codec.decode(out.value)[1] for out in effects.records if out.topic == "x.rescores"]
        return sorted(key.decode().split("/")[1] for key in effects.rows), more[0] if more else None

    def refit(self, number: int, trusted: str) -> None:
        """Publish a fit by which one annotator is always right and the others guess."""
        other = {"cat": "dog", "dog": "cat"}
        rows = []
        for n in range(200):
            truth = "cat" if n % 2 else "dog"
            for w in "abc":
                said = truth if w == trusted or (n // 2 + ord(w)) % 2 else other[truth]
                rows.append(judgement(f"z{n}", w, said, reference=events.choice(truth)))
        project = project_of(*rows)
        for record in proposals(PROJECT, project, project.fit(), DEFAULTS, number, None):
            if record.topic == "annotators":
                self.skills.learn(record.value, 0)

    def rescore(self, refit: int, *, all_: bool = False) -> list[dict[str, Any]]:
        """Score again until nothing is left to do, and return the tasks that were told, in order."""
        todo = [codec.encode("rescores", {"project": PROJECT, "refit": refit, "all": all_})]
        told = []
        while todo:
            effects = self.handle("rescores", *(Fetched(value, b"k") for value in todo))
            todo = [out.value for out in effects.records if out.topic == "x.rescores"]
            told += [codec.decode(out.value)[1] for out in effects.records if out.topic == "x.review.state"]
        return told


def test_a_refit_moves_the_open_items_and_tells_of_those_that_moved() -> None:
    worker = Worker(3)
    worker.handle("corrections", raw("corrections", verdict("r", "confirmed", "cat", item_id="i0001")))
    worker.refit(5, "c")
    told = worker.rescore(5)
    assert [task["item_id"] for task in told] == ["i0000", "i0002"], "what is closed has nothing to be re-ordered"
    assert {task["consensus"]["choice"] for task in told} == {"dog"}
    assert {task["consensus_source"] for task in told} == {"posterior"}
    assert told[0]["p_wrong"] == pytest.approx(1 - told[0]["posterior"]["dog"], abs=1e-6)
    assert not worker.rescore(5), "nothing moved since"


def test_settling_tells_of_every_change_and_depends_on_the_fit_alone() -> None:
    one, other = Worker(4), Worker(4)
    one.refit(5, "a")
    one.rescore(5)
    for worker, refit in ((one, 9), (other, 3)):
        worker.refit(refit, "c")
        worker.rescore(refit, all_=True)
    states = [{key: row["facts"] for key, row in worker.rows.items()} for worker in (one, other)]
    assert states[0] == states[1]
    sent = [{key: row["sent"]["state"] for key, row in worker.rows.items()} for worker in (one, other)]
    assert sent[0] == sent[1]


def test_many_items_are_scored_again_in_slices() -> None:
    worker = Worker(2 * LEAST_ITEMS + 1)
    worker.refit(5, "c")
    first, more = worker.slice({"project": PROJECT, "refit": 5, "all": False})
    assert first == [f"i{n:04}" for n in range(LEAST_ITEMS)]
    assert more is not None
    assert more["after"] == first[-1]
    worker.items = Items("x", 1, Projects(), worker.skills)  # after a crash nothing is remembered but the record
    rest, more = worker.slice(more)
    assert rest == [f"i{n:04}" for n in range(LEAST_ITEMS, 2 * LEAST_ITEMS)]
    assert more is not None
    assert worker.slice(more) == ([f"i{2 * LEAST_ITEMS:04}"], None)


def test_slices_grow_until_facts_come_in_between() -> None:
    worker = Worker(3 * MOST_ITEMS)
    worker.refit(5, "c")
    more: dict[str, Any] | None = {"project": PROJECT, "refit": 5, "all": False}
    sizes = []
    for n in range(8):
        if n == 6:
            worker.handle("labels", raw("labels", label("d", "cat", item_id="i0000", event_id="late")))
        assert more is not None
        items, more = worker.slice(more)
        sizes.append(len(items))
    growing = [min(LEAST_ITEMS * 2**n, MOST_ITEMS) for n in range(6)]
    assert growing[-1] == MOST_ITEMS
    assert sizes == growing + growing[:2]


def test_an_order_waits_for_the_last_slice_of_the_one_before_and_then_begins() -> None:
    worker = Worker(3 * LEAST_ITEMS)
    worker.refit(5, "c")
    first, more = worker.slice({"project": PROJECT, "refit": 5, "all": False})
    worker.refit(6, "a")
    newer = {"project": PROJECT, "refit": 6, "all": False, "after": None, "request": None}
    assert more is not None
    orders, scored = [more, newer], first
    while len(orders) > 1:
        effects = worker.handle("rescores", *(Fetched(codec.encode("rescores", one), b"k") for one in orders))
        scored += sorted(key.decode().split("/")[1] for key in effects.rows)
        orders = [codec.decode(out.value)[1] for out in effects.records if out.topic == "x.rescores"]
    assert scored == [f"i{n:04}" for n in range(3 * LEAST_ITEMS)], "the order before was carried out to its end"
    (last,) = orders
    assert (last["refit"], last["after"]) == (6, None)
    assert worker.slice(last)[0] == [f"i{n:04}" for n in range(LEAST_ITEMS)]


def test_two_orders_that_are_carried_out_at_a_time_list_the_items_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, listed = Worker(3 * LEAST_ITEMS), list[bytes]()
    scan = worker.rows.scan

    def noted(prefix: bytes) -> list[bytes]:
        listed.append(prefix)
        return scan(prefix)

    monkeypatch.setattr(worker.rows, "scan", noted)
    worker.refit(5, "c")
    _, more = worker.slice({"project": PROJECT, "refit": 5, "all": False})
    worker.refit(6, "a")
    orders = [more, {"project": PROJECT, "refit": 6, "all": True, "after": None, "request": None}]
    while orders := [one for order in orders if order is not None and (one := worker.slice(order)[1]) is not None]:
        pass
    assert len(listed) == 2


def test_an_order_does_not_wait_for_one_that_another_worker_carries_out() -> None:
    worker = Worker(3 * LEAST_ITEMS)
    worker.refit(5, "c")
    worker.slice({"project": PROJECT, "refit": 5, "all": False})  # its next slice never comes here
    worker.refit(6, "a")
    newer = {"project": PROJECT, "refit": 6, "all": False, "after": None, "request": None}
    scored, again = worker.slice(newer)
    assert not scored
    assert again is not None
    assert len(worker.slice(again)[0]) > 0


def test_an_order_that_a_newer_one_makes_needless_is_passed_over() -> None:
    worker = Worker(3)
    worker.refit(5, "c")
    orders = [{"project": PROJECT, "refit": refit, "all": False} for refit in (4, 5, 5)]
    effects = worker.handle("rescores", *(Fetched(codec.encode("rescores", one), b"k") for one in orders))
    assert sum(out.topic == "x.review.state" for out in effects.records) == 3
    with pytest.raises(FitMissing, match="refit 6"):
        worker.rescore(6)
    other = codec.encode("rescores", {"project": "of nobody", "refit": 0, "all": True})
    assert not worker.handle("rescores", Fetched(other, b"k")).records


def test_what_a_model_says_is_a_judgement_until_another_model_speaks() -> None:
    worker = Worker(1)

    def told(model: str, version: str, **fields: Any) -> list[dict[str, Any]]:
        shares = {"probabilities": {"cat": 0.3, "dog": 0.7}, **fields}
        said = fact("predictions", model, kind="model", item_id="i0000", model_version=version, **shares)
        records = worker.handle("predictions", raw("predictions", said)).records
        found = [codec.decode(out.value)[1] for out in records if out.topic == "x.judgements"]
        return [one for one in found if one["actor_kind"] == "model"]

    (first,) = told("lr", "1", occurred_at=1)
    assert (first["annotator"], first["value"]["choice"]) == ("lr", "dog")
    assert first["probabilities"] == {"cat": 0.3, "dog": 0.7}
    silent, second = told("lgbm", "2", occurred_at=2)
    assert (silent["annotator"], silent["value"], silent["probabilities"]) == ("lr", None, {})
    assert second["annotator"] == "lgbm"
    (gone,) = told("lgbm", "3", occurred_at=3, out_of_sample=False)
    assert (gone["annotator"], gone["probabilities"]) == ("lgbm", {})


def test_rows_of_another_format_are_not_scored_again_either() -> None:
    worker = Worker(1)
    for row in worker.rows.values():
        row["format"] = 3
    with pytest.raises(LabelloopError, match="have format 3, and this labelloop writes 2"):
        worker.rescore(0, all_=True)
