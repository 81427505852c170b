"""The report's pure parts: whatever the numbers and names are, the page is whole, says something, and runs nothing."""

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.report import models, people, queue
from streams.report.figures import shown
from streams.report.numbers import (
    Figure,
    Listing,
    Numbers,
    Section,
    Table,
    expected_calibration_error,
    percent,
    wilson,
)
from streams.report.page import page
from streams.report.report import report, sections
from streams.report.shell import QUERIES

EVIL = """</title></svg><script>alert('1')</script><img src=x onerror="alert(2)">&$\\frac{a}$\0\n{{7*7}}"""
MONDAY, NEXT = date(2026, 1, 5), date(2026, 1, 12)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def table(*rows: dict[str, Any]) -> Table:
    return Table(tuple(rows[0]), [tuple(row.values()) for row in rows])


def confusion(classes: list[str], annotator: str = "anna") -> Table:
    """Return counts of an annotator who takes each class for the next one now and then."""
    cells = [
        {"annotator": annotator, "actor_kind": "annotator", "truth": truth, "answer": answer, "labels": count}
        for n, truth in enumerate(classes)
        for answer, count in ((truth, 10), (classes[(n + 1) % len(classes)], 1 + n))
    ]
    return table(*cells)


def numbers(name: str = "anna", classes: tuple[str, ...] = ("cat", "dog"), annotators: int = 1) -> Numbers:
    """Return numbers that fill every section, with `name` in all that people write."""
    who = [name if n == 0 else f"{name}{n}" for n in range(annotators)]
    interval = {"accuracy": 0.8, "low": 0.6, "high": 0.9}
    weekly = [
        {
            "annotator": one,
            "actor_kind": "annotator",
            "week": week,
            "basis": basis,
            "labels": 10,
            "correct": 8.0,
            **interval,
        }
        for one in who
        for week in (MONDAY, NEXT)
        for basis in ("known", "estimate")
    ]
    outline = [(0.1, 0.1), (0.5, 0.1), (0.5, 0.4)]
    coefficients = {f"alpha_{kind}": 0.4 for kind in ("ordinal", "interval", "ratio")} | {"fleiss": 0.5, "ac1": None}
    scopes = [("project", ""), ("class", name), ("group", name), ("guideline", name), ("day", "2026-01-05")]
    agreement = [
        {"scope": scope, "name": part, "items": 5, "raw": 0.7, "alpha": 0.5, **coefficients}
        for scope, part in [*scopes, ("day", "2026-01-06")]
    ]
    alarm = {"annotator": name, "actor_kind": "annotator", "drift_at": NOON, "accuracy": 0.8, "recent": 0.5}
    answers = {"status": "open", "tier": "p0", "source": "posterior", "items": 9, "labels": 20, "expected_wrong": 1.5}
    differences = dict.fromkeys(("missing_annotation", "extra_annotation", "mismatching_label", "low_overlap"), 2)
    return {
        "answers": table(answers),
        "annotators": table(*({"annotator": one, "actor_kind": "annotator", "labels": 20} for one in who)),
        "queue_history": table({"at": NOON, "opened": 9, "closed": 0, "open": 9}),
        "review_progress": table(
            {"n": 1, "at": NOON, "item_id": "i", "reviewer": name, "verdict": "corrected", "found": 1},
        ),
        "p_wrong_reliability": table(
            {"bin": 1, "items": 4, "expected": 0.15, "wrong": 1, "share": 0.25, "low": 0.1, "high": 0.6}
        ),
        "accuracy_weekly": table(*weekly),
        "accuracy_known": table({"annotator": name, "actor_kind": "annotator", "judged": 10, "accuracy": 0.8}),
        "skill": table(*({"annotator": one, "actor_kind": "annotator", **interval} for one in who)),
        "confusion": confusion([name, *classes], name),
        "same_mistakes": table(
            {
                **{"annotator": name, "model": name, "items": 9, "wrong": 3, "model_wrong": 2},
                **{"same": 1, "share": 1 / 3, "by_chance": 0.1},
            }
        ),
        "drift_alarms": table(alarm),
        "agreement": table(*agreement),
        "agreement_by_kind": table({"kind": "boxes", "week": MONDAY, "items": 3, "agreement": 0.5}),
        "reviewers": table(
            {"reviewer": name, "verdicts": 1, "overturned": 1, "overturn_rate": 1.0, "again": 0, "contradicted": 0}
        ),
        "label_time": table({"annotator": name, "labels": 3, "p10_ms": 900.0, "median_ms": 1e3, "p90_ms": 2e3}),
        "label_time_weekly": table(
            {"week": MONDAY, "labels": 3, "median_ms": 1e3, "p90_ms": 2e3},
            {"week": NEXT, "labels": 3, "median_ms": 1e3, "p90_ms": 2e3},
        ),
        "models": table(*(trained(n, name) for n in (1, 2))),
        "model_accuracy": table(
            *(
                {"n": n, "accuracy": 0.75, "accuracy_judged": None if n == 1 else 0.5, "annotator_accuracy": 0.6}
                for n in (1, 2)
            )
        ),
        "gate_results": table(
            {
                **{"model_version": f"{name}2", "verdict": "refused", "part": name, "examples": 9, "passed": False},
                **{"champion_right": 0.8, "model_right": 0.7, "low": -0.2, "high": -0.05},
                **{"regressions": 3, "allowed": 1},
            }
        ),
        "flip_counts": table(
            {"model_version": f"{name}2", "part": "held_out", "now_right": 3, "still_wrong": 2, "newly_wrong": 1}
        ),
        "region_f1": table(
            {
                **{"kind": "boxes", "one": name, "other": name, "items": 1, "regions_one": 1, "regions_other": 1},
                **{"f1_50": 1.0, "f1_75": 1.0, "mean_iou": 0.9},
            }
        ),
        "region_differences": table(
            {"kind": "boxes", "annotator": name, "judged_by": "the others", "items": 1, "regions": 9, **differences}
        ),
        "region_consensus": table(
            {
                **{"item_id": name, "kind": "boxes", "p_wrong": 0.5, "label": name, "where": name},
                **{"support": 0.5, "votes": name, "points": outline},
            }
        ),
    }


def trained(n: int, name: str, verdict: str | None = "refused") -> dict[str, Any]:
    return {
        **{"n": n, "model_version": f"{name}{n}", "trained_at": NOON, "rows": 9.0, "accuracy": 0.75},
        **{"accuracy_judged": None, "verdict": verdict, "reason": name, "is_champion": n == 1},
    }


class Reader(HTMLParser):
    """Notes tags, attributes and texts as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


PAGE_TAGS = {
    *("html", "head", "meta", "link", "title", "style", "body", "h1", "h2", "p", "dl", "div", "dt", "dd", "nav", "a"),
    *("section", "figure", "details", "summary", "table", "thead", "tbody", "tr", "th", "td"),
    *("svg", "g", "path", "defs", "clippath", "use", "text", "rect", "image"),
}


_ADDRESS = re.compile(r"#\w+|\w+\.csv|data:(,|image/png;base64,.*)", re.DOTALL)


@pytest.fixture(scope="module")
def full() -> list[Section]:
    """Return the sections of a large project whose people choose odd names."""
    classes = (*(f"class {n}" for n in range(100)), EVIL + "2", "a$b$ & <c>", "猫")
    return sections(numbers(EVIL, classes, annotators=20))


@pytest.fixture(scope="module")
def whole(full: list[Section]) -> str:
    """Return their page."""
    return page(EVIL, EVIL, [(EVIL, EVIL)], full)


def test_names_can_neither_run_anything_nor_ask_anybody_and_are_drawn_as_they_are(whole: str) -> None:
    found = Reader(whole)
    assert found.tags <= PAGE_TAGS
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    addresses = [value for name, value in found.attributes if name in ("href", "xlink:href", "src", "action")]
    assert addresses
    assert not [value for value in addresses if not _ADDRESS.fullmatch(value)]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in found.attributes
    assert "url(http" not in whole
    assert "\0" not in whole
    assert {"a$b$ & <c>", "猫"} <= {*re.split(r"\n|\s{2,}", found.text)}


@given(st.text(max_size=60))
def test_a_shown_name_is_one_printable_line_of_bounded_length(name: str) -> None:
    text = shown(name)
    assert 0 < len(text) <= 26
    assert text.isprintable()


def test_every_section_shows_something_and_says_what_to_look_for(full: list[Section]) -> None:
    for section in full:
        assert section.parts, section.title
        assert any(part.look_for for part in section.parts), section.title
        assert {*section.files} <= {*QUERIES, "region_f1", "region_differences", "region_consensus"}


@pytest.mark.parametrize("empty", [{}, {name: Table(("a",), []) for name in QUERIES}], ids=["absent", "no rows"])
def test_an_empty_project_says_so_in_one_line_a_section(empty: Numbers) -> None:
    for section in sections(empty):
        assert not section.parts
        assert section.nothing.count("\n") == 0
        assert section.nothing.endswith(".")
    told = report("p", "now", empty)
    assert "svg" not in Reader(told).tags
    assert told.count('<section class="nothing">') == len(sections(empty))


def test_many_annotators_and_classes_make_a_page_of_bounded_size(whole: str) -> None:
    assert len(whole) < 1_000_000
    assert people.OTHERS in whole


def test_the_same_numbers_make_the_same_figure() -> None:
    assert people.skill(numbers()) == people.skill(numbers())
    assert queue.calibration(numbers()) == queue.calibration(numbers())


def test_classes_that_are_not_drawn_are_counted_together() -> None:
    """Of 30 classes 20 are drawn: those confused most, the first with the last."""
    classes = [f"c{n:02}" for n in range(30)]
    (matrix, worst, *_) = people.confusion({"confusion": confusion(classes)}).parts
    assert isinstance(matrix, Figure)
    drawn = re.findall(r">(c\d\d|other classes)</text>", matrix.svg)
    assert sorted({*drawn}) == ["c00", *classes[11:], "other classes"]
    counted = [int(text) for text in re.findall(r">(\d+)</text>", matrix.svg)]
    assert sum(counted) == sum(10 + 1 + n for n in range(30))
    assert worst.look_for == ""


def test_intervals_and_calibration_by_hand() -> None:
    assert wilson(1, 1) == pytest.approx((0.269866, 1.0), abs=1e-6)
    assert wilson(0, 2) == pytest.approx((0.0, 0.574969), abs=1e-6)
    assert expected_calibration_error([(3, 0.1, 0.2), (1, 0.5, 0.1)]) == pytest.approx((3 * 0.1 + 0.4) / 4)
    assert expected_calibration_error([]) is None
    assert [percent(None), percent(float("nan")), percent(0.123, 1)] == ["-", "-", "12.3 %"]


def test_random_order_is_told_by_what_is_known_and_expected_of_labelled_items() -> None:
    """10 labelled items: 2 errors found, 1 known by gold whose p_wrong was 0.4, and 1.4 - 0.4 expected of the rest."""
    answer = {"status": "open", "tier": "p0", "source": "posterior", "items": 10, "labels": 30, "expected_wrong": 1.4}
    bare = answer | {"status": "unlabelled", "source": "none", "items": 90, "labels": 0, "expected_wrong": 0.0}
    verdicts = [
        {"n": n, "item_id": f"i{n}", "verdict": verdict, "found": found}
        for n, verdict, found in ((1, "corrected", 1), (2, "rejected", 2), (3, "confirmed", 2), (4, "confirmed", 2))
    ]
    gold = {"item_id": "g", "p_wrong": 0.4, "source": "evaluation", "wrong": True}
    section = queue.errors_found(
        {"answers": table(answer, bare), "review_progress": table(*verdicts), "estimates_judged": table(gold)}
    )
    assert f"found 2 errors, {2 / (0.4 * 4):.1f} times as many" in section.parts[0].look_for


def test_the_gate_is_told_of_the_last_model_judged_and_of_the_last_refused() -> None:
    """Model 2 was refused, 3 and 4 were promoted, 5 by hand."""
    check = {"part": "fixed", "examples": 1000, "champion_right": 0.5, "model_right": 0.75, "low": 0.1, "high": 0.3}
    results = [
        check
        | {"model_version": f"m{n}", "verdict": verdict, "regressions": 2, "allowed": allowed, "passed": allowed != 1}
        for n, verdict, allowed in ((2, "refused", 1), (3, "promoted", None), (4, "promoted", None))
    ]
    rows = table(*(trained(n, "m", None) for n in range(1, 6)))
    found = models.models({"models": rows, "gate_results": table(*results)})
    (versions, gate) = (part for part in found.parts if isinstance(part, Listing))
    assert [row[0] for row in versions.rows] == ["5", "4", "3", "2", "1"]
    assert [row[-1] for row in versions.rows] == [*(f"m{n}, not judged: m" for n in (5, 4, 3, 2)), "m1, champion: m"]
    assert gate.rows == [
        ("4", "fixed", "1,000", "50.0 %", "75.0 %", "+10.0 to +30.0", "2", "passed"),
        ("2", "fixed", "1,000", "50.0 %", "75.0 %", "+10.0 to +30.0", "2 of 1 allowed", "refused"),
    ]
