"""Structured labels in the report: F1, what differs, and the joint answer, by hand."""

import json
from typing import Any

import pytest

from streams.report.regions import compare, place

SPAN = {"label": "place", "start": 0, "end": 4}
OTHER = {"label": "place", "start": 6, "end": 9}
NAMED = {"label": "person", "start": 6, "end": 9}


def row(item: str, annotator: str, spans: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    value = json.dumps({"kind": "spans", "spans": spans})
    known = {"reference": "", "p_wrong": 0.4, "text": "Rome, Ulm", **fields}
    return {"item_id": item, "annotator": annotator, "kind": "spans", "value": value, **known}


ROWS = [
    row("i", "anna", [SPAN, OTHER]),
    row("i", "ben", [SPAN, NAMED]),
    row("j", "anna", [SPAN], p_wrong=0.1),
    row("j", "ben", [], p_wrong=0.1),
    row("k", "anna", [SPAN], reference=json.dumps({"kind": "spans", "spans": [SPAN, OTHER]})),
    row("l", "anna", [SPAN], p_wrong=None),
]


def test_f1_of_annotators_counts_regions_of_one_label_that_have_a_partner() -> None:
    (whole, pair) = compare(ROWS)["region_f1"].records()
    assert (pair["one"], pair["other"], pair["items"], pair["regions_one"], pair["regions_other"]) == (
        *("anna", "ben", 2, 3, 2),
    )
    assert pair["f1_50"] == pair["f1_75"] == pytest.approx(2 * 1 / 5)
    assert pair["mean_iou"] == 1
    assert whole["f1_50"] == pair["f1_50"]


def test_what_differs_from_the_verdict_or_else_from_the_others() -> None:
    found = {(r["annotator"], r["judged_by"]): r for r in compare(ROWS)["region_differences"].records()}
    names = ("items", "missing_annotation", "extra_annotation", "mismatching_label", "low_overlap")
    assert {who: tuple(r[name] for name in names) for who, r in found.items()} == {
        ("anna", "the others"): (2, 0, 1, 1, 0),
        ("ben", "the others"): (2, 1, 0, 1, 0),
        ("anna", "verdict or gold"): (1, 1, 0, 0, 0),
    }


def test_the_joint_answer_of_the_most_doubtful_items_first() -> None:
    found = compare(ROWS)["region_consensus"].records()
    assert [(r["item_id"], r["label"], r["where"], r["support"], r["votes"]) for r in found] == [
        ("i", "place", "'Rome' 0 to 4", 1.0, "place x2"),
        ("i", "person", "'Ulm' 6 to 9", 1.0, "person x1, place x1"),
        ("j", "place", "'Rome' 0 to 4", 0.5, "place x1"),
    ]


def test_the_order_of_rows_does_not_matter() -> None:
    assert compare(ROWS[::-1]) == compare(ROWS)


def test_tracks_that_are_too_long_are_left_out() -> None:
    box = {"x": 0.1, "y": 0.1, "width": 0.1, "height": 0.1, "visible": True}
    track = {"label": "car", "frames": [{"frame": 0, **box}, {"frame": 2_000_000, **box}]}
    value = json.dumps({"kind": "tracks", "tracks": [track]})
    rows = [row("v", who, []) | {"kind": "tracks", "value": value} for who in ("anna", "ben")]
    found = compare(rows)
    assert found["region_f1"].rows == []
    assert found["region_consensus"].rows == []


def test_where_a_region_is() -> None:
    box = {"x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}
    assert place("boxes", box, None)[0] == "10 to 40 % across, 20 to 60 % down"
    corners = [{"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 0.5}, {"x": 0.2, "y": 1.0}]
    assert place("polygons", {"points": corners}, None) == (
        "0 to 100 % across, 0 to 100 % down",
        [(0.0, 0.0), (1.0, 0.5), (0.2, 1.0)],
    )
    assert place("tracks", {"frames": [{"frame": 3}, {"frame": 9}]}, None) == ("frames 3 to 9", [])
    assert place("spans", SPAN, "Ro")[0] == "0 to 4"
