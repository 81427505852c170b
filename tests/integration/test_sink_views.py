"""The views on a small data set whose values were worked out by hand, and the exports that rest on them."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streams import codec, events
from streams.catalogue import TOPICS
from streams.cli import agreement, read
from streams.errors import LabelloopError
from streams.projects import DEFAULTS, Projects
from streams.query.agreement import By, agreed
from streams.settings import Settings
from streams.sinks.migrate import migrate
from streams.sinks.rows import Raw, build
from streams.sinks.tables import TABLES
from streams.sinks.writer import Writer
from tests.unit.facts import fact, label

pytestmark = pytest.mark.stack

FAR = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture(scope="module")
def stored(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return settings of tables that hold the data set."""
    writer, analyst = (servers.clickhouse(user, "views") for user in ("writer", "analyst"))
    settings = Settings(tmp_path_factory.mktemp("views"), "127.0.0.1:1", writer, analyst)
    migrate(settings)
    store(settings, "judgements", JUDGEMENTS)
    store(settings, "judgements", AGREEING, first=len(JUDGEMENTS))
    store(settings, "gold", GOLD)
    store(settings, "dead-letters", [REFUSED])
    store(settings, "labels", [label("anna", "a"), label("ben", "b"), label("ben", "b", project="q")])
    store(settings, "labels", [label("anna", "a")], first=3)
    store(settings, "review.state", STATES)
    store(settings, "disagreement", DISAGREEMENT)
    return settings


def store(settings: Settings, topic: str, records: Sequence[dict[str, Any]], first: int = 0) -> None:
    """Insert records as if they lay in partition 0 from offset `first` on."""
    name = str(TOPICS[topic].schema)
    rows = build(
        topic,
        f"labelloop.{topic}",
        0,
        1,
        [Raw(n, DAY_2 + n, b"", codec.encode(name, record)) for n, record in enumerate(records, first)],
    )
    assert not rows.dead
    writer = Writer(settings.clickhouse)
    writer.insert(TABLES[topic], rows.names, rows.columns, f"{topic}:{first}")
    writer.close()


def query(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """Ask as the analyst."""
    reader = Writer(settings.analyst)
    try:
        return reader.query(statement)
    finally:
        reader.close()


def judgement(item: str, annotator: str, value: Any, reference: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "project": "p",
        "item_id": item,
        "annotator": annotator,
        "event_id": f"{item}-{annotator}",
        "value": events.choice(value) if isinstance(value, str) else value,
        "labelled_at": DAY_1,
        "reference": None if reference is None else events.choice(reference),
        "reference_source": "none" if reference is None else "verdict",
        **fields,
    }


DAY_1 = int(datetime(2026, 1, 1, 23, 59, 59, 999_000, tzinfo=UTC).timestamp() * 1000)
DAY_2 = DAY_1 + 1

JUDGEMENTS = [
    judgement("i1", "anna", "b"),  # superseded by the next
    judgement("i1", "anna", "a", "a"),  # right by verdict
    judgement("i2", "anna", "a", "b", labelled_at=DAY_2),  # wrong by verdict, though evaluation gold says a
    judgement("i3", "anna", "a"),  # right by evaluation gold
    judgement("i4", "anna", None),  # retracted
    judgement("i5", "anna", "a"),  # nobody knows
    judgement("i6", "anna", "b", "b", reference_source="truth"),  # right by truth, though evaluation gold says a
    judgement("i7", "anna", "a"),  # right by the later of two golds
    judgement("i8", "anna", "b"),  # wrong by evaluation gold
    judgement("i8", "ben", events.value_of("number", 3.0)),  # of a kind that is not scored
    judgement("i8", "anna", "b", project="q"),  # the gold is another project's
    judgement("i9", "anna", "a"),  # truth that the processor took would be its reference
    judgement("i10", "anna", "a"),  # the processor refused the gold
]


_SPANS = {  # of one of the two items both drew the same span; on the other their spans overlap by half
    ("s1", "anna"): (0, 10),
    ("s1", "ben"): (0, 10),
    ("s2", "anna"): (0, 10),
    ("s2", "ben"): (0, 20),
}
AGREEING = [
    *(judgement(f"i{n}", "anna", "yes" if n < 6 else "no", project="r", group=f"g{n % 2}") for n in range(10)),
    *(judgement(f"i{n}", "ben", "yes" if n < 4 else "no", project="r", group=f"g{n % 2}") for n in range(10)),
    judgement("i0", "cleo", "yes", project="r", group="g0", guideline_version="v2", labelled_at=DAY_2),
    judgement("i1", "model", "no", project="r", actor_kind="model"),
    *(
        judgement(item, who, events.value_of("spans", [{"start": start, "end": end, "label": "a"}]), project="s")
        for (item, who), (start, end) in _SPANS.items()
    ),
]


def gold(item: str, choice: str, at: int = DAY_1, **fields: Any) -> dict[str, Any]:
    value = events.choice(choice)
    return fact("gold", "expert", kind="lead", item_id=item, value=value, occurred_at=at, **fields)


GOLD = [
    gold("i2", "a"),
    gold("i3", "a"),
    gold("i4", "a"),
    gold("i6", "a"),
    gold("i7", "a", DAY_2),
    gold("i7", "b"),
    gold("i8", "a"),
    gold("i9", "a", use="truth"),
    gold("i10", "a"),
]

REFUSED = {
    "consumer": "items",
    "topic": "labelloop.gold",
    "partition": 0,
    "offset": len(GOLD) - 1,
    "log_time": DAY_2,
    "reason": "unknown_class",
    "detail": "as a processor refuses it",
    "value_head": b"",
    "value_bytes": 0,
    "value_sha256": "",
}


def state(item: str, status: str, rank: float = 0.0, **fields: Any) -> dict[str, Any]:
    return {
        "project": "p",
        "item_id": item,
        "revision": "r",
        "status": status,
        "tier": "p0" if status == "open" else None,
        "priority": 0.5,
        "rank": rank,
        "reasons": ["flagged", "disagreement"] if status == "open" else [],
        "consensus": events.choice("a"),
        "consensus_source": "majority",
        "majority": "a",
        "n_labels": 2,
        "agreement": 0.0,
        "entropy": 1.0,
        "candidates": [],
        "open_flags": 0,
        "open_threads": 0,
        "annotators": [],
        "skipped_by": [],
        "opened_at": 0,
        "updated_at": 0,
        **fields,
    }


def verdict(kind: str, choice: str | None) -> dict[str, Any]:
    value = None if choice is None else events.choice(choice)
    return {"event_id": "v", "verdict": kind, "reviewer": "rev", "value": value}


STATES = [
    state("late", "open", -2.0, owner="rev", lease_until=1),
    state("early", "open", -1.0, owner="rev", lease_until=FAR),
    state("corrected", "closed", consensus=events.choice("=b"), verdict=verdict("corrected", "=b")),
    state("confirmed", "closed", verdict=verdict("confirmed", "a")),
    state("rejected", "closed", consensus=None, verdict=verdict("rejected", None)),
    state("gone", "removed"),
    *(state("gone", "removed", project=project) for project in "rs"),  # so that these are known
    state("reopened", "closed"),
    state("reopened", "open", -1.5),
    state("bare", "unlabelled", consensus=None, majority=None, n_labels=0, agreement=None, entropy=None),
]

DISAGREEMENT = [
    {"project": "p", "item_id": item, "kind": "choice", "updated_at": 0, **numbers}
    for item, numbers in {
        "agreed": {"n_labels": 2, "votes": {"a": 2}, "majority": "a", "agreement": 1.0, "entropy": 0.0, "margin": 1.0},
        "split": {"n_labels": 2, "votes": {"a": 1, "b": 1}, "majority": "a", "agreement": 0.0, "entropy": 1.0},
        "none": {"n_labels": 0, "votes": {}},
    }.items()
]


def test_accuracy_by_day_with_its_interval(stored: Settings) -> None:
    found = query(stored, "SELECT * FROM annotator_accuracy_daily ORDER BY project, annotator, day")
    assert [row[:5] for row in found] == [
        ("p", "anna", date(2026, 1, 1), 5, 4),
        ("p", "anna", date(2026, 1, 2), 1, 0),
    ]
    assert found[0][5:] == pytest.approx((0.8, 0.375528, 0.963781), abs=1e-5)
    assert found[1][5:] == pytest.approx((0.0, 0.0, 0.793450), abs=1e-5)


def test_the_queue_holds_open_items_in_order_and_the_claims_that_stand(stored: Settings) -> None:
    found = query(stored, "SELECT item_id, tier, owner, consensus FROM review_queue_now WHERE project = 'p'")
    assert found == [("early", "p0", "rev", "a"), ("reopened", "p0", None, "a"), ("late", "p0", None, "a")]


def test_the_least_agreed_item_comes_first(stored: Settings) -> None:
    found = query(stored, "SELECT item_id, votes, margin FROM disagreement_now")
    assert found == [("split", {"a": 1, "b": 1}, None), ("agreed", {"a": 2}, 1.0)]


def test_a_fact_sent_twice_counts_once(stored: Settings) -> None:
    assert query(stored, "SELECT count() FROM labels") == [(4,)]
    found = query(stored, "SELECT project, events FROM event_counts WHERE topic = 'labels' ORDER BY project")
    assert found == [("p", 2), ("q", 1)]


def invoke(settings: Settings, command: Any, *words: str) -> str:
    result = CliRunner().invoke(command, words, env=settings.environment())
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_items_are_exported_as_json_lines(stored: Settings) -> None:
    lines = [json.loads(line) for line in invoke(stored, read.export, "items", "-p", "p").splitlines()]
    assert [line["item_id"] for line in lines] == [
        *("bare", "confirmed", "corrected", "early", "late", "rejected", "reopened")
    ]
    by_item = {line["item_id"]: line for line in lines}
    assert by_item["early"] == {
        "item_id": "early",
        "consensus": "a",
        "majority": "a",
        "n_labels": 2,
        "agreement": 0.0,
        "entropy": 1.0,
        "p_wrong": None,
        "priority": 0.5,
        "tier": "p0",
        "reasons": ["flagged", "disagreement"],
        "group": None,
        "posterior": {},
        "status": "open",
        "corrected_value": None,
    }
    assert {item: line["corrected_value"] for item, line in by_item.items() if line["status"] == "closed"} == {
        "corrected": "=b",
        "confirmed": "a",
        "rejected": None,
    }
    assert [by_item["bare"][name] for name in ("consensus", "majority", "agreement", "entropy")] == [None] * 4


def test_items_are_exported_as_csv_without_formulas(stored: Settings, tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    assert invoke(stored, read.export, "items", "-p", "p", "--format", "csv", "--output", str(file)) == ""
    rows = {row["item_id"]: row for row in csv.DictReader(io.StringIO(file.read_text()))}
    assert rows["corrected"]["corrected_value"] == "'=b"
    assert rows["early"]["reasons"] == "flagged;disagreement"
    assert (rows["bare"]["consensus"], rows["bare"]["entropy"], rows["bare"]["status"]) == ("", "", "unlabelled")


def test_annotators_are_exported_over_all_days(stored: Settings) -> None:
    (anna, ben) = csv.DictReader(io.StringIO(invoke(stored, read.export, "annotators", "-p", "p", "--format", "csv")))
    assert list(anna) == [
        *("annotator", "labels", "judged", "correct", "accuracy", "low", "high"),
        *("skill", "skill_low", "skill_high", "recent", "drift_at", "confusion"),
    ]
    assert (anna["annotator"], anna["labels"], anna["judged"], anna["correct"]) == ("anna", "9", "6", "4")
    assert [float(anna[name]) for name in ("accuracy", "low", "high")] == pytest.approx(
        [4 / 6, 0.299993, 0.903228], abs=1e-5
    )
    assert list(ben.values()) == ["ben", "1", "0", "0", *[""] * 9]


def test_agreement_of_a_project_and_of_its_parts(stored: Settings) -> None:
    """Anna and ben agree on 8 of 10 items; on one of these a third joins them."""
    (whole,) = agreed(stored, "r", DEFAULTS, None, interval=True)
    assert (whole.name, whole.items) == ((), 10)
    assert whole.values["raw"] == pytest.approx(0.8)
    for name, value in whole.values.items():
        low, high = whole.intervals[name] or (1.0, 0.0)
        assert low < value < high
    pairs = agreed(stored, "r", DEFAULTS, "annotator-pair", interval=True)
    assert [(one.name, one.items) for one in pairs] == [
        (("anna", "ben"), 10),
        (("anna", "cleo"), 1),
        (("ben", "cleo"), 1),
    ]
    assert pairs[0].values == pytest.approx({"raw": 0.8, "kappa": (0.8 - 0.48) / (1 - 0.48)})
    assert pairs[1].values == {"raw": 1.0}  # of one label there is no kappa
    parts: tuple[By, ...] = ("class", "group", "day")
    by_class, by_group, by_day = (agreed(stored, "r", DEFAULTS, by, interval=True) for by in parts)
    assert [(one.name, one.items, round(one.values["raw"], 9)) for one in by_class] == [
        (("no",), 10, 0.8),
        (("yes",), 10, 0.8),
    ]
    assert [(one.name, one.items, round(one.values["raw"], 9)) for one in by_group] == [
        (("g0",), 5, 0.8),
        (("g1",), 5, 0.8),
    ]
    assert [(one.name, one.items) for one in by_day] == [(("2026-01-01",), 9), (("2026-01-02",), 1)]
    assert not agreed(stored, "r", DEFAULTS, "guideline", interval=False)


def test_agreement_on_spans_is_their_overlap(stored: Settings) -> None:
    (whole,) = agreed(stored, "s", DEFAULTS, None, interval=True)
    assert (whole.items, whole.values, whole.intervals) == (2, {"raw": 0.75}, {"raw": (0.5, 1.0)})
    (pair,) = agreed(stored, "s", DEFAULTS, "annotator-pair", interval=False)
    assert (pair.name, pair.values) == (("anna", "ben"), {"raw": 0.75})
    with pytest.raises(LabelloopError, match="no project 'nobody'"):
        agreed(stored, "nobody", DEFAULTS, None, interval=False)


def test_agreement_as_a_table_and_as_json(stored: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "read_projects", lambda settings: Projects())  # no broker is there
    words = ("-p", "r", "--by", "annotator-pair", "--interval")
    table = invoke(stored, agreement.agreement, *words)
    assert "anna, ben" in table
    assert "0.615 (" in table  # kappa
    first, *_ = map(json.loads, invoke(stored, agreement.agreement, *words, "--json").splitlines())
    assert first["name"] == ["anna", "ben"]
    assert first["kappa_interval"][0] < first["kappa"] < first["kappa_interval"][1]
    with pytest.raises(LabelloopError, match="two annotators"):
        invoke(stored, agreement.agreement, "-p", "r", "--by", "guideline")


def test_an_unknown_project_leaves_the_former_file(stored: Settings, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text("former")
    with pytest.raises(LabelloopError, match=r"no project 'none' is stored \(there are p, r, s\)"):
        invoke(stored, read.export, "items", "-p", "none", "--output", str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["items.jsonl"]
    assert file.read_text() == "former"


def test_sql_writes_tables_csv_and_json(stored: Settings) -> None:
    statement = "SELECT -1 AS n, '=1' AS text, NULL AS nothing, ['a'] AS list, toDate('2026-01-02') AS day"
    assert invoke(stored, read.sql, statement, "--format", "csv").splitlines() == [
        "n,text,nothing,list,day",
        """-1,'=1,,"[""a""]",2026-01-02""",
    ]
    assert json.loads(invoke(stored, read.sql, statement, "--format", "json")) == [
        {"n": -1, "text": "=1", "nothing": None, "list": ["a"], "day": "2026-01-02"}
    ]
    head, _, row = invoke(stored, read.sql, statement).splitlines()
    assert head.split() == ["n", "text", "nothing", "list", "day"]
    assert row.split() == ["-1", "=1", '["a"]', "2026-01-02"]
    assert invoke(stored, read.sql, "SELECT 1 WHERE 0", "--format", "json") == "[]\n"


def test_sql_streams_more_than_a_page_and_shows_no_control_characters(stored: Settings) -> None:
    lines = invoke(stored, read.sql, "SELECT number AS n FROM numbers(2500)").splitlines()
    assert [int(line) for line in lines if line.strip().isdigit()] == list(range(2500))
    assert r"a\x1b[31mb\x0ac" in invoke(stored, read.sql, r"SELECT 'a\x1b[31mb\nc' AS text")


def test_sql_is_refused_in_one_line(stored: Settings) -> None:
    for statement in ("SELECT * FROM nowhere", "INSERT INTO labels (item_id) VALUES ('x')", "SELECT throwIf(1)"):
        with pytest.raises(LabelloopError) as refusal:
            invoke(stored, read.sql, statement)
        assert "\n" not in str(refusal.value)
    away = replace(stored, analyst=replace(stored.analyst, port=1))
    with pytest.raises(LabelloopError, match="does not answer"):
        invoke(away, read.sql, "SELECT 1")


def test_the_data_dictionary_names_every_view(stored: Settings) -> None:
    text = invoke(stored, read.sql, "--describe")
    for name in ("annotator_accuracy_daily", "review_queue_now", "disagreement_now", "event_counts", "review_state"):
        assert f"\n{name}: " in f"\n{text}"
    assert "Wilson" in text
