"""A task opens, closes and opens again as the facts say; its answer comes from the strongest source."""

from typing import Any

import pytest

from streams import events
from streams.events import Event
from streams.processors.answer import answer
from streams.processors.claims import apply_claim
from streams.processors.item_state import ItemState, fold, new_state
from streams.processors.task import consensus, review_task
from streams.projects import Projects
from tests.unit.facts import ITEM, PROJECT, fact, label, verdict


def state_of(*facts: tuple[str, Event]) -> ItemState:
    """Fold facts whose log times are 1000, 2000, ..."""
    state = new_state(PROJECT, ITEM)
    for n, (topic, event) in enumerate(facts, 1):
        fold(state, topic, event, n * 1000, 100)
    return state


def task_of(*facts: tuple[str, Event], projects: Projects | None = None) -> dict[str, Any]:
    state = state_of(*facts)
    view = (projects or Projects()).at(PROJECT, 10**12)
    known = answer(state, view)
    return review_task(state, known, consensus(known, view), view)


SPLIT = [("labels", label("a", "cat")), ("labels", label("b", "dog")), ("labels", label("c", "dog"))]


def test_split_votes_open_a_task_with_the_majority_shown() -> None:
    task = task_of(*SPLIT)
    assert task["status"] == "open"
    assert task["consensus"] == {"kind": "choice", "choice": "dog"}
    assert [c["label"] for c in task["candidates"]] == ["dog", "cat"]
    # two classes, accuracy 0.8: two votes against one leave odds of 4 to 1
    assert task["p_wrong"] == pytest.approx(0.2)
    assert task["tier"] == "p2"
    assert "disagreement" in task["reasons"]


def test_ties_go_to_the_lowest_label_numbers_as_numbers() -> None:
    assert task_of(("labels", label("a", "10")), ("labels", label("b", "9")))["majority"] == "9"


def test_ties_go_to_the_first_declared_class() -> None:
    projects = Projects()
    projects.apply(fact("projects", "lead", kind="lead", item_id="", classes=["z", "a"]), 1)
    assert task_of(("labels", label("1", "a")), ("labels", label("2", "z")), projects=projects)["majority"] == "z"


def test_last_label_of_an_annotator_counts_by_source_order() -> None:
    first, second = label("a", "cat", source_seq=1), label("a", "dog", source_seq=2)
    assert task_of(("labels", first), ("labels", second))["majority"] == "dog"
    moment = {"occurred_at": 5}
    assert (
        task_of(
            ("labels", label("a", "dog", source_seq=2, **moment)), ("labels", label("a", "cat", source_seq=1, **moment))
        )["majority"]
        == "dog"
    )


def test_a_retracted_label_leaves_the_item_unlabelled_but_names_its_annotator() -> None:
    task = task_of(("labels", label("a", "cat")), ("labels", fact("labels", "a", value=None, retracted=True)))
    assert (task["status"], task["n_labels"], task["annotators"]) == ("unlabelled", 0, ["a"])


def test_an_item_without_labels_makes_no_task() -> None:
    task = task_of(("items", fact("items", "tool", kind="system", text="hello")))
    assert (task["status"], task["tier"], task["p_wrong"], task["text"]) == ("unlabelled", None, None, "hello")


def test_verdict_closes_and_its_value_is_the_answer() -> None:
    task = task_of(*SPLIT, ("corrections", verdict("r", "corrected", "cat")))
    assert (task["status"], task["consensus_source"], task["p_wrong"]) == ("closed", "verdict", 0.0)
    assert task["consensus"]["choice"] == "cat"


@pytest.mark.parametrize(
    "later",
    [
        ("labels", label("d", "dog")),
        ("flags", fact("flags", "d")),
        ("comments", fact("comments", "d")),
    ],
)
def test_a_later_doubt_opens_the_task_again(later: tuple[str, Event]) -> None:
    assert task_of(*SPLIT, ("corrections", verdict("r", "corrected", "cat")), later)["status"] == "open"


@pytest.mark.parametrize("n", [0, 3])
def test_agreeing_label_or_earlier_flag_leave_it_closed(n: int) -> None:
    facts = [*SPLIT]
    facts.insert(n, ("flags", fact("flags", "d")))
    assert (
        task_of(*facts, ("corrections", verdict("r", "corrected", "cat")), ("labels", label("e", "cat")))["status"]
        == "closed"
    )


def test_undone_verdict_counts_no_more() -> None:
    wrong = verdict("r", "corrected", "cat")
    undone = verdict("r", "undone", undoes=wrong["event_id"])
    task = task_of(*SPLIT, ("corrections", wrong), ("corrections", undone))
    assert (task["status"], task["consensus"]["choice"], task["verdict"]) == ("open", "dog", None)


def test_undone_verdict_leaves_the_one_before() -> None:
    first, second = verdict("r", "corrected", "cat"), verdict("r", "confirmed", "dog")
    undone = verdict("r", "undone", undoes=second["event_id"])
    task = task_of(*SPLIT, *[("corrections", v) for v in (first, second, undone)])
    assert (task["status"], task["consensus"]["choice"]) == ("closed", "cat")


def test_rejected_answer_leaves_none() -> None:
    task = task_of(*SPLIT, ("corrections", verdict("r", "rejected")))
    assert (task["status"], task["consensus"], task["consensus_source"]) == ("closed", None, "none")


def test_unsure_keeps_the_task_open_for_a_second_reviewer_who_settles_it() -> None:
    unsure = ("corrections", verdict("r", "unsure"))
    task = task_of(*SPLIT, unsure)
    assert (task["status"], task["consensus"]["choice"], task["unsure_by"]) == ("open", "dog", ["r"])
    assert task["reasons"][0] == "second_opinion"
    assert task["verdict"]["verdict"] == "unsure"
    both = task_of(*SPLIT, unsure, ("corrections", verdict("q", "unsure")))
    assert (both["status"], both["unsure_by"]) == ("open", ["q", "r"])
    settled = task_of(*SPLIT, unsure, ("corrections", verdict("q", "corrected", "cat")))
    assert (settled["status"], settled["consensus"]["choice"], settled["reasons"]) == ("closed", "cat", [])
    again = task_of(*SPLIT, unsure, ("corrections", verdict("q", "corrected", "cat")), ("labels", label("d", "dog")))
    assert (again["status"], again["unsure_by"]) == ("open", ["r"])


def test_who_was_unsure_may_take_it_back_or_decide_after_all() -> None:
    unsure = verdict("r", "unsure")
    undone = ("corrections", verdict("r", "undone", undoes=unsure["event_id"]))
    taken = task_of(*SPLIT, ("corrections", unsure), undone)
    assert (taken["status"], taken["unsure_by"], taken["verdict"]) == ("open", [], None)
    assert "second_opinion" not in taken["reasons"]
    decided = task_of(*SPLIT, ("corrections", unsure), ("corrections", verdict("r", "confirmed", "dog")))
    assert (decided["status"], decided["unsure_by"]) == ("closed", [])


def test_truth_gold_that_comes_later_settles_what_a_reviewer_could_not() -> None:
    unsure = ("corrections", verdict("r", "unsure"))
    gold = ("gold", fact("gold", "lead", kind="lead", use="truth", value=events.choice("cat")))
    assert task_of(*SPLIT, unsure, gold)["status"] == "closed"
    doubted = task_of(*SPLIT, gold, unsure)
    assert (doubted["status"], doubted["consensus"]["choice"]) == ("open", "cat")


def test_the_claim_of_who_was_unsure_keeps_nobody_waiting() -> None:
    state = state_of(*SPLIT)
    apply_claim(state["claims"], fact("claims", "r", kind="reviewer"), 4000, 10**9)
    view = Projects().at(PROJECT, 10**12)

    def owner() -> Any:
        known = answer(state, view)
        return review_task(state, known, consensus(known, view), view)["owner"]

    assert owner() == "r"
    fold(state, "corrections", verdict("r", "unsure"), 5000, 100)
    assert owner() is None
    for claimant in "rq":
        apply_claim(state["claims"], fact("claims", claimant, kind="reviewer", source_ref="later"), 6000, 10**9, ["r"])
    assert owner() == "q", "the lease of r has not ended, but r gets it no more"


@pytest.mark.parametrize(("use", "source"), [("truth", "truth"), ("fixed", "truth"), ("evaluation", "majority")])
def test_gold_fixes_the_answer_unless_it_only_evaluates(use: str, source: str) -> None:
    gold = fact("gold", "lead", kind="lead", use=use, value=events.choice("cat"))
    plain, task = task_of(*SPLIT), task_of(*SPLIT, ("gold", gold))
    assert task["consensus_source"] == source
    if use == "evaluation":
        assert task == plain  # it touches nothing


def test_a_flag_raises_priority_until_it_is_settled() -> None:
    flag = fact("flags", "d", severity=0.5)
    open_, settled = task_of(*SPLIT, ("flags", flag)), fact("flags", "r", resolves=flag["event_id"])
    assert open_["priority"] == pytest.approx(1 - 0.8 * 0.5)
    assert open_["reasons"][0] == "flag"
    assert task_of(*SPLIT, ("flags", flag), ("flags", settled))["priority"] == pytest.approx(0.2)


def test_a_model_that_says_otherwise_is_a_reason() -> None:
    prediction = fact("predictions", "m", kind="model", probabilities={"cat": 0.9, "dog": 0.1})
    task = task_of(*SPLIT, ("predictions", prediction))
    assert "model_conflict" in task["reasons"]
    assert task["p_wrong"] == pytest.approx(1 - 4 * 0.1 / (4 * 0.1 + 0.9), abs=1e-6)


def test_a_model_trained_on_the_item_has_no_voice() -> None:
    prediction = fact("predictions", "m", kind="model", out_of_sample=False, probabilities={"cat": 0.9, "dog": 0.1})
    assert task_of(*SPLIT, ("predictions", prediction))["p_wrong"] == pytest.approx(0.2)


def test_other_kinds_are_shown_and_scored_by_what_the_annotators_say_together() -> None:
    task = task_of(("labels", fact("labels", "a", value=events.value_of("text", "abc"))))
    assert (task["status"], task["p_wrong"], task["n_labels"]) == ("open", pytest.approx(0.2), 1)

    def spans(*places: tuple[int, int]) -> events.Value:
        return events.value_of("spans", [{"label": "name", "start": a, "end": b, "id": None} for a, b in places])

    same = [("labels", fact("labels", who, value=spans((0, 5), (9, 12)))) for who in "abc"]
    other = ("labels", fact("labels", "d", value=spans((0, 5))))
    sure, unsure = task_of(*same), task_of(*same[:2], other)
    assert sure["agreement"] == 1.0
    assert sure["reasons"] == []
    assert unsure["p_wrong"] > sure["p_wrong"]
    assert unsure["reasons"][0] == "disagreement"
    assert [span["start"] for span in unsure["consensus"]["spans"]] == [0, 9]
    mixed = task_of(*same, ("labels", fact("labels", "d", value=events.value_of("text", "abc"))))
    assert (mixed["consensus"], mixed["p_wrong"]) == (None, None), "values of several kinds cannot be compared"
    assert task["candidates"][0]["label"] == "abc"


def test_a_guideline_that_changes_the_class_opens_closed_items() -> None:
    projects = Projects()
    projects.apply(
        fact("projects", "lead", kind="lead", item_id="", guideline={"version": "2", "classes": ["cat"]}), 9000
    )
    closed = [*SPLIT, ("corrections", verdict("r", "corrected", "cat"))]
    task = task_of(*closed, projects=projects)
    assert (task["status"], "stale_guideline" in task["reasons"]) == ("open", True)
    other = [*SPLIT, ("corrections", verdict("r", "corrected", "dog"))]
    assert task_of(*other, projects=projects)["status"] == "closed"


def test_removed_items_leave_the_queue() -> None:
    assert task_of(*SPLIT, ("items", fact("items", "tool", removed=True)))["status"] == "removed"


def test_alike_tasks_of_two_items_have_two_revisions() -> None:
    one, other = new_state(PROJECT, "one"), new_state(PROJECT, "other")
    view = Projects().at(PROJECT, 1)
    for state in (one, other):
        fold(state, "labels", label("a", "cat", item_id=state["item_id"]), 1000, 100)
    known = [answer(state, view) for state in (one, other)]
    tasks = [review_task(state, a, consensus(a, view), view) for state, a in zip((one, other), known, strict=True)]
    assert tasks[0]["revision"] != tasks[1]["revision"]


def test_after_a_rejection_every_new_label_asks_again_even_one_that_becomes_the_answer() -> None:
    facts: list[tuple[str, Event]] = [("labels", label("a", "cat")), ("corrections", verdict("r", "rejected"))]
    assert task_of(*facts)["status"] == "closed"
    for annotator in ("b", "c"):
        facts.append(("labels", label(annotator, "dog")))
        assert task_of(*facts)["status"] == "open"
    assert task_of(*facts)["majority"] == "dog"
