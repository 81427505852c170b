"""Receipts beside a slow recomputation: who hears of what, once each, with the right numbers, within the limit."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from streams import codec, events
from streams.processors.item_state import ItemState, fold, new_state
from streams.projects import DEFAULTS
from tests.unit.facts import fact, label, verdict
from workers.dataset import Dataset, Item, Place, Row, Value
from workers.receipts import Lesson, Receipt, receipts

CLASSES = ("x", "y")
ANNOTATORS = ("anna", "ben", "cleo")
NOON = 1_777_888_800_000


def choice(name: str | None) -> Value | None:
    return None if name is None else {"kind": "choice", "choice": name}


class Case(NamedTuple):
    """A snapshot, what two models say of it, and the facts by event_id."""

    dataset: Dataset
    lesson: Lesson
    facts: Mapping[str, tuple[str, events.Event]]

    @property
    def causes(self) -> set[str]:
        return {id_ for id_, (topic, _) in self.facts.items() if topic in ("corrections", "flags")}


def case(
    facts: list[tuple[str, events.Event]],
    rows: Mapping[str, tuple[str, str]],
    before: Mapping[str, str] | None,
    after: Mapping[str, str],
    groups: Mapping[str, str] | None = None,
) -> Case:
    """Return a case; `rows` are value and source by item."""
    states: dict[str, ItemState] = {}
    for topic, event in facts:
        state = states.setdefault(event["item_id"], new_state("p", event["item_id"]))
        fold(state, topic, event, NOON + event["source_seq"], 1)
    items = {name: Item(name, group=(groups or {}).get(name)) for name in sorted({*states, *rows})}
    dataset = Dataset(
        project="p",
        view=replace(DEFAULTS, members={"lena": "lead"}),
        rows=tuple(Row(items[i], choice(v) or {}, source, 1_000_000, ()) for i, (v, source) in sorted(rows.items())),
        items=items,
        states=dict(sorted(states.items())),
        places={e["event_id"]: Place(t, 0, n) for n, (t, e) in enumerate(facts) if t in ("corrections", "flags")},
        fixed={},
        schema_versions=(),
        guideline_versions=(),
        as_of=NOON,
        refused={},
    )
    told = [None if said is None else {i: choice(v) or {} for i, v in said.items()} for said in (before, after)]
    lesson = Lesson("m-2", "s-2", told[0], told[1] or {})
    return Case(dataset, lesson, {event["event_id"]: (topic, event) for topic, event in facts})


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = [f"i{n}" for n in range(draw(st.integers(2, 4)))]
    facts: list[tuple[str, events.Event]] = []
    verdicts: list[str] = []
    for n in range(draw(st.integers(0, 16))):
        at: dict[str, Any] = {"item_id": draw(st.sampled_from(names)), "source_seq": n, "event_id": f"e{n}"}
        what = draw(st.sampled_from(["label", "label", "verdict", "verdict", "undone", "flag", "settled"]))
        one, who = draw(st.sampled_from(CLASSES)), draw(st.sampled_from(ANNOTATORS))
        if what == "label":
            facts.append(("labels", label(who, one, retracted=draw(st.integers(0, 9)) == 0, **at)))
        elif what == "verdict":
            kind = draw(st.sampled_from(["corrected", "confirmed", "rejected", "unsure"]))
            value = one if kind in ("corrected", "confirmed") else None
            facts.append(("corrections", verdict(draw(st.sampled_from(["lena", "ria", "anna"])), kind, value, **at)))
            verdicts.append(at["event_id"])
        elif what == "undone" and verdicts:
            undoes = draw(st.sampled_from(verdicts))
            at["item_id"] = next(e["item_id"] for _, e in facts if e["event_id"] == undoes)
            facts.append(("corrections", verdict("ria", "undone", None, undoes=undoes, **at)))
        elif what in ("flag", "settled"):
            facts.append(("flags", fact("flags", who, resolves="e0" if what == "settled" else None, **at)))
    rows = {}
    for name in names:
        last = decided(facts, name)
        if last is not None and last["value"] is not None:
            rows[name] = (last["value"]["choice"], "verdict")
        elif (source := draw(st.sampled_from(["truth", "truth", "consensus", None]))) is not None:
            rows[name] = (draw(st.sampled_from(CLASSES)), source)
    silent, *others = ({name: st.sampled_from(CLASSES)} for name in names)
    said = st.fixed_dictionaries(dict(pair for one in others for pair in one.items()), optional=silent)
    groups = {name: "g" for name in names if draw(st.booleans())}
    return case(facts, rows, draw(st.one_of(said, said, said, st.none())), draw(said), groups)


def decided(facts: list[tuple[str, events.Event]], item: str) -> events.Event | None:
    """Return the last verdict on an item that nobody took back."""
    found = [event for topic, event in facts if topic == "corrections" and event["item_id"] == item]
    undone = {event["undoes"] for event in found}
    left = [event for event in found if event["verdict"] != "undone" and event["event_id"] not in undone]
    return left[-1] if left else None


def expected(one: Case, new: set[str]) -> Iterator[tuple[str, str, str, str | None]]:
    """Yield cause, recipient, role and judged label of every receipt that is due."""
    facts = [*one.facts.values()]
    rows = {row.item_id: row.value["choice"] for row in one.dataset.rows}
    undone = {event["undoes"] for topic, event in facts if topic == "corrections"}
    for topic, event in facts:
        cause, author, item = event["event_id"], event["actor"]["id"], event["item_id"]
        if cause not in new:
            continue
        right: str | None = None
        agrees = False  # whether those hear of it who gave the right label, not those who did not
        if topic == "corrections":
            if event["verdict"] in ("undone", "unsure") or cause in undone:
                continue
            if decided(facts, item) == event and event["value"] is not None:
                right, agrees = event["value"]["choice"], event["verdict"] == "confirmed"
        elif event["resolves"] is not None:
            continue
        else:
            right = rows.get(item)
        yield cause, author, "author", None
        if right is None:
            continue
        for annotator in ANNOTATORS:
            labels = [e for t, e in facts if t == "labels" and e["item_id"] == item and e["actor"]["id"] == annotator]
            if not labels or annotator == author or labels[-1]["retracted"]:
                continue
            if (labels[-1]["value"]["choice"] == right) == agrees:
                yield cause, annotator, "labeller", labels[-1]["event_id"]


def given_out(one: Case, new: set[str] | None = None, per_day: int = 100, **already: int) -> list[Receipt]:
    return receipts(one.dataset, one.lesson, one.causes if new is None else new, already, per_day)


@given(cases(), st.data())
def test_everyone_concerned_hears_of_each_new_cause_once(one: Case, data: st.DataObject) -> None:
    new = data.draw(st.sets(st.sampled_from(sorted(one.causes)))) if one.causes else set()
    found = given_out(one, new)
    due = Counter(expected(one, new))
    assert Counter((r["caused_by"], r["recipient"], r["recipient_role"], r["label_event"]) for r in found) == due
    assert not due or max(due.values()) == 1
    assert len({r["event_id"] for r in found}) == len(found)
    for receipt in found:
        codec.encode("feedback", receipt)


@given(cases())
def test_a_receipt_leads_back_to_the_facts_and_says_what_they_say(one: Case) -> None:
    rows = {row.item_id: row for row in one.dataset.rows}
    for receipt in given_out(one):
        topic, cause = one.facts[receipt["caused_by"]]
        assert (receipt["cause_kind"], receipt["by"]) == (topic, cause["actor"]["id"])
        assert receipt["item_id"] == cause["item_id"]
        usual = "reviewer" if topic == "corrections" else "annotator"
        assert receipt["by_role"] == ("lead" if receipt["by"] == "lena" else usual)
        if receipt["recipient_role"] == "labeller":
            judged = one.facts[receipt["label_event"]][1]
            assert judged["actor"]["id"] == receipt["recipient"] != receipt["by"]
            assert receipt["label"] == judged["value"]["choice"]
        row = rows.get(cause["item_id"])
        assert receipt["resolved"] == (None if row is None else row.value["choice"])


@given(cases())
def test_numbers_are_those_of_a_slow_recomputation(one: Case) -> None:
    rows = {row.item_id: row for row in one.dataset.rows}
    before, after = one.lesson.before, one.lesson.after

    def is_right(said: Mapping[str, Value] | None, item: str) -> bool:
        return said is not None and said.get(item) == rows[item].value

    for receipt in given_out(one):
        item = receipt["item_id"]
        if item not in rows:
            assert (receipt["right_before"], receipt["right_after"], receipt["similar"]) == (None, None, None)
            continue
        assert receipt["right_before"] == (None if before is None else is_right(before, item))
        assert receipt["right_after"] == is_right(after, item)
        judged = [row for name, row in rows.items() if row.source != "consensus" and name != item]
        group = [row for row in judged if row.item.group == rows[item].item.group is not None]
        alike = group or [row for row in judged if row.value == rows[item].value]
        kind = None if not alike else "group:g" if group else f"class:{rows[item].value['choice']}"
        assert (receipt["similar"], receipt["similar_items"]) == (kind, len(alike))
        assert receipt["similar_right_before"] == sum(is_right(before, row.item_id) for row in alike)
        assert receipt["similar_right_after"] == sum(is_right(after, row.item_id) for row in alike)


@given(cases(), st.randoms(use_true_random=False))
def test_neither_the_order_of_facts_nor_the_other_causes_change_a_receipt(one: Case, random: Any) -> None:
    states = {}
    for item, state in sorted(one.dataset.states.items()):
        facts = {topic: dict(random.sample([*its.items()], len(its))) for topic, its in state["facts"].items()}
        states[item] = ItemState(**{**state, "facts": facts})
    shuffled = one._replace(dataset=replace(one.dataset, states=states))
    whole = given_out(one)
    assert given_out(shuffled) == whole
    alone = [receipt for cause in one.causes for receipt in given_out(one, {cause})]
    assert {r["event_id"]: r | {"place": 0} for r in alone} == {r["event_id"]: r | {"place": 0} for r in whole}
    later = one._replace(lesson=replace(one.lesson, version="m-3"))
    assert not {r["event_id"] for r in whole} & {r["event_id"] for r in given_out(later)}


@given(cases(), st.integers(0, 4), st.integers(0, 5))
def test_a_person_is_told_the_most_instructive_within_the_limit_of_a_day(one: Case, per_day: int, already: int) -> None:
    found = given_out(one, per_day=per_day, anna=already)
    for recipient in {r["recipient"] for r in found}:
        its = [r for r in found if r["recipient"] == recipient]
        assert [r["place"] for r in its] == [*range(1, len(its) + 1)]
        left = max(0, per_day - (already if recipient == "anna" else 0))
        assert [r["told"] for r in its] == [n < left for n in range(len(its))]
        instructive = [_use(r) for r in its]
        assert instructive == sorted(instructive)


def _use(receipt: Receipt) -> str:
    if receipt["right_after"] is None:
        return "d: not trained on"
    if not receipt["right_after"]:
        return "b: wrong"
    return "c: right before" if receipt["right_before"] else "a: learnt"


def test_what_a_correction_tells_its_author_and_the_labeller() -> None:
    facts = [
        ("labels", label("anna", "x", source_seq=0, event_id="l1")),
        ("labels", label("ben", "y", source_seq=1, event_id="l2")),
        ("corrections", verdict("ria", "corrected", "y", source_seq=2, event_id="c1")),
        ("corrections", verdict("ria", "confirmed", "y", source_seq=3, item_id="j", event_id="c2")),
    ]
    rows = {"i": ("y", "verdict"), "j": ("y", "verdict"), "k": ("y", "consensus")}
    one = case(facts, rows, {"i": "x", "j": "x"}, {"i": "y", "j": "y", "k": "y"})
    (to_anna, to_ria) = given_out(one, {"c1"})
    assert to_anna | {"event_id": ""} == {
        "event_id": "",
        "project": "p",
        "item_id": "i",
        "recipient": "anna",
        "caused_by": "c1",
        "stage": "promoted",
        "snapshot": "s-2",
        "model_version": "m-2",
        "before": dict(events.choice("x")),
        "after": dict(events.choice("y")),
        "at": NOON,
        "recipient_role": "labeller",
        "cause_kind": "corrections",
        "by": "ria",
        "by_role": "reviewer",
        "label_event": "l1",
        "label": "x",
        "resolved": "y",
        "right_before": False,
        "right_after": True,
        "similar": "class:y",
        "similar_items": 1,
        "similar_right_before": 0,
        "similar_right_after": 1,
        "place": 1,
        "told": True,
    }
    assert (to_ria["recipient"], to_ria["recipient_role"], to_ria["label"]) == ("ria", "author", None)
    first = one._replace(lesson=replace(one.lesson, before=None))
    assert [(r["right_before"], r["before"]) for r in given_out(first, {"c1"})] == [(None, None)] * 2


def test_a_set_of_classes_in_another_order_is_the_same_label() -> None:
    both, other = (events.value_of("choices", names) for names in (["x", "y"], ["y", "x"]))
    facts = [
        ("labels", fact("labels", "anna", value=both, source_seq=0, event_id="l1")),
        ("labels", fact("labels", "ben", value=events.value_of("choices", ["x"]), source_seq=1, event_id="l2")),
        ("corrections", fact("corrections", "ria", verdict="corrected", value=other, source_seq=2, event_id="c1")),
    ]
    one = case(facts, {}, None, {})
    assert [r["recipient"] for r in given_out(one)] == ["ben", "ria"]
