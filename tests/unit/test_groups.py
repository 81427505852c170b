"""A group is settled with one verdict: what changed, is another's or is not for the reviewer stays as it is."""

from typing import Any

import pytest

from streams import events
from streams.events import Event
from streams.processors.answer import answer
from streams.processors.item_state import TEXT_CHARACTERS, ItemState, fold, new_state
from streams.processors.task import consensus, review_task
from streams.projects import DEFAULTS
from streams.query.groups import confirm
from streams.query.tasks import Task
from tests.unit.facts import PROJECT, fact, label

NOW = 10_000


def state_of(item: str, *facts: tuple[str, Event]) -> ItemState:
    state = new_state(PROJECT, item)
    for n, (topic, event) in enumerate(facts, 1):
        fold(state, topic, event, n * 1000, 100)
    return state


def task_of(state: ItemState) -> Task:
    known = answer(state, DEFAULTS)
    return review_task(state, known, consensus(known, DEFAULTS), DEFAULTS)


def split(item: str, **described: Any) -> ItemState:
    """Return an item two annotators call a dog and one a cat."""
    facts = [("labels", label(w, "cat" if w == "c" else "dog", item_id=item)) for w in "abc"]
    return state_of(item, ("items", fact("items", "t", kind="system", item_id=item, **described)), *facts)


def seen(*tasks: Task) -> dict[str, str]:
    return {task["item_id"]: task["revision"] for task in tasks}


def test_an_items_groups_are_its_own_its_near_duplicates_and_its_pair_of_classes() -> None:
    plain, own = task_of(split("i")), task_of(split("i", group="garden", text="a dog, or a cat"))
    assert (plain["group"], plain["groups"]) == ("pair:dog|cat", ["pair:dog|cat"])
    assert own["group"] == "garden"
    assert own["groups"][-1] == "pair:dog|cat"
    assert {*own["groups"][:-1]} == {*task_of(split("j", text="A dog or a cat!"))["groups"][:-1]}
    assert all(name.startswith("near:") for name in own["groups"][:-1])
    agreed = task_of(state_of("i", ("labels", label("a", "dog"))))
    assert (agreed["group"], agreed["groups"]) == (None, [])


def test_near_duplicates_are_told_from_the_whole_text() -> None:
    long = "word " * TEXT_CHARACTERS
    ends = [task_of(split("i", text=f"{long}{' '.join(f'{end}{n}' for n in range(50))}")) for end in ("x", "y")]
    assert not {*ends[0]["groups"]} & {*ends[1]["groups"][:-1]}


def test_a_group_is_confirmed_item_by_item_with_one_cause() -> None:
    tasks = [task_of(split(item)) for item in ("i", "j")]
    settled = confirm("pair:dog|cat", tasks, seen(*tasks), "ria", NOW, "both")
    assert not settled.refused
    assert [one.event["item_id"] for one in settled.verdicts] == ["i", "j"]
    for one, task in zip(settled.verdicts, tasks, strict=True):
        events.validate("corrections", one.event, NOW)
        assert one.event["caused_by"] == settled.batch
        assert one.event["task_revision"] == task["revision"]
        assert events.content_of(one.event["value"]) == "dog"
        state = split(task["item_id"])
        fold(state, "corrections", one.event, NOW, 100)
        assert task_of(state)["status"] == "closed"


def test_again_it_adds_nothing_whatever_was_folded_meanwhile() -> None:
    tasks = [task_of(split(item)) for item in ("i", "j")]
    first, again = (confirm("g", given, seen(*given), "ria", NOW) for given in (tasks, tasks[1:]))
    assert again.verdicts == first.verdicts[1:]
    state = split("j")
    assert fold(state, "corrections", first.verdicts[1].event, NOW, 100)
    assert not fold(state, "corrections", again.verdicts[0].event, NOW + 1, 100)


def test_a_verdict_that_was_taken_back_can_be_given_anew() -> None:
    state = split("i")
    (first,) = confirm("g", [task_of(state)], seen(task_of(state)), "ria", NOW).verdicts
    fold(state, "corrections", first.event, NOW, 100)
    undone = fact("corrections", "ria", verdict="undone", undoes=first.event["event_id"], item_id="i")
    fold(state, "corrections", undone, NOW + 1, 100)
    task = task_of(state)
    assert task["status"] == "open"
    (second,) = confirm("g", [task], seen(task), "ria", NOW).verdicts
    fold(state, "corrections", second.event, NOW + 2, 100)
    assert task_of(state)["status"] == "closed"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"revision": "another"}, "has changed"),
        ({"owner": "tom", "lease_until": NOW + 1}, "is claimed by tom"),
        ({"annotators": ["ria"]}, "has your own label"),
        ({"skipped_by": ["ria"]}, "another reviewer"),
        ({"unsure_by": ["ria"]}, "another reviewer"),
        ({"consensus": None}, "shows no answer"),
    ],
)
def test_what_is_not_to_be_settled_is_left_out_and_told(change: dict[str, Any], why: str) -> None:
    one, other = task_of(split("i")), task_of(split("j"))
    settled = confirm("g", [{**one, **change}, other], seen(one, other), "ria", NOW)
    assert [fact.event["item_id"] for fact in settled.verdicts] == ["j"]
    assert why in settled.refused["i"]


def test_own_and_ended_claims_are_no_hindrance_and_the_unseen_is_left_out() -> None:
    one, late, gone = (task_of(split(item)) for item in ("i", "late", "gone"))
    for change in ({"owner": "ria", "lease_until": NOW + 1}, {"owner": "tom", "lease_until": NOW}):
        settled = confirm("g", [{**one, **change}, late], seen(one, gone), "ria", NOW)
        assert [fact.event["item_id"] for fact in settled.verdicts] == ["i"]
        assert settled.refused.keys() == {"late", "gone"}
