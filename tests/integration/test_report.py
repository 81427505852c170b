"""The report's views on values worked out by hand, and the report of that project as it is written."""

import contextlib
import csv
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.views.data import refresh
from streams import events
from streams.cli import inbox, read
from streams.errors import LabelloopError
from streams.settings import Settings
from streams.sinks.migrate import migrate, refreshed
from streams.sinks.writer import Writer
from tests.integration.test_sink_views import gold, invoke, judgement, query, state, store, verdict
from tests.unit.facts import fact
from tests.unit.facts import verdict as correction

pytestmark = pytest.mark.stack

MONDAY = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1000)


def span(start: int, end: int, label: str = "place") -> dict[str, Any]:
    return {"label": label, "start": start, "end": end, "id": None}


def spans(*given: dict[str, Any]) -> Any:
    return events.value_of("spans", [*given])


JUDGEMENTS = [
    judgement("i1", "anna", "a", "a", duration_ms=1000),
    judgement("i1", "m", "a", "a", actor_kind="model", probabilities={"a": 0.9}),
    judgement("i2", "anna", "a", "b", labelled_at=MONDAY, duration_ms=3000),  # wrong, and so is the model
    judgement("i2", "m", "a", "b", actor_kind="model", labelled_at=MONDAY),
    judgement("i3", "anna", "a", "c", labelled_at=MONDAY),  # wrong, but the model is right
    judgement("i3", "m", "c", "c", actor_kind="model", labelled_at=MONDAY),
    judgement("i4", "anna", "a", labelled_at=MONDAY),  # nobody knows; the posterior says .75
    judgement("i4", "ben", "b", labelled_at=MONDAY, duration_ms=2000),
    judgement("i5", "<b>eve", "b", labelled_at=MONDAY),  # wrong by evaluation gold
    judgement("s1", "anna", spans(span(0, 4), span(6, 9)), labelled_at=MONDAY),
    judgement("s1", "ben", spans(span(0, 4)), labelled_at=MONDAY),
]

BEFORE = [
    state("i1", "open", consensus_source="posterior", p_wrong=0.05),
    state("i2", "open", consensus_source="posterior", p_wrong=0.45),
    state("i3", "open", consensus_source="majority", p_wrong=0.42),
    state("i4", "open", consensus_source="posterior", p_wrong=0.25, posterior={"a": 0.75, "b": 0.25}),
    state("i5", "open", consensus_source="posterior", p_wrong=0.1, consensus=events.choice("b")),
    state("s1", "open", consensus_source="majority", p_wrong=0.4, consensus=spans(span(0, 4)), text="Rome & Ulm"),
]
AFTER = [
    state("i1", "closed", consensus_source="verdict", p_wrong=0.0, verdict=verdict("confirmed", "a")),
    state("i2", "closed", consensus_source="verdict", p_wrong=0.0, verdict=verdict("corrected", "b"))
    | {"consensus": events.choice("b")},
    state("i3", "closed", consensus_source="none", p_wrong=None, consensus=None, verdict=verdict("rejected", None)),
]
CORRECTIONS = [
    correction("ria", "confirmed", "a", item_id="i1", event_id="c1"),
    correction("ria", "corrected", "x", item_id="i2", event_id="c2"),
    correction("ria", "undone", None, item_id="i2", event_id="c3", undoes="c2"),
    correction("ria", "corrected", "b", item_id="i2", event_id="c4"),
    correction("tom", "rejected", None, item_id="i3", event_id="c5"),
    correction("tom", "unsure", None, item_id="i4", event_id="c6"),
]
SKILL = {"project": "p", "actor_kind": "annotator", "refit": 1, "judged": 3, "accuracy": 0.5, "low": 0.3, "high": 0.7}
AGREEMENT = {"project": "p", "name": "", "refit": 1, "items": 1, "labels": 2, "raw": 0.0, "alpha": None}


def snapshot(name: str, as_of: int, **fields: Any) -> dict[str, Any]:
    made = {"cause": "corrections", "offsets": [], "settings": "{}", "code_version": "1", "content_hash": f"h{name}"}
    sources = {"verdict": 2, "consensus": 7}
    return fact(
        "snapshots", "retrain", kind="system", item_id="", snapshot=name, as_of=as_of, rows=9, source_counts=sources,
        **(made | fields),
    )  # fmt: skip


def model(stage: str, version: str | None, by: str = "retrain", **fields: Any) -> dict[str, Any]:
    return fact(
        "models", by, kind="system" if by == "retrain" else "lead", item_id="", stage=stage, model_version=version,
        **fields,
    )  # fmt: skip


def compared(part: str, allowed: int, passed: bool) -> dict[str, Any]:
    numbers = {"examples": 8, "champion": 0.75, "challenger": 0.5, "low": -0.5, "high": -0.125, "regressions": 2}
    return {"part": part, **numbers, "allowed": allowed, "passed": passed}


SNAPSHOTS = [snapshot("s1", MONDAY - 1), snapshot("s2", MONDAY + 1), snapshot("s3", MONDAY + 2)]
MEASURED = {"rows": 9.0, "accuracy": 0.75, "judged": 2.0, "accuracy_judged": 0.5, "log_loss": 0.6}
MODELS = [
    model("requested", None, "lena"),
    model("trained", "m1", snapshot="s1", metrics=MEASURED, trainer="lightgbm"),
    model("promoted", "m1", snapshot="s1", checks=[compared("held_out", -1, passed=True)]),
    model("scored", "m1", snapshot="s1"),
    model("trained", "m2", snapshot="s2", champion="m1", metrics={"accuracy": 0.5}),
    model(
        "refused", "m2", snapshot="s2", champion="m1", reason="worse", regressed=["i1"],
        checks=[compared("corrected", 1, passed=False), compared("fixed", -1, passed=True)],
    ),
    model("failed", None, snapshot="s3", reason="one class"),
    model("promoted", "m2", "lena", snapshot="s2", champion="m1", reason="rare birds"),
    model("promoted", "m1", "lena", snapshot="s1", champion="m2", reason="rollback"),
]  # fmt: skip


def flip(item: str, outcome: str, part: str = "held_out") -> dict[str, Any]:
    said = {"truth": "a", "before": "b", "after": "a", "outcome": outcome, "at": MONDAY}
    return {"event_id": f"{item}-{part}", "project": "p", "item_id": item, "model_version": "m2", "champion": "m1"} | {
        "snapshot": "s2", "part": part, **said,
    }  # fmt: skip


FLIPS = [flip("i1", "now_right"), flip("i1", "now_right", "corrected"), flip("i2", "newly_wrong")]


def receipt(n: int, recipient: str, cause: str, before: bool | None, after: bool | None, **fields: Any) -> Any:
    return {
        "event_id": f"r{n}", "project": "p", "item_id": "i2", "recipient": recipient, "caused_by": cause,
        "stage": "promoted", "snapshot": "s1", "model_version": "m1", "at": MONDAY, "by": "ria",
        "by_role": "reviewer", "before": events.choice("a"), "after": events.choice("b"), "resolved": "b",
        "right_before": before, "right_after": after, "place": n, **fields,
    }  # fmt: skip


FEEDBACK = [
    receipt(1, "anna", "c4", False, True, recipient_role="labeller", label_event="i2-anna", label="a",
            similar="class:b", similar_items=3, similar_right_before=1, similar_right_after=2),
    receipt(2, "anna", "c4", True, False, recipient_role="labeller", label_event="i2-anna", label="a\x1b[2J"),
    receipt(3, "anna", "f1", None, None, cause_kind="flags", resolved=None, item_id="i4", by="anna", told=False),
    receipt(1, "ria", "c4", False, True, event_id="r4", model_version="m2", at=MONDAY + 1),
    receipt(2, "ria", "c4", False, False, event_id="r5"),
]  # fmt: skip
FLAGS = [fact("flags", "anna", item_id="i4", event_id="f1", text="blurred")]


@pytest.fixture(scope="module")
def stored(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return settings of tables that hold the data set."""
    writer, analyst = (servers.clickhouse(user, "report") for user in ("writer", "analyst"))
    settings = Settings(tmp_path_factory.mktemp("report"), "127.0.0.1:1", writer, analyst)
    migrate(settings)
    store(settings, "judgements", JUDGEMENTS)
    store(settings, "gold", [gold("i5", "a")])
    store(settings, "corrections", CORRECTIONS)
    store(settings, "review.state", BEFORE)
    store(settings, "review.state", BEFORE)  # a range that is sent again
    store(settings, "review.state", AFTER, first=5000)  # milliseconds later too
    store(settings, "disagreement", [disagreement("i4", "choice", 0.0), disagreement("s1", "spans", 0.5)])
    store(
        settings,
        "skill",
        [SKILL | {"annotator": "=anna", "n_labels": 4, "recent": 0.4, "drift_at": None, "confusion": []}],
    )
    store(
        settings,
        "agreement",
        [AGREEMENT | {"scope": "project", "fleiss": None, "ac1": -1.0}],
    )
    for topic, records in (("snapshots", SNAPSHOTS), ("models", MODELS), ("flips", FLIPS), ("feedback", FEEDBACK)):
        store(settings, topic, records)
    store(settings, "models", MODELS[1:2], first=len(MODELS))  # a fact that is sent again
    store(settings, "flags", FLAGS)
    return settings


@pytest.mark.parametrize("table", refreshed())
def test_what_is_computed_every_so_often_equals_the_view_of_this_moment(stored: Settings, table: str) -> None:
    writer = Writer(stored.clickhouse)
    with contextlib.closing(writer):
        refresh(writer)
    ((kept,), (now,)) = (
        query(stored, f"SELECT arraySort(groupArray(tuple(*))) FROM {name}") for name in (table, f"{table}_now")
    )
    assert kept == now
    assert kept[0]


def disagreement(item: str, kind: str, agreement: float) -> dict[str, Any]:
    return {
        "project": "p",
        "item_id": item,
        "kind": kind,
        "n_labels": 2,
        "votes": {},
        "agreement": agreement,
        "updated_at": 0,
    }


def test_open_tasks_and_errors_found_over_time(stored: Settings) -> None:
    assert query(stored, "SELECT count() FROM review_history") == [(len(BEFORE) + len(AFTER),)]
    assert query(stored, "SELECT opened, closed, open FROM queue_history_now ORDER BY at") == [(6, 0, 6), (0, 3, 3)]
    found = query(stored, "SELECT n, item_id, reviewer, verdict, found FROM review_progress ORDER BY n")
    assert found == [
        (1, "i1", "ria", "confirmed", 0),
        (2, "i2", "ria", "corrected", 1),
        (3, "i3", "tom", "rejected", 2),
    ]
    answers = query(stored, "SELECT status, tier, source, items, labels, expected_wrong FROM answers_now")
    assert [row[:4] for row in answers] == [
        ("closed", None, "none", 1),
        ("closed", None, "verdict", 2),
        ("open", "p0", "majority", 1),
        ("open", "p0", "posterior", 2),
    ]
    assert sum(row[5] for row in answers) == pytest.approx(0.75)


def test_what_p_wrong_had_said_before_the_answer_was_known(stored: Settings) -> None:
    found = query(stored, "SELECT item_id, p_wrong, shown, truth, source, wrong FROM estimates_judged ORDER BY item_id")
    assert found == [
        ("i1", 0.05, "a", "a", "verdict", False),
        ("i2", 0.45, "a", "b", "verdict", True),
        ("i3", 0.42, "a", None, "verdict", True),
        ("i5", 0.1, "b", "a", "evaluation", True),
    ]
    bins = query(stored, "SELECT bin, items, expected, wrong, share FROM p_wrong_reliability_now")
    assert bins == [(0, 1, 0.05, 0, 0.0), (1, 1, 0.1, 1, 1.0), (4, 2, pytest.approx(0.435), 2, 1.0)]


def test_accuracy_by_week_known_and_estimated(stored: Settings) -> None:
    found = query(
        stored,
        "SELECT annotator, week, basis, labels, correct FROM accuracy_weekly_now WHERE annotator IN ('anna', 'ben')",
    )
    new_year, monday = date(2025, 12, 29), date(2026, 1, 5)
    assert found == [
        ("anna", new_year, "estimate", 1, 1.0),
        ("anna", new_year, "known", 1, 1.0),
        ("anna", monday, "estimate", 3, 0.75),  # wrong, wrong, and what the posterior says
        ("anna", monday, "known", 2, 0.0),
        ("ben", monday, "estimate", 1, 0.25),
    ]
    ends = query(stored, "SELECT low, high FROM accuracy_weekly_now WHERE annotator = 'anna' AND basis = 'known'")
    assert ends == [pytest.approx((0.269866, 1.0), abs=1e-5), pytest.approx((0.0, 0.574969), abs=1e-5)]


def test_the_mistakes_a_model_shares(stored: Settings) -> None:
    found = query(
        stored, "SELECT annotator, model, items, wrong, model_wrong, same, share, by_chance FROM same_mistakes_now"
    )
    assert found == [("anna", "m", 3, 2, 1, 1, 0.5, 0.5)]


def test_time_and_agreement_of_all_kinds(stored: Settings) -> None:
    weeks = query(stored, "SELECT labels, median_ms FROM label_time_weekly ORDER BY week")
    assert weeks == [(1, 1000.0), (2, 3000.0)]
    assert query(stored, "SELECT annotator, labels FROM label_time ORDER BY annotator") == [("anna", 2), ("ben", 1)]
    kinds = query(stored, "SELECT kind, items, agreement FROM agreement_by_kind_now ORDER BY kind")
    assert kinds == [("choice", 1, 0.0), ("spans", 1, 0.5)]


def test_what_became_of_snapshots_and_models(stored: Settings) -> None:
    columns = "snapshot, rows, by_verdict, by_truth, by_consensus, content_hash, model_version, outcome, reason"
    assert query(stored, f"SELECT {columns} FROM training_snapshots") == [
        ("s1", 9, 2, 0, 7, "hs1", "m1", "promoted", "rollback"),
        ("s2", 9, 2, 0, 7, "hs2", "m2", "promoted", "rare birds"),
        ("s3", 9, 2, 0, 7, "hs3", None, "failed", "one class"),
    ]
    columns = "n, model_version, rows, accuracy_judged, compared_with, verdict, verdict_by, stage, is_champion"
    assert query(stored, f"SELECT {columns} FROM models_now") == [
        (1, "m1", 9.0, 0.5, None, "promoted", "lena", "promoted", True),
        (2, "m2", None, None, "m1", "promoted", "lena", "promoted", False),
    ]
    columns = "model_version, accuracy, accuracy_judged, annotator_labels, annotator_accuracy"
    assert query(stored, f"SELECT {columns} FROM model_accuracy_now") == [
        ("m1", 0.75, 0.5, 1, 1.0),  # anna's label of the year before
        ("m2", 0.5, None, 4, 0.25),
    ]


def test_gate_and_flips_by_model(stored: Settings) -> None:
    columns = "model_version, champion, verdict, part, model_right, low, regressions, allowed, passed"
    assert query(stored, f"SELECT {columns} FROM gate_results") == [
        ("m1", None, "promoted", "held_out", 0.5, -0.5, 2, None, True),
        ("m2", "m1", "refused", "corrected", 0.5, -0.5, 2, 1, False),
        ("m2", "m1", "refused", "fixed", 0.5, -0.5, 2, None, True),
    ]
    columns = "model_version, part, now_right, still_wrong, newly_wrong"
    assert query(stored, f"SELECT {columns} FROM flip_counts") == [
        ("m2", "corrected", 1, 0, 0),
        ("m2", "held_out", 1, 0, 1),
    ]


def test_receipts_lead_back_to_what_was_done(stored: Settings) -> None:
    columns = "recipient, place, cause, reason, label_event, before, after, outcome"
    assert query(stored, f"SELECT {columns} FROM receipts ORDER BY recipient, at DESC, place") == [
        ("anna", 1, "corrected", None, "i2-anna", "a", "b", "learnt"),
        ("anna", 2, "corrected", None, "i2-anna", "a", "b", "newly_wrong"),
        ("anna", 3, "flagged", "blurred", None, "a", "b", "unknown"),
        ("ria", 1, "corrected", None, None, "a", "b", "learnt"),
        ("ria", 2, "corrected", None, None, "a", "b", "still_wrong"),
    ]
    columns = "recipient, recipient_role, receipts, told, models, items, learnt, wrong"
    assert query(stored, f"SELECT {columns} FROM receipts_by_actor") == [
        ("anna", "author", 1, 0, 1, 1, 0, 0),
        ("anna", "labeller", 2, 2, 1, 1, 1, 1),
        ("ria", "author", 2, 2, 2, 1, 1, 1),
    ]


def test_an_inbox_tells_the_newest_model_and_the_most_instructive_first(stored: Settings) -> None:
    told = invoke(stored, inbox.inbox, "--actor", "anna").splitlines()
    assert told == [
        "p: model m1, trained on s1 as of 2026-01-05 00:00: 1 of 3 learnt",
        "  i2: ria (reviewer) corrected your label a; trained on as b",
        "    the model has learnt it: it says b, a before; of similar items (class:b) 2 of 3 right, 1 before",
        "  i2: ria (reviewer) corrected your label a [2J; trained on as b",
        "    the model is wrong now: it says b, a before",
    ]
    everything = invoke(stored, inbox.inbox, "--actor", "anna", "--project", "p", "--all").splitlines()
    assert everything[5:] == [
        "  i4: you flagged it (blurred)",
        "    the item was not trained on: it says b, a before",
    ]
    heads = [line for line in invoke(stored, inbox.inbox, "--actor", "ria").splitlines() if line.startswith("p: ")]
    assert ["m2" in head for head in heads] == [True, False]
    assert invoke(stored, inbox.inbox, "--actor", "ria", "--project", "q") == ""


def test_the_report_is_a_page_and_its_numbers(stored: Settings, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report"
    assert invoke(stored, read.report, "--project", "p", "--out", str(out)) == f"{out / 'report.html'}\n"
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;eve" in page
    assert "<b>eve" not in page
    files = set(re.findall(r'href="(\w+)\.csv"', page))
    assert {"queue_history", "accuracy_weekly", "same_mistakes", "p_wrong_reliability", "region_f1", "models"} <= files
    rows = {name: [*csv.DictReader((out / f"{name}.csv").read_text().splitlines())] for name in files}
    (skill,) = rows["skill"]
    assert (skill["annotator"], skill["accuracy"]) == ("'=anna", "0.5")
    assert [row["open"] for row in rows["queue_history"]] == ["6", "3", "3"]
    (_, pair) = rows["region_f1"]
    assert float(pair["f1_50"]) == pytest.approx(2 / 3)


def test_a_report_of_nothing_or_into_a_file_is_refused(stored: Settings, tmp_path: Path) -> None:
    with pytest.raises(LabelloopError, match="no project 'none'"):
        invoke(stored, read.report, "-p", "none", "--out", str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(LabelloopError, match="cannot be written"):
        invoke(stored, read.report, "-p", "p", "--out", str(tmp_path / "file" / "x"))
