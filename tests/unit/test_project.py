"""A project's labels: whatever came before, what stands is what counts, and the agreement is exact."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.events import Value, choice
from streams.quality.agreement import Agreement, Metric
from streams.quality.project import Project

DAY_MS = 86_400_000
METRICS: tuple[Metric, ...] = ("nominal", "ordinal", "interval", "ratio")


def judgement(item: str, annotator: str, label: str | None, **fields: Any) -> dict[str, Any]:
    value: Value | None = None if label is None else choice(label)
    return {
        "item_id": item,
        "annotator": annotator,
        "actor_kind": "annotator",
        "value": value,
        "probabilities": {},
        "labelled_at": 0,
        "guideline_version": None,
        "reference": None,
        "group": None,
    } | fields


def project_of(*judgements: dict[str, Any]) -> Project:
    project = Project()
    for one in judgements:
        project.apply(one)
    return project


changes = st.lists(
    st.builds(
        judgement,
        st.sampled_from("ijk"),
        st.sampled_from("vwxyz"),
        st.sampled_from([*"123", None]),
        labelled_at=st.sampled_from([0, 5, DAY_MS]),
        guideline_version=st.sampled_from([None, "v1", "v2"]),
        reference=st.sampled_from([None, choice("1")]),
        group=st.just("g"),
    ),
    max_size=40,
)


@given(changes)
def test_after_any_changes_the_agreement_is_that_of_what_stands(history: list[dict[str, Any]]) -> None:
    """Insertion, update and retraction leave nothing behind, not even a rounding error."""
    newest = {(one["item_id"], one["annotator"]): one for one in history}
    project, fresh = project_of(*history), project_of(*newest.values())
    for scope, agreement in project.agreement():
        again = dict(fresh.agreement()).get(scope, Agreement())
        for read in (Agreement.raw, Agreement.fleiss, Agreement.ac1):
            assert read(agreement) == read(again), scope
        for metric in METRICS if scope[0] != "class" else METRICS[:1]:  # the others of a class have no number
            assert agreement.alpha(metric) == again.alpha(metric), scope
        assert agreement.items == again.items
    by_item: dict[str, dict[str, int]] = {}
    for one in newest.values():
        if one["value"] is not None:
            votes = by_item.setdefault(one["item_id"], {})
            votes[one["value"]["choice"]] = votes.get(one["value"]["choice"], 0) + 1
    batch = Agreement()
    for votes in by_item.values():
        batch.add(votes)
    assert dict(project.agreement())["project", ""].alpha() == batch.alpha()


@given(changes)
def test_a_fit_depends_on_what_stands_alone(history: list[dict[str, Any]]) -> None:
    newest = {(one["item_id"], one["annotator"]): one for one in history}
    # an item's reference is that of its newest judgement; here every judgement of an item has the same
    last = {one["item_id"]: one["reference"] for one in history}
    standing = [one | {"reference": last[one["item_id"]]} for one in newest.values()]
    one, other = project_of(*history, *standing).fit(), project_of(*reversed(standing)).fit()
    if one is None or other is None:
        assert one is other
        return
    assert {item: one.of(item) for item in one.labels.items} == {item: other.of(item) for item in other.labels.items}


def test_the_agreement_on_one_class_is_that_of_two_classes() -> None:
    votes = [{"a": 2, "b": 1}, {"a": 1, "c": 2}, {"b": 3}, {"a": 1}]
    whole, two = Agreement(), Agreement()
    for one in votes:
        whole.add(one)
        others = sum(one.values()) - one.get("a", 0)
        two.add({label: n for label, n in (("a", one.get("a", 0)), ("z", others)) if n})
    found = whole.against_others(["a"])["a"]
    assert (found.raw(), found.alpha(), found.fleiss(), found.ac1(2)) == (
        two.raw(),
        two.alpha(),
        two.fleiss(),
        two.ac1(2),
    )


def test_parts_of_a_project_are_told_apart() -> None:
    project = project_of(
        judgement("i", "v", "a", guideline_version="v1", group="left"),
        judgement("i", "w", "a", guideline_version="v1", labelled_at=DAY_MS),
        judgement("j", "v", "a", guideline_version="v1", group="left"),
        judgement("j", "w", "b", guideline_version="v2", group="left"),
    )
    told = {scope: agreement.items for scope, agreement in project.agreement()}
    assert told["project", ""] == 2
    assert told["guideline", "v1"] == 1
    assert told["day", "1970-01-02"] == 1
    assert told["group", "left"] == 1, "an item belongs to the group that its newest judgement says"


def test_numbers_are_compared_and_no_truth_is_inferred_of_them() -> None:
    number = {"kind": "number", "number": 2.0}
    project = project_of(judgement("i", "v", None) | {"value": number}, judgement("i", "w", None) | {"value": number})
    assert dict(project.agreement())["project", ""].raw() == 1.0
    assert project.fit() is None


def test_of_two_models_the_one_that_predicted_last_has_a_voice() -> None:
    labels = [judgement(f"i{n}", w, "ab"[n % 2]) for n in range(20) for w in "vw"]

    def told(model: str, at: int, sure: float) -> list[dict[str, Any]]:
        shares = [{"a": sure, "b": 1 - sure}, {"a": 1 - sure, "b": sure}]
        return [
            judgement(f"i{n}", model, "ab"[n % 2], labelled_at=at, actor_kind="model", probabilities=shares[n % 2])
            for n in range(20)
        ]

    one = project_of(*labels, *told("new", 2, 0.9), *told("old", 1, 0.6)).fit()
    other = project_of(*labels, *told("new", 2, 0.9)).fit()
    silent = project_of(*labels, *told("new", 2, 0.9), *(r | {"probabilities": {}} for r in told("new", 2, 0.9))).fit()
    assert one is not None
    assert other is not None
    assert silent is not None
    assert one.voice == other.voice
    assert one.voice is not None
    assert silent.voice is None
