"""Agreement of values of each kind, what regions differ in, and Label Studio's score."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.values import agreement, conflicts, decisions, label_studio_score, matches
from tests.unit.regions import KINDS, REGIONS, Region, Value, box, polygon, span, track, values


def of(kind: str, one: Any, other: Any) -> float:
    return agreement({"kind": kind, kind: one}, {"kind": kind, kind: other})


@pytest.mark.parametrize(
    ("kind", "one", "other", "expected"),
    [
        ("choice", "a", "a", 1.0),
        ("choice", "a", "b", 0.0),
        ("choices", ["sports", "politics"], ["politics", "sports"], 1.0),  # a set
        ("choices", ["a", "b"], ["b", "c"], 1 / 3),
        ("choices", [], [], 1.0),
        ("choices", ["a"], [], 0.0),
        ("number", 4.0, 5.0, 0.8),
        ("number", -4.0, -5.0, 0.8),
        ("number", -4.0, 5.0, 0.0),
        ("number", 0.0, 5.0, 0.0),
        ("number", 0.0, -0.0, 1.0),
        ("number", 1e308, -1e308, 0.0),
        ("text", "house", "hous", 0.8),  # Labelbox's example
        ("text", "caf\u00e9  au\nlait ", "cafe\u0301 au lait", 1.0),
        ("text", "", " ", 1.0),
        ("text", "", "a", 0.0),
        ("tracks", [track((0, 0.0, True), (3, 0.0, True))], [track((0, 0.0, True), (1, 0.0, True))], 2 / 3),
    ],
)
def test_agreement_by_hand(kind: str, one: Any, other: Any, expected: float) -> None:
    assert of(kind, one, other) == pytest.approx(expected, abs=1e-12)


def test_each_region_has_one_partner_and_one_without_counts_nothing() -> None:
    """A span cut in two: Label Studio's score forgives the cut."""
    whole, cut = [span(0, 20)], [span(0, 10), span(10, 20)]
    assert of("spans", cut, whole) == 0.25
    assert label_studio_score("spans", cut, whole) == 0.5


def test_regions_agree_only_under_one_label() -> None:
    assert of("boxes", [box(0, 0, 0.2, 0.2)], [box(0, 0, 0.2, 0.2, "b"), box(0.1, 0, 0.2, 0.2)]) == pytest.approx(1 / 6)


def test_label_studios_score_of_its_documented_examples() -> None:
    ones, others = [span(0, 14, "Person"), span(41, 47, "Loc")], [span(4, 14, "Person"), span(41, 58, "Loc")]
    assert label_studio_score("spans", ones, others) == pytest.approx(0.533613, abs=1e-6)
    assert label_studio_score("boxes", [box(0.1, 0.2, 1.0, 0.8)], [box(0.3, 0.2, 1.0, 0.8)]) == pytest.approx(2 / 3)
    assert label_studio_score("spans", [], []) == 1
    assert label_studio_score("spans", [], others) == label_studio_score("spans", ones, []) == 0


def test_values_of_two_kinds_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=r"2 kinds \(choice, text\)"):
        agreement({"kind": "text", "text": "a"}, {"kind": "choice", "choice": "a"})


def test_conflicts_in_cvats_words() -> None:
    """In place and right; of another class and loosely drawn; found nowhere; and one that was missed."""
    given_ = [box(0, 0, 0.2, 0.2), box(0.5, 0.5, 0.2, 0.2, "b"), box(0.8, 0, 0.1, 0.1)]
    right = [box(0, 0.8, 0.1, 0.1), box(0.52, 0.52, 0.2, 0.2, "a"), box(0, 0, 0.2, 0.2)]
    assert conflicts("boxes", given_, right) == [
        ("mismatching_label", 1, 1),
        ("low_overlap", 1, 1),
        ("extra_annotation", 2, None),
        ("missing_annotation", None, 0),
    ]
    assert conflicts("boxes", right, right) == []


def test_where_regions_are_is_matched_first_and_labels_only_decide_between_equals() -> None:
    ones, others = [span(0, 10, "a"), span(0, 10, "b")], [span(0, 10, "b"), span(0, 10, "a")]
    assert [pair[:2] for pair in matches("spans", ones, others)] == [(0, 1), (1, 0)]
    near, far = [span(0, 10, "a")], [span(0, 9, "b"), span(0, 8, "a")]
    assert [pair[:2] for pair in matches("spans", near, far)] == [(0, 0)]
    assert [pair[:2] for pair in matches("spans", near, far, same_class=True)] == [(0, 1)]
    assert matches("spans", near, far, threshold=1) == []


def test_a_set_of_choices_is_a_decision_on_each_class() -> None:
    assert decisions(["b", "other"], ["a", "b"]) == {"a": False, "b": True, "other": True}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_agreement_is_a_symmetric_share_and_full_with_itself(kind: str, data: st.DataObject) -> None:
    one: Value = data.draw(values(kind))
    other: Value = data.draw(values(kind))
    found = agreement(one, other)
    assert 0 <= found <= 1
    assert agreement(other, one) == pytest.approx(found, abs=1e-8)
    assert agreement(one, one) == 1


@pytest.mark.parametrize("kind", REGIONS)
@given(data=st.data())
def test_the_order_of_regions_changes_no_score(kind: str, data: st.DataObject) -> None:
    ones: list[Region] = data.draw(st.lists(REGIONS[kind], max_size=5))
    others: list[Region] = data.draw(st.lists(REGIONS[kind], max_size=5))
    shuffled = data.draw(st.permutations(ones))
    assert of(kind, shuffled, others) == pytest.approx(of(kind, ones, others), abs=1e-9)
    found, again = matches(kind, ones, others), matches(kind, shuffled, others)
    assert len(found) == len(again)
    assert sum(pair.similarity for pair in found) == pytest.approx(sum(pair.similarity for pair in again), abs=1e-8)
    tally = [sorted(c.difference for c in conflicts(kind, side, others)) for side in (ones, shuffled)]
    errors = [[difference for difference in one if difference != "low_overlap"] for one in tally]
    assert errors[0] == errors[1]


def test_hundreds_of_regions_a_side_find_their_partners() -> None:
    draw = random.Random(0)
    ones = [box(draw.random(), draw.random(), 0.05, 0.05) for _ in range(500)]
    others = [{**one, "x": one["x"] + draw.uniform(-0.005, 0.005)} for one in ones]
    outlines = [polygon((one["x"], one["y"]), (one["x"] + 0.05, one["y"]), (one["x"], one["y"] + 0.05)) for one in ones]
    assert of("boxes", ones, others) > 0.9
    assert of("polygons", outlines, outlines[::-1]) == 1
