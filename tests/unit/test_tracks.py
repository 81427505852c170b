"""Tracks: where they are between keyframes, and what a change of identity costs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.limits import MAX_FRAMES
from streams.quality.tracks import Frames, by_frame, idf1, paths, track_ious
from tests.unit.regions import REGIONS, Region, track


def test_a_track_is_linear_between_its_keyframes() -> None:
    (path,) = paths([track((10, 0.0, True), (14, 0.4, True), (15, 0.4, True))])
    assert path.frames.tolist() == [10, 11, 12, 13, 14, 15]
    assert path.boxes == pytest.approx(
        np.array([[x, 0, x + 0.1, 0.1] for x in (0.0, 0.1, 0.2, 0.3, 0.4, 0.4)]), abs=1e-12
    )


def test_a_keyframe_that_is_not_visible_hides_the_track_until_the_next_one() -> None:
    (path,) = paths([track((0, 0.0, True), (2, 0.2, False), (5, 0.5, True), (6, 0.6, False))])
    assert path.frames.tolist() == [0, 1, 5]
    assert path.boxes[:, 0] == pytest.approx([0.0, 0.1, 0.5], abs=1e-12)


def test_a_high_frame_number_moves_no_box() -> None:
    far = 2**60
    (path,) = paths([track((far, 0.0, True), (far + 4, 0.4, True))])
    assert path.boxes[:, 0] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4], abs=1e-12)


def test_tracks_of_too_many_frames_are_refused() -> None:
    half = MAX_FRAMES // 2
    with pytest.raises(ValueError, match="give at most 1,000,000"):
        paths([track((0, 0.0, True), (half, 0.0, True)), track((0, 0.0, True), (half, 0.0, True))])


def test_iou_of_tracks_counts_the_frames_of_both() -> None:
    """Three of seven frames are shared and agree; where both boxes half overlap, a third is shared."""
    early, late = track((0, 0.0, True), (4, 0.0, True)), track((2, 0.0, True), (6, 0.0, True))
    beside = track((0, 0.05, True), (4, 0.05, True))
    assert track_ious([early], [late, beside, early]) == pytest.approx(np.array([[3 / 7, 1 / 3, 1]]), abs=1e-9)


ONE_AND_OTHER = [track((0, 0.0, True), (9, 0.0, True)), track((0, 0.5, True), (9, 0.5, True))]


def test_a_switch_of_identities_lowers_idf1_and_no_frames_score() -> None:
    """Two tracks that change places after six of ten frames: 12 of 20 boxes keep their identity."""
    switched = [
        track((0, 0.0, True), (5, 0.0, True), (6, 0.5, True), (9, 0.5, True)),
        track((0, 0.5, True), (5, 0.5, True), (6, 0.0, True), (9, 0.0, True)),
    ]
    assert idf1(ONE_AND_OTHER, switched) == pytest.approx(2 * 12 / (2 * 12 + 8 + 8))
    assert by_frame(ONE_AND_OTHER, switched) == Frames(20, 20.0, 20, 20)
    assert by_frame(ONE_AND_OTHER, switched).f1 == 1


def test_a_track_cut_in_two_keeps_its_longer_part() -> None:
    """Seven of ten frames are the identity's; the other three are missed by one side and too many on the other."""
    cut = [track((0, 0.0, True), (6, 0.0, True)), track((7, 0.0, True), (9, 0.0, True))]
    assert idf1(ONE_AND_OTHER[:1], cut) == pytest.approx(0.7)


def test_boxes_of_a_frame_that_crowd_are_matched_for_the_greatest_total() -> None:
    """0.02 apart are two thirds, 0.01 apart are 9/11, and 0.03 apart are 7/13."""
    ones = [track((0, 0.10, True)), track((0, 0.12, True))]
    others = [track((0, 0.13, True)), track((0, 0.11, True))]
    found = by_frame(ones, others)
    assert (found.matched, found.ones, found.others) == (2, 2, 2)
    assert found.total_iou == pytest.approx(2 * 9 / 11)


def test_tracks_of_another_label_are_not_the_same() -> None:
    other = [track((0, 0.0, True), (9, 0.0, True), label="b")]
    assert idf1(ONE_AND_OTHER[:1], other) == 0
    assert by_frame(ONE_AND_OTHER[:1], other).matched == 0


def test_tracks_that_nobody_sees_agree() -> None:
    hidden = [track((0, 0.0, False))]
    assert idf1(hidden, []) == idf1([], []) == by_frame([], []).f1 == 1
    assert idf1(hidden, ONE_AND_OTHER) == 0
    assert track_ious(hidden, [track((3, 0.3, False)), ONE_AND_OTHER[0]]).tolist() == [[1, 0]]


sides = st.lists(REGIONS["tracks"], max_size=4)


@given(sides, sides)
def test_scores_are_shares_and_the_same_in_either_order(ones: list[Region], others: list[Region]) -> None:
    identities, frames = idf1(ones, others), by_frame(ones, others)
    assert 0 <= identities <= 1
    assert 0 <= frames.f1 <= 1
    assert frames.matched / 2 <= frames.total_iou <= frames.matched
    assert idf1(others, ones) == identities
    assert by_frame(others, ones).f1 == frames.f1
    assert idf1(ones, ones) == by_frame(ones, ones).f1 == 1


@given(REGIONS["tracks"], REGIONS["tracks"])
def test_of_one_thing_all_frames_that_match_keep_their_identity(one: Region, other: Region) -> None:
    assert idf1([one], [other]) == by_frame([one], [other]).f1
