"""Consensus of several annotators: by hand, and the same whatever the order in which they are given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from streams.quality.consensus import Consensus, class_support, consensus, disagreement, region_consensus
from streams.quality.limits import work
from streams.quality.matching import THRESHOLD
from streams.quality.values import matches
from tests.unit.regions import KINDS, REGIONS, Region, Value, box, polygon, span, track, values


def by_three(kind: str, *contents: Any) -> dict[str, Value]:
    return {annotator: {"kind": kind, kind: content} for annotator, content in zip("uvw", contents, strict=False)}


def shown(kind: str, *contents: Any) -> Any:
    return consensus(by_three(kind, *contents)).value[kind]


def test_the_answer_of_values_without_regions() -> None:
    assert shown("choice", "b", "a", "b") == "b"
    assert shown("choice", "b", "a") == "a"
    assert shown("choices", ["a", "b"], ["b", "c"], ["b", "c"]) == ["b", "c"]
    assert shown("choices", [], [], ["a"]) == []
    assert shown("number", 1.0, 100.0, 2.0) == 2.0
    assert shown("number", 1.0, 2.0) == 1.5
    assert shown("text", "a house", "a mouse", "the mouse") == "a mouse"
    assert class_support(by_three("choices", ["a", "b"], ["b"], [])) == {"a": 1 / 3, "b": 2 / 3}


def test_ties_go_to_the_lowest_label_in_the_order_that_is_given() -> None:
    sizes = ["small", "middle", "large"]
    assert consensus(by_three("choice", "large", "small"), sizes.index).value["choice"] == "small"
    (region,) = region_consensus(by_three("spans", [span(0, 4, "large")], [span(0, 4, "small")]), sizes.index)
    assert region.region["label"] == "small"
    assert list(region.votes) == ["small", "large"]


def test_a_region_has_the_median_place_and_the_label_of_most() -> None:
    """Of three annotators; the second saw a thing more, the third calls the first one otherwise."""
    first = [box(0.10, 0.10, 0.20, 0.20)]
    second = [box(0.12, 0.11, 0.20, 0.20), box(0.6, 0.6, 0.1, 0.1)]
    third = [box(0.11, 0.10, 0.22, 0.19, "b")]
    common, extra = region_consensus(by_three("boxes", first, second, third))
    assert common.region == {"label": "a", "x": 0.11, "y": 0.10, "width": 0.20, "height": 0.20}
    assert (common.support, common.annotators, common.votes) == (1.0, ("u", "v", "w"), {"a": 2, "b": 1})
    assert (extra.support, extra.annotators, extra.votes) == (1 / 3, ("v",), {"a": 1})
    answer = consensus(by_three("boxes", first, second, third))
    assert answer.value == {"kind": "boxes", "boxes": [common.region]}
    assert common.of_label == ("u", "v")
    assert answer.behind == 1 + 1 / 2 + 0  # v has one more, and w the same one under another label


def test_a_span_begins_and_ends_where_somebody_put_it() -> None:
    (found,) = region_consensus(by_three("spans", [span(73, 82)], [span(73, 86)], [span(71, 86)]))
    assert found.region == {"label": "a", "start": 73, "end": 86}
    (found,) = region_consensus(by_three("spans", [span(0, 10)], [span(1, 13)]))
    assert found.region == {"label": "a", "start": 0, "end": 10}


def test_other_shapes_are_somebodys_whole_shape() -> None:
    drawn = [polygon((0, 0), (x, 0), (x, 1), (0, 1)) for x in (0.8, 0.9, 1.0)]
    (found,) = region_consensus(by_three("polygons", *([one] for one in drawn)))
    assert found.region == {"label": "a", "points": drawn[1]["points"]}
    turned = [box(0.5, 0.5, 0.2, 0.1, rotation=angle) for angle in (20.0, 30.0, 25.0)]
    (found,) = region_consensus(by_three("boxes", *([one] for one in turned)))
    assert found.region["rotation"] == 25.0
    moving = [track((0, 0.0, True), (last, 0.0, True)) for last in (8, 9, 11)]
    (found,) = region_consensus(by_three("tracks", *([one] for one in moving)))
    assert found.region["frames"] == moving[1]["frames"]


def test_a_chain_of_regions_is_no_cluster() -> None:
    """Each overlaps the next one enough, the first and the last do not."""
    first, second, third = span(0, 10), span(3, 13), span(6, 16)
    found = region_consensus(by_three("spans", [first], [second], [third]))
    assert [one.annotators for one in found] == [("u", "v"), ("w",)]


def test_two_regions_at_one_place_stay_two() -> None:
    both = [span(0, 8, "organisation"), span(0, 8, "place")]
    found = region_consensus(by_three("spans", both, both[::-1], both[1:]))
    assert [(one.region["label"], one.annotators) for one in found] == [
        ("organisation", ("u", "v")),
        ("place", ("u", "v", "w")),
    ]


def test_half_of_the_annotators_are_enough() -> None:
    assert shown("spans", [span(0, 4)], []) == [{"label": "a", "start": 0, "end": 4}]
    assert shown("spans", [span(0, 4)], [], []) == []
    assert shown("choices", ["a"], []) == ["a"]


def test_nothing_is_an_answer() -> None:
    empty = consensus(by_three("boxes", [], [], []))
    assert (empty.value, empty.behind, empty.regions) == ({"kind": "boxes", "boxes": []}, 3.0, ())


def test_disagreement_is_what_pairs_lack_in_agreement() -> None:
    assert disagreement(by_three("choice", "a", "a", "b")) == pytest.approx(2 / 3)
    assert disagreement(by_three("spans", [span(0, 20)], [span(0, 10), span(10, 20)])) == 0.75
    assert disagreement(by_three("choice", "a")) is None
    assert disagreement({}) is None


def test_no_answers_have_no_consensus() -> None:
    with pytest.raises(ValueError, match="0 kinds"):
        consensus({})
    with pytest.raises(ValueError, match=r"2 kinds \(boxes, spans\)"):
        region_consensus({**by_three("boxes", []), "z": {"kind": "spans", "spans": []}})


def test_doubt_is_that_of_the_one_coin_model() -> None:
    """By hand, q = 0.8: one annotator .2; two who agree 1 / 17; two against one .2; one against one .5."""

    def doubt(*contents: Sequence[Region]) -> float:
        return consensus(by_three("spans", *contents)).p_wrong(0.8)

    here, there = span(0, 4), span(10, 14)
    assert doubt([here]) == doubt([]) == pytest.approx(0.2)
    assert doubt([here], [here]) == pytest.approx(1 / 17)
    assert doubt([here], [here], []) == doubt([here], [], []) == pytest.approx(0.2)
    assert doubt([here], []) == pytest.approx(0.5)
    assert doubt([here], [here, there]) == pytest.approx(0.2)  # one and a half stand behind both
    assert doubt([here], [span(0, 4, "b")], [span(0, 4, "c")]) == pytest.approx(0.8)
    assert Consensus({}, 5000, 5000.0).p_wrong(0.9) < 1e-300
    assert Consensus({}, 5000, 0.0).p_wrong(0.9) == 1


def test_annotators_who_all_saw_something_else_leave_no_trust_in_nothing() -> None:
    """No region has half of them behind it, so the answer is that nothing is there, which none of them said."""
    apart = consensus(by_three("spans", [span(0, 4)], [span(10, 14)], [span(20, 24)]))
    assert (apart.value["spans"], apart.behind) == ([], 0.0)
    assert apart.p_wrong(0.8) == pytest.approx(1 / (1 + 4**-3))
    one_of_three = consensus(by_three("spans", [span(0, 4)], [], []))
    assert (one_of_three.value["spans"], one_of_three.behind) == ([], 2.0)


def test_of_simulated_items_the_worst_answers_come_first() -> None:
    """Each annotator finds a region with a probability that depends on the item, and sees others where it is low.

    How wrong the answer is: its distance (Jaccard) from the regions that are there.
    """
    random = np.random.default_rng(5)
    doubts, wrong = [], []
    for n in range(300):
        found, here = random.beta(4, 1.5), [20 * place for place in range(random.poisson(3))]
        drawn = {
            who: [place for place in here if random.random() < found]
            + [int(1000 + 200 * k + 20 * random.integers(9)) for k in range(random.poisson(1 - found))]
            for who in "vwxy"[: 3 + n % 2]
        }
        answer = consensus(
            {who: {"kind": "spans", "spans": [span(p, p + 9) for p in own]} for who, own in drawn.items()}
        )
        shown = {one["start"] for one in answer.value["spans"]}
        doubts.append(answer.p_wrong(0.8))
        wrong.append(1 - len(shown & {*here}) / len(shown | {*here}) if shown or here else 0.0)
    worst = np.argsort(np.negative(doubts), kind="stable")[:60]
    # the mean over all decisions, empty places among them, reaches .35 and .38
    assert spearmanr(doubts, wrong).statistic > 0.45
    assert np.array(wrong)[worst].sum() > 0.45 * sum(wrong)


@given(st.floats(0, 9), st.floats(0, 1), st.floats(0.51, 0.99))
def test_one_more_annotator_behind_the_answer_never_adds_doubt(behind: float, more: float, accuracy: float) -> None:
    before, after = (Consensus({}, 10, count).p_wrong(accuracy) for count in (behind, behind + more))
    assert 0 <= after <= before <= 1


@given(st.integers(1, 9), st.floats(0.51, 0.99))
def test_doubt_falls_with_each_annotator_who_says_the_same(n: int, accuracy: float) -> None:
    fewer, more = ({str(k): {"kind": "spans", "spans": [span(0, 4)]} for k in range(m)} for m in (n, n + 1))
    assert consensus(more).p_wrong(accuracy) < consensus(fewer).p_wrong(accuracy)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_no_order_of_annotators_or_regions_changes_a_bit(kind: str, data: st.DataObject) -> None:
    answers: dict[str, Value] = data.draw(st.dictionaries(st.sampled_from("uvwxy"), values(kind), min_size=1))
    shuffled = {annotator: answers[annotator] for annotator in data.draw(st.permutations(sorted(answers)))}
    assert disagreement(shuffled) == disagreement(answers)
    if kind in REGIONS:
        for annotator, value in shuffled.items():
            shuffled[annotator] = {"kind": kind, kind: data.draw(st.permutations(value[kind]))}
    assert consensus(shuffled) == consensus(answers)
    assert 0 < consensus(answers).p_wrong(0.8) < 1


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_annotators_who_say_the_same_are_the_consensus(kind: str, data: st.DataObject) -> None:
    value: Value = data.draw(values(kind))
    found = consensus(dict.fromkeys("uvw", value))
    assert len(found.value[kind]) == len(value[kind]) if kind in REGIONS else True
    if kind in ("choice", "number", "text"):
        assert found.value == value
    elif kind == "choices":
        assert found.value[kind] == sorted(value[kind])
    assert found.behind == 3.0
    assert disagreement(dict.fromkeys("uvw", value)) == 0


@pytest.mark.parametrize("kind", REGIONS)
@given(data=st.data())
def test_each_region_that_was_drawn_is_in_one_cluster_of_close_ones(kind: str, data: st.DataObject) -> None:
    answers: dict[str, Value] = data.draw(st.dictionaries(st.sampled_from("uvwx"), values(kind), min_size=1))
    found = region_consensus(answers)
    drawn = [region["label"] for value in answers.values() for region in value[kind]]
    assert sorted(drawn) == sorted(label for one in found for label, n in one.votes.items() for _ in range(n))
    for one in found:
        assert len({*one.annotators}) == len(one.annotators) == sum(one.votes.values()) == one.support * len(answers)


@given(data=st.data())
def test_of_two_annotators_the_clusters_are_the_matching(data: st.DataObject) -> None:
    ones: list[Region] = data.draw(st.lists(REGIONS["spans"], max_size=5))
    others: list[Region] = data.draw(st.lists(REGIONS["spans"], max_size=5))
    found = region_consensus(by_three("spans", ones, others))
    assert sum(len(one.annotators) == 2 for one in found) == len(matches("spans", ones, others, THRESHOLD))


def test_what_would_take_minutes_is_not_compared() -> None:
    """Nothing of it is built: how much work it is follows from sizes alone."""
    many = [span(n, n + 1) for n in range(900)]
    for contents in ([many] * 5, [[span(0, 1)]] * 300):
        answers = {str(n): {"kind": "spans", "spans": content} for n, content in enumerate(contents)}
        for compare in (consensus, disagreement):
            with pytest.raises(ValueError, match="too many to compare"):
                compare(answers)
    long = {str(n): {"kind": "text", "text": "x" * 1_000_000} for n in range(2)}
    with pytest.raises(ValueError, match="too many to compare"):
        consensus(long)


def test_how_much_work_tracks_are() -> None:
    """By hand: two annotators; each track of one with each of the other, over all its frames at most."""
    one, other = [track((0, 0.0, True), (99, 0.0, True))] * 2, [track((0, 0.0, True), (49, 0.0, True))]
    assert work("boxes", [one, other]) == 300 + 2
    assert work("tracks", [one, other]) == 300 + 2 + (200 * 1 + 50 * 2) / 2 / 25
    assert work("text", ["x" * 64_000, "x"]) == 300 + 1
