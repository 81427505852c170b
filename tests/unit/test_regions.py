"""IoU of spans, boxes and polygons: values by hand, and what holds for all."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.regions import box_ious, polygon_ious, span_ious
from streams.quality.values import similarities
from tests.unit.regions import REGIONS, Region, box, polygon, span


def test_spans_share_characters() -> None:
    """The example of Label Studio's documentation, and spans that only touch."""
    ious = span_ious([span(0, 14), span(41, 47)], [span(4, 14), span(41, 58), span(14, 20)])
    assert ious == pytest.approx(np.array([[0.714286, 0, 0], [0, 0.352941, 0]]), abs=1e-6)


def test_boxes_share_area() -> None:
    """The example of Label Studio's documentation, in percent."""
    assert box_ious([box(0.1, 0.2, 1.0, 0.8)], [box(0.3, 0.2, 1.0, 0.8)]) == pytest.approx(0.667, abs=5e-4)
    assert box_ious([box(0, 0, 0.1, 0.1)], [box(0.1, 0, 0.1, 0.1), box(0, 0, 0.1, 0.1)]).tolist() == [[0.0, 1.0]]


def test_a_threshold_does_not_hang_on_the_last_bit() -> None:
    """A third of each box is outside of the other, so that the IoU is a half; in floating point it is a little less."""
    assert box_ious([box(0.1, 0.1, 0.3, 0.1)], [box(0.2, 0.1, 0.3, 0.1)]).tolist() == [[0.5]]


def test_a_box_turns_clockwise_about_its_top_left_corner() -> None:
    """By a quarter turn a box 0.4 wide and 0.2 high covers what lies below and to the left of its corner."""
    turned = box(0.5, 0.1, 0.4, 0.2, rotation=90)
    assert box_ious([turned], [box(0.3, 0.1, 0.2, 0.4)]) == 1
    assert box_ious([turned], [box(0.5, 0.1, 0.4, 0.2)]) == 0


def test_two_squares_an_eighth_turn_apart_share_a_regular_octagon() -> None:
    diagonal = 0.2 * math.sqrt(2)
    square, turned = box(0.4, 0.4, 0.2, 0.2), box(0.5, 0.5 - diagonal / 2, 0.2, 0.2, rotation=45)
    octagon = 2 * (math.sqrt(2) - 1)  # of a square's area
    assert box_ious([square], [turned]) == pytest.approx(octagon / (2 - octagon), abs=1e-9)


SQUARE = polygon((0, 0), (1, 0), (1, 1), (0, 1))
CONCAVE = polygon((0, 0), (1, 0), (1, 0.5), (0.5, 0.5), (0.5, 1), (0, 1))
NOTCH = polygon((0.5, 0.5), (1, 0.5), (1, 1), (0.5, 1))
BOW = polygon((0, 0), (1, 1), (1, 0), (0, 1))
TWICE = polygon(*[(0, 0), (1, 0), (1, 1), (0, 1)] * 2)


def test_concave_polygons_share_no_area_that_lies_between_their_arms() -> None:
    """What is missing to the square, its convex hull or a part of it, is not the polygon's."""
    assert polygon_ious([CONCAVE], [SQUARE, NOTCH, CONCAVE]).tolist() == [[0.75, 0.0, 1.0]]


def test_a_polygon_drawn_the_other_way_round_or_from_another_corner_is_the_same() -> None:
    points = [(point["x"], point["y"]) for point in CONCAVE["points"]]
    assert polygon_ious([CONCAVE], [polygon(*points[::-1]), polygon(*points[2:], *points[:2])]).tolist() == [[1, 1]]


def test_all_that_an_outline_encloses_counts_where_it_crosses_itself() -> None:
    assert polygon_ious([SQUARE], [BOW, TWICE]).tolist() == [[0.5, 1.0]]


def test_regions_without_area_are_alike_only_if_they_are_equal() -> None:
    line = polygon((0, 0), (1, 1), (0, 0))
    assert polygon_ious([line, SQUARE], [line, SQUARE, polygon((0, 0), (0, 0), (0, 0))]).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
    ]
    thin = box(1.0, 0.5, 1e-200, 1e-200)
    assert box_ious([thin], [thin, box(1.0, 0.25, 1e-200, 1e-200)]).tolist() == [[1, 0]]


@pytest.mark.parametrize("kind", REGIONS)
def test_no_regions_give_no_similarities(kind: str) -> None:
    assert similarities(kind, [], []).shape == (0, 0)


@pytest.mark.parametrize("kind", REGIONS)
@given(data=st.data())
def test_iou_is_a_symmetric_share_and_one_for_the_same_region(kind: str, data: st.DataObject) -> None:
    ones: list[Region] = data.draw(st.lists(REGIONS[kind], max_size=4))
    others: list[Region] = data.draw(st.lists(REGIONS[kind], max_size=4))
    ious = similarities(kind, ones, others)
    assert ious.shape == (len(ones), len(others))
    assert ((ious >= 0) & (ious <= 1)).all()
    assert pytest.approx(ious, abs=1e-9) == similarities(kind, others, ones).T
    assert similarities(kind, ones, ones).diagonal().tolist() == [1] * len(ones)


@given(st.lists(REGIONS["boxes"], min_size=1, max_size=4), st.lists(REGIONS["boxes"], min_size=1, max_size=4))
def test_a_box_is_the_polygon_of_its_corners(ones: list[Region], others: list[Region]) -> None:
    def outline(region: Region) -> Region:
        x, y, right, bottom = region["x"], region["y"], region["x"] + region["width"], region["y"] + region["height"]
        return polygon((x, y), (right, y), (right, bottom), (x, bottom))

    upright = [[{**region, "rotation": 0.0} for region in side] for side in (ones, others)]
    outlines = [[outline(region) for region in side] for side in upright]
    assert polygon_ious(*outlines) == pytest.approx(box_ious(*upright), abs=1e-8)
