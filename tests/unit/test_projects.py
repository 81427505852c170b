"""Settings are judged by log time: what was in force then, whatever came later."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codec, contract
from streams.events import Event
from streams.producers import facts
from streams.projects import DEFAULTS, POLICY_FIELDS, TRAINING_FIELDS, Policy, Projects, Training


def change(**settings: Any) -> Event:
    return facts.project("birds", "lead-1", **settings).event


def test_a_project_without_facts_has_the_defaults_of_the_schema() -> None:
    assert Projects().at("birds", 0) == DEFAULTS
    policy = next(field for field in contract.schema_files()["projects"]["fields"] if field["name"] == "policy")
    declared = {field["name"]: field["default"] for field in policy["type"][1]["fields"]}
    assert {name: getattr(Policy(), name) for name in POLICY_FIELDS} == declared
    training = next(field for field in contract.schema_files()["projects"]["fields"] if field["name"] == "training")
    declared = {field["name"]: field["default"] for field in training["type"][1]["fields"]}
    assert {name: getattr(Training(), name) for name in TRAINING_FIELDS} == declared | {"columns": ()}


def test_a_change_is_in_force_from_its_log_time_and_leaves_the_rest() -> None:
    projects = Projects()
    projects.apply(change(classes=["wren", "robin"], guideline="g1"), 10)
    projects.apply(change(policy={"p0": 0.4}, members={"anna": "reviewer"}, guideline={"version": "g2"}), 20)
    assert projects.at("birds", 9) == DEFAULTS
    before, after = projects.at("birds", 19), projects.at("birds", 20)
    assert (before.classes, before.policy.p0, before.members) == (("wren", "robin"), 0.5, None)
    assert (after.classes, after.policy.p0, after.members) == (("wren", "robin"), 0.4, {"anna": "reviewer"})
    assert after.class_order == {"wren": 0, "robin": 1}
    assert [(guideline.version, guideline.log_time) for guideline in after.guidelines] == [("g1", 10), ("g2", 20)]
    assert projects.at("fish", 20) == DEFAULTS


def test_of_equal_log_times_the_later_record_wins() -> None:
    projects = Projects()
    projects.apply(change(classes=["a"]), 10)
    projects.apply(change(classes=["b"]), 10)
    assert projects.at("birds", 10).classes == ("b",)


def test_a_further_copy_changes_nothing() -> None:
    projects = Projects()
    first = change(classes=["a"])
    for log_time, event in enumerate([first, change(classes=["b"]), first]):
        projects.apply(event, log_time)
    assert projects.at("birds", 9).classes == ("b",)
    assert [entry.log_time for entry in projects.history("birds")] == [0, 1]


@given(st.lists(st.integers(0, 20), max_size=8), st.integers(0, 20))
def test_the_view_is_that_of_the_log_up_to_then(log_times: list[int], asked: int) -> None:
    whole, cut, reached = Projects(), Projects(), 0
    for n, log_time in enumerate(log_times):
        reached = max(reached, log_time)  # a clock that was set back does not reorder the log
        whole.apply(change(classes=[str(n)]), log_time)
        if reached <= asked:
            cut.apply(change(classes=[str(n)]), log_time)
    assert whole.at("birds", asked) == cut.at("birds", asked)


def test_an_unknown_policy_field_is_named() -> None:
    with pytest.raises(ValueError, match="a policy has no p9"):
        change(policy={"p9": 1})


def test_a_record_that_is_poison_leaves_the_settings_in_force() -> None:
    projects = Projects()
    good = change(classes=["a"])
    bad = [None, b"junk", codec.encode("projects", {**change(classes=["b"]), "classes": ["c", "c"]})]
    other = codec.encode("labels", facts.label("birds", "i", "anna", "x").event)
    for log_time, value in enumerate([codec.encode("projects", good), *bad, other]):
        projects.learn(value, log_time)
    assert projects.at("birds", 9).classes == ("a",)
    assert len(projects.history("birds")) == 1
