"""Priority is the probability of an error times what finding it is worth; every part of it is named in the task."""

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codec, events
from streams.events import MAX_WEIGHT, Event
from streams.processors.answer import answer
from streams.processors.fits import Skills, proposals
from streams.processors.item_state import fold, new_state
from streams.processors.priority import doubts, priority, rival_of, terms
from streams.processors.snapshots import snapshots
from streams.processors.task import DAY_MS, consensus, review_task
from streams.projects import DEFAULTS, Policy, ProjectView
from streams.quality.project import Project
from streams.quality.signals import NEW_LABELS, Signals
from tests.unit.facts import ITEM, PROJECT, fact, label
from tests.unit.test_project import judgement, project_of

SHARE = st.floats(0, 1)
FACTORS = st.lists(st.floats(0, MAX_WEIGHT), max_size=5)

PLAIN = replace(Policy(), weight_edge_case=1.5, weight_drifting_annotator=2.0, weight_new_annotator=1.2)


def told(values: list[float]) -> dict[str, float]:
    return {str(n): value for n, value in enumerate(values)}


@given(SHARE, SHARE, st.lists(SHARE, max_size=3), FACTORS)
def test_it_is_bounded_and_two_items_with_the_same_reasons_keep_the_order_of_p_wrong(
    p: float, q: float, doubted: list[float], weighed: list[float]
) -> None:
    one, other = (priority(x, told(doubted), told(weighed)) for x in sorted((p, q)))
    assert 0 <= one <= other <= MAX_WEIGHT


@given(SHARE, FACTORS)
def test_without_doubts_it_is_p_wrong_times_the_weight(p: float, weighed: list[float]) -> None:
    assert priority(p, {}, told(weighed)) == pytest.approx(p * min(MAX_WEIGHT, math.prod(weighed)), abs=1e-9)
    assert priority(p, {}, {}) == pytest.approx(p, abs=1e-9)


@given(SHARE, st.lists(SHARE, min_size=1, max_size=3))
def test_a_doubt_counts_where_the_labels_leave_none_and_never_lowers(p: float, doubted: list[float]) -> None:
    assert priority(p, told(doubted), {}) >= p - 1e-9
    assert priority(0.0, told(doubted), {}) >= max(doubted) - 1e-9


def test_flags_are_independent_doubts_and_the_policy_weighs_the_rest() -> None:
    found = doubts([0.5, 0.2], True, True, Policy(doubt_comment=0.25, doubt_stale_guideline=0.0))
    assert found == {"flag": pytest.approx(0.6), "comment": 0.25}


def test_the_rival_is_the_likeliest_class_that_somebody_named() -> None:
    chances = {"a": 0.2, "b": 0.3, "c": 0.5}
    assert rival_of("c", ["a", "c"], None, chances) == "a", "nobody named b"
    assert rival_of("c", ["a", "c"], "b", chances) == "b", "the model did"
    assert rival_of("c", ["c"], "c", chances) is None
    assert rival_of(None, ["a"], "b", chances) is None


def crowd(seed: int = 1) -> Project:
    """Return labels of four classes: `wren` is often called `robin`, `owl` is rare, and `newcomer` gave two labels."""
    draw = random.Random(seed)
    rows = []
    for n in range(200):
        truth = ("wren", "robin", "crow")[n % 3] if n % 50 else "owl"
        for w in range(5):
            said = "robin" if truth == "wren" and draw.random() < 0.3 else truth
            said = draw.choice(["wren", "robin", "crow"]) if draw.random() < 0.05 else said
            rows.append(judgement(f"i{n}", f"w{w}", said))
    rows += [judgement(f"i{n}", "newcomer", "crow") for n in (2, 5)]
    return project_of(*rows)


def signals_of(project: Project) -> Signals:
    skills = Skills()
    for record in proposals("p", project, project.fit(), DEFAULTS, 1, None):
        if record.topic == "annotators":
            skills.learn(record.value, 0)
    found = skills.signals("p")
    assert found is not None
    return found


def test_a_fit_tells_of_recurring_confusions_rare_classes_and_new_annotators() -> None:
    found = signals_of(crowd())
    assert found.is_frequent_mistake("robin", "wren")
    assert not found.is_frequent_mistake("wren", "robin"), "the other way round it does not recur"
    assert not found.is_frequent_mistake("crow", "wren")
    assert [name for name in ("wren", "robin", "crow", "owl", "dodo") if found.is_rare(name)] == ["owl", "dodo"]
    assert found.is_new("newcomer")
    assert found.is_new("of whom nothing is known")
    assert not found.is_new("w1")
    assert not found.is_drifting("w1")


def test_one_label_more_and_an_annotator_is_new_no_more() -> None:
    rows = [judgement(f"i{n}", w, "a") for n in range(NEW_LABELS) for w in "xy"]
    assert signals_of(project_of(*rows[:-1])).is_new("y")
    assert not signals_of(project_of(*rows)).is_new("y")


def test_an_annotator_drifts_while_the_alarm_is_young() -> None:
    def judged(right: list[bool]) -> Signals:
        rows = [
            judgement(f"i{n:03}", "w", "a" if one else "b", reference=events.choice("a"), labelled_at=n)
            for n, one in enumerate(right)
        ]
        return signals_of(project_of(*rows))

    fell = [True] * 80 + [False] * 30
    assert judged(fell).is_drifting("w")
    assert not judged([True] * 110).is_drifting("w")
    assert not judged([*fell, *[True] * 90]).is_drifting("w")


def test_terms_are_in_proportion_to_novelty_and_to_the_annotators_concerned() -> None:
    found = signals_of(crowd())
    weighed = terms("robin", "wren", True, 0.8, ["w1", "newcomer"], found, PLAIN)
    assert weighed == {
        "model_conflict": 1.0,
        "frequent_mistake": 1.0,
        "new_annotator": pytest.approx(1.1),
        "edge_case": pytest.approx(1.4),
    }
    assert terms("owl", None, False, 0.1, ["w1"], found, PLAIN) == {"edge_case": 1.5}
    assert terms("robin", "crow", False, 0.4, ["w1"], found, PLAIN) == {}
    assert terms("owl", "wren", False, None, ["newcomer"], None, PLAIN) == {}, "before the first fit nothing is known"
    assert terms(None, None, False, 0.6, [], found, PLAIN) == {"edge_case": pytest.approx(1.3)}


def task_of(*facts: tuple[str, Event], policy: Policy = PLAIN, signals: Signals | None = None) -> dict[str, Any]:
    state = new_state(PROJECT, ITEM)
    for n, (topic, event) in enumerate(facts, 1):
        fold(state, topic, event, n * 1000, 100)
    view = ProjectView(policy=policy)
    known = answer(state, view)
    return review_task(state, known, consensus(known, view), view, signals)


def says(**fields: Any) -> tuple[str, Event]:
    return "predictions", fact("predictions", "m", kind="model", **fields)


def test_the_task_names_its_terms_among_its_reasons_and_they_make_its_priority() -> None:
    votes = [("labels", label(w, "robin")) for w in ("w0", "w1")] + [("labels", label("newcomer", "wren"))]
    novel = says(probabilities={"wren": 1.0}, out_of_sample=False, novelty=0.5)
    flag, question = ("flags", fact("flags", "f", severity=0.25)), ("comments", fact("comments", "c"))
    task = task_of(*votes, novel, flag, question, signals=signals_of(crowd()))
    assert task["doubts"].keys() == {"flag", "comment"}
    assert task["terms"].keys() == {"model_conflict", "frequent_mistake", "new_annotator", "edge_case"}
    assert {*task["doubts"], *task["terms"]} <= {*task["reasons"]}
    right = (1 - task["p_wrong"]) * math.prod(1 - doubt for doubt in task["doubts"].values())
    assert task["priority"] == pytest.approx((1 - right) * math.prod(task["terms"].values()), abs=1e-9)
    assert task_of(*votes, ("corrections", fact("corrections", "r", verdict="rejected")))["terms"] == {}


def test_structured_answers_are_no_rare_classes() -> None:
    text = ("labels", fact("labels", "w1", value=events.value_of("text", "abc")))
    assert task_of(text, signals=signals_of(crowd()))["terms"] == {}


def test_what_waited_for_the_largest_priority_over_the_rate_comes_before_every_newer_task() -> None:
    policy = replace(Policy(), ageing_per_day=0.5)
    bound = round(MAX_WEIGHT / policy.ageing_per_day) * DAY_MS

    def rank(at: int, urgent: bool) -> float:
        state = new_state(PROJECT, ITEM)
        fold(state, "labels", label("a", "x"), at, 100)
        if urgent:
            fold(state, "flags", fact("flags", "f", severity=1.0), at, 100)
        view = ProjectView(policy=policy)
        known = answer(state, view)
        return float(review_task(state, known, consensus(known, view), view)["rank"])

    assert rank(bound, urgent=True) < rank(0, urgent=False)
    assert rank(DAY_MS // 10, urgent=True) > rank(0, urgent=False)


# --- the imported answer


def imported(choice: str | None, **fields: Any) -> tuple[str, Event]:
    value = None if choice is None else events.choice(choice)
    return "predictions", fact("predictions", "ds", kind="system", value=value, out_of_sample=False, **fields)


IMPORTED = replace(Policy(), shown="imported")
SPLIT = [("labels", label("a", "cat")), ("labels", label("b", "dog")), ("labels", label("c", "dog"))]


def test_an_imported_answer_is_shown_if_the_policy_says_so_and_is_nobodys_voice() -> None:
    plain, task = task_of(*SPLIT, policy=IMPORTED), task_of(*SPLIT, imported("cat"), policy=IMPORTED)
    assert (task["consensus"]["choice"], task["consensus_source"]) == ("cat", "imported")
    assert task["p_wrong"] == pytest.approx(1 - plain["posterior"]["cat"])
    assert task["posterior"] == plain["posterior"]
    assert task["prediction"] is None
    assert "model_conflict" not in task["reasons"]
    assert task_of(*SPLIT, imported("cat"))["consensus"] == plain["consensus"], "another policy does not show it"
    assert plain["consensus_source"] == "majority", "without one the posterior is shown, before a fit the majority"


def test_a_model_is_compared_with_the_imported_answer_and_keeps_its_voice() -> None:
    model = says(probabilities={"dog": 0.9, "cat": 0.1})
    for facts in ([model, imported("cat")], [imported("cat"), model]):
        task = task_of(*SPLIT, *facts, policy=IMPORTED)
        assert "model_conflict" in task["reasons"]
        assert task["prediction"]["probabilities"] == {"dog": 0.9, "cat": 0.1}
        assert task["p_wrong"] == pytest.approx(1 - task["posterior"]["cat"], abs=1e-6)


def test_verdicts_come_before_an_imported_answer_and_the_last_import_counts() -> None:
    given = [*SPLIT, imported("cat"), imported(None, probabilities={"bird": 0.7, "dog": 0.3})]
    assert task_of(*given, policy=IMPORTED)["consensus"]["choice"] == "bird"
    verdict = ("corrections", fact("corrections", "r", verdict="corrected", value=events.choice("dog")))
    assert task_of(*given, verdict, policy=IMPORTED)["consensus_source"] == "verdict"
    rejected = ("corrections", fact("corrections", "r", verdict="rejected"))
    assert task_of(*given, rejected, policy=IMPORTED)["consensus"] is None


def test_an_imported_answer_without_comparable_labels_is_shown_but_not_scored() -> None:
    alone = task_of(imported("cat"), policy=IMPORTED)
    assert (alone["status"], alone["consensus"]["choice"], alone["p_wrong"]) == ("unlabelled", "cat", None)
    text = ("labels", fact("labels", "a", value=events.value_of("text", "abc")))
    assert task_of(text, imported("cat"), policy=IMPORTED)["p_wrong"] is None
    same = imported(None, probabilities={})
    same[1]["value"] = events.value_of("text", "abc")
    assert task_of(text, same, policy=IMPORTED)["p_wrong"] == pytest.approx(0.2)


def test_what_trains_a_model_is_the_imported_answer_only_if_the_votes_bear_it_out() -> None:
    def resolved(confidence: float, *facts: tuple[str, Event]) -> dict[str, Any]:
        state = new_state(PROJECT, ITEM)
        for n, (topic, event) in enumerate(facts, 1):
            fold(state, topic, event, n * 1000, 100)
        view = ProjectView(policy=replace(IMPORTED, resolve_confidence=confidence))
        records = [codec.decode(one.value)[1] for one in snapshots(state, view) if one.topic == "labels.corrected"]
        return dict(records[0])

    sure, unsure = resolved(0.1, *SPLIT, imported("cat")), resolved(0.5, *SPLIT, imported("cat"))
    assert (sure["value"]["choice"], sure["source"], sure["weight_ppm"]) == ("cat", "consensus", 200_000)
    assert (unsure["value"], unsure["source"]) == (None, "none")
    text = ("labels", fact("labels", "a", value=events.value_of("text", "abc")))
    assert resolved(0.1, text, imported("cat"))["value"] is None
