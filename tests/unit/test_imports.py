"""Files become facts: good lines go on, bad ones say why, and the same bytes always have the same ids."""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import events
from streams.catalogue import MAX_FACT_BYTES
from streams.errors import LabelloopError
from streams.producers.facts import Fact
from streams.producers.import_file import KEPT_PROBLEMS, Summary, import_file
from streams.producers.imports import KINDS, Problem, Source, parse
from streams.producers.lines import Format
from streams.producers.wire import encoded

NOW = 1_777_888_800_000
LABELS = "item_id,annotator_id,label\n"


def parsed(kind: str, text: str | bytes, format: Format = "jsonl", **source: Any) -> list[Fact | Problem]:
    raw = text.encode() if isinstance(text, str) else text
    found = parse(kind, format, raw.splitlines(keepends=True), Source("p", sha256(raw).hexdigest(), **source))
    return [line if isinstance(line, Problem) else line[1] for line in found]


def jsonl(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def good(kind: str, text: str | bytes, format: Format = "jsonl", **source: Any) -> list[events.Event]:
    found = []
    for line in parsed(kind, text, format, **source):
        assert isinstance(line, Fact), line
        encoded(line, NOW)
        found.append(line.event)
    return found


def bad(kind: str, text: str | bytes, format: Format = "jsonl") -> Problem:
    line = parsed(kind, text, format)[-1]
    assert isinstance(line, Problem)
    return line


def label(**fields: Any) -> dict[str, Any]:
    return {"item_id": "i", "annotator_id": "a", "label": "x", **fields}


def ids(facts: Sequence[events.Event]) -> list[str]:
    return [fact["event_id"] for fact in facts]


def test_a_row_that_changes_its_mind_and_back_survives_in_order() -> None:
    facts = good("labels", jsonl(label(label="A"), label(label="B"), label(label="A"), label(label="A")))
    assert [fact["value"]["choice"] for fact in facts] == ["A", "B", "A", "A"]
    assert [fact["source_seq"] for fact in facts] == [1, 2, 3, 4]
    assert len({*ids(facts)}) == 4


def test_the_same_bytes_have_the_same_ids_and_an_edited_file_is_a_new_source() -> None:
    text = jsonl(label(), label(annotator_id="b"))
    assert ids(good("labels", text)) == ids(good("labels", text))
    assert not {*ids(good("labels", text))} & {*ids(good("labels", text + "\n"))}


def test_the_ids_do_not_depend_on_the_files_name(tmp_path: Path) -> None:
    sent: list[list[Fact]] = []
    for name in ("one.jsonl", "other.jsonl"):
        (tmp_path / name).write_text(jsonl(label(), label()))
        sent.append([])
        import_file(tmp_path / name, "labels", "p", sent[-1].append)
    assert sent[0] == sent[1]


def test_the_same_row_in_another_project_or_with_another_use_is_another_fact() -> None:
    text = jsonl({"item_id": "i", "label": 1})
    raw = sha256(text.encode()).hexdigest()
    found = {
        line[1].event["event_id"]
        for source in (Source("p", raw), Source("q", raw), Source("p", raw, use="truth"))
        for line in parse("gold", "jsonl", [text.encode()], source)
        if not isinstance(line, Problem)
    }
    assert len(found) == 3


text_cells = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=100).map(str.strip).filter(bool)
)


@given(st.lists(st.tuples(text_cells, text_cells, text_cells, text_cells), max_size=5))
def test_csv_and_json_lines_say_the_same(rows: list[tuple[str, str, str, str]]) -> None:
    columns = ("item_id", "annotator_id", "label", "extra")

    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    as_csv = ",".join(columns) + "\n" + "".join(",".join(map(quoted, row)) + "\n" for row in rows)
    as_json = "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows)
    told = [
        [{**fact, "event_id": "", "source_seq": 0} for fact in facts]
        for facts in (good("labels", as_csv, "csv"), good("labels", as_json))
    ]
    assert told[0] == told[1]


def test_a_csv_row_counts_as_the_line_it_begins_on() -> None:
    facts = good("comments", "item_id,actor_id,thread,text\n" + 'i,a,t,"x\ny"\n\nj,b,t,z\n', "csv")
    assert [fact["source_seq"] for fact in facts] == [2, 5]
    assert facts[0]["text"] == "x\ny"


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter() -> None:
    cases: list[tuple[str, Format]] = [(LABELS + "i,a, x \n", "csv"), (jsonl(label()), "jsonl")]
    for text, format in cases:
        raw = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
        assert good("labels", raw, format)[0]["value"]["choice"] == "x"


@pytest.mark.parametrize(
    ("given_", "kind", "content"),
    [
        (1, "choice", "1"),
        ("1", "choice", "1"),
        (False, "choice", "false"),
        (1.5, "number", 1.5),
        (["b", "a"], "choices", ["a", "b"]),
        ({"kind": "text", "text": "hm"}, "text", "hm"),
    ],
)
def test_what_a_label_means(given_: Any, kind: str, content: object) -> None:
    assert good("labels", jsonl(label(label=given_)))[0]["value"] == events.value_of(kind, content)


def test_boxes_in_pixels_become_fractions_of_the_image() -> None:
    row = label(label=[{"bbox": [10, 20, 30, 40], "category": "owl", "annotation_id": 5}], width=100, height=200)
    fact = good("labels", jsonl(row))[0]
    box = {"label": "owl", "x": 0.1, "y": 0.1, "width": 0.3, "height": 0.2, "rotation": 0.0, "id": "5"}
    assert fact["value"]["boxes"] == [box]
    assert fact["attributes"] == {}


def test_boxes_need_the_size_of_the_image() -> None:
    row = label(label=[{"bbox": [1, 2, 3, 4], "category": "owl"}])
    assert "add the image's width and height" in bad("labels", jsonl(row)).reason
    assert "add the image's width and height" in bad("labels", jsonl({**row, "width": 0, "height": 5})).reason
    wrong = label(label=[{"bbox": [1, 2, 3], "category": "owl"}], width=1, height=1)
    assert "give bbox [x, y, width, height]" in bad("labels", jsonl(wrong)).reason


def test_an_empty_list_is_no_class_or_with_an_images_size_no_box() -> None:
    facts = good("labels", jsonl(label(label=[]), label(label=[], width=10, height=10)))
    assert [fact["value"]["kind"] for fact in facts] == ["choices", "boxes"]


def test_other_columns_are_kept_as_text() -> None:
    row = label(country="NZ", tainted=None, score=1.5, ok=True, term={"b": 1, "a": [2]})
    assert good("labels", jsonl(row))[0]["attributes"] == {
        "country": "NZ",
        "score": "1.5",
        "ok": "true",
        "term": '{"a":[2],"b":1}',
    }
    assert good("labels", "item_id,annotator_id,label,country,note\ni,a,x,NZ,\n", "csv")[0]["attributes"] == {
        "country": "NZ"
    }


def test_times_and_durations() -> None:
    rows = [label(timestamp="2014-06-27T14:49:50", time_spent_s=3.2), label(timestamp=1403880590), label()]
    facts = good("labels", jsonl(*rows))
    assert [fact["occurred_at"] for fact in facts] == [1_403_880_590_000, 1_403_880_590_000, None]
    assert [fact["duration_ms"] for fact in facts] == [3200, None, None]


def test_whole_numbers_are_names_too() -> None:
    fact = good("labels", jsonl(label(item_id=7, annotator_id=8)))[0]
    assert (fact["item_id"], fact["actor"]["id"]) == ("7", "8")


ROWS: dict[str, dict[str, Any]] = {
    "items": {"text": "t", "url": "u", "group": "g", "features": [1, 2.5], "row": 3, "features_file": "f"},
    "labels": {"annotator_id": "a", "label": "x"},
    "gold": {"label": "x", "split": "train"},
    "predictions": {"model_version": "m", "label": "x", "probabilities": {"x": 1}, "out_of_sample": True},
    "corrections": {"reviewer_id": "r", "verdict": "corrected", "value": "x", "reason": "w"},
    "flags": {"actor_id": "a", "kind": "wrong", "text": "t", "severity": 0.9},
    "comments": {"actor_id": "a", "thread": "t", "text": "why?"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_from_json_and_from_csv(kind: str) -> None:
    row = {"item_id": "i", **ROWS[kind]}
    cells = [json.dumps(cell) if not isinstance(cell, str) else cell for cell in row.values()]
    as_csv = ",".join(row) + "\n" + ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"
    one, other = good(kind, jsonl(row))[0], good(kind, as_csv, "csv")[0]
    assert {**one, "event_id": "", "source_seq": 0} == {**other, "event_id": "", "source_seq": 0}


def test_what_the_kinds_say() -> None:
    facts = {kind: good(kind, jsonl({"item_id": "i", **row}))[0] for kind, row in ROWS.items()}
    assert (facts["items"]["media"], facts["items"]["features_row"], facts["items"]["features"]) == ("u", 3, [1.0, 2.5])
    assert (facts["gold"]["use"], facts["gold"]["attributes"]) == ("evaluation", {"split": "train"})
    assert (facts["predictions"]["out_of_sample"], facts["predictions"]["probabilities"]) == (True, {"x": 1.0})
    assert facts["corrections"]["actor"] == {"id": "r", "kind": "reviewer"}
    assert facts["flags"]["severity"] == 0.9


@pytest.mark.parametrize(
    ("kind", "line", "said"),
    [
        ("labels", b'{"item_id": "i"', "not JSON"),
        ("labels", b'{"item_id": "\xff"}', "not JSON: str is not valid UTF-8"),
        ("labels", b"[1]", "not a JSON object"),
        ("labels", jsonl({"annotator_id": "a", "label": "x"}), "item_id is missing"),
        ("labels", jsonl(label(label=None)), "label is missing"),
        ("labels", jsonl(label(label=[1.5])), "is no label value"),
        ("labels", jsonl(label(item_id=1.5)), "item_id is 1.5: give a text"),
        ("labels", jsonl(label(item_id=10**30)), "item_id is 1e+30: give a text"),
        ("labels", jsonl(label(timestamp="20140627")), "timestamp is '20140627': give ISO 8601"),
        ("labels", jsonl(label(time_spent_s="soon")), "time_spent_s is 'soon': give a number"),
        ("labels", jsonl(label(time_spent_s=1e300)), "give a number"),
        ("items", jsonl({"item_id": "i", "features": "f"}), "features is 'f': give a list"),
        ("items", jsonl({"item_id": "i", "features": [True]}), "give a list of numbers"),
        ("items", jsonl({"item_id": "i", "row": 1.5}), "row is 1.5: give a whole number"),
        (
            "predictions",
            jsonl({"item_id": "i", "model_version": "m", "probabilities": {"x": "y"}}),
            "gives 'x' 'y': give a number",
        ),
        ("predictions", jsonl({"item_id": "i", "model_version": "m", "out_of_sample": "perhaps"}), "true or false"),
    ],
)
def test_a_bad_line_says_why_and_its_neighbour_goes_on(kind: str, line: str | bytes, said: str) -> None:
    raw = line.encode() if isinstance(line, str) else line
    neighbour = json.dumps({"item_id": "i", **ROWS[kind]}).encode()
    found = parsed(kind, neighbour + b"\n" + raw.strip() + b"\n" + neighbour + b"\n")
    assert [type(part) for part in found] == [Fact, Problem, Fact]
    problem = found[1]
    assert isinstance(problem, Problem)
    assert problem.line == 2
    assert said in problem.reason


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"i,a\n", "2 cells, but the first line names 3 columns"),
        (b"i,a,x,y\n", "4 cells"),
        (b"i,,x\n", "annotator_id is missing"),
        (b"i,a,\xff\n", "not UTF-8"),
        (b'i,a,"x"y\n', "not CSV"),
    ],
)
def test_a_bad_csv_line_says_why(line: bytes, said: str) -> None:
    found = parsed("labels", LABELS.encode() + line + b"j,b,z\n", "csv")
    assert isinstance(found[0], Problem)
    assert found[0].line == 2
    assert said in found[0].reason
    assert isinstance(found[1], Fact)


def test_a_quote_left_open_does_not_eat_the_file_in_silence() -> None:
    """Its line alone is bad, however far the quote may reach."""
    after = MAX_FACT_BYTES // 4
    found = parsed("labels", LABELS + 'i,a,"x\n' + "j,b,z\n" * after, "csv")
    assert isinstance(found[0], Problem)
    assert (found[0].line, "is a quote left open?" in found[0].reason) == (2, True)
    assert [part.event["source_seq"] for part in found if isinstance(part, Fact)] == [*range(3, after + 3)]
    twice = parsed("labels", LABELS + 'i,a,"x\nj,b,y\nk,c,"z\nl,d,z\n', "csv")
    assert [part.line if isinstance(part, Problem) else part.event["item_id"] for part in twice] == [2, "j", 4, "l"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item_id;label\n1;2\n", "no column item_id, annotator_id, label"),
        ("item_id,label,annotator_id,label\n", "a column twice"),
        (LABELS.encode("utf-16"), "save it as UTF-8"),
        ("item_id,annotator_id,label,größe\n".encode("cp1252"), "save the file as UTF-8"),
        ('"item_id,annotator_id,label\ni,a,x\n', "the first line is not CSV"),
    ],
)
def test_a_file_that_is_unusable_as_a_whole(text: str | bytes, said: str) -> None:
    with pytest.raises(LabelloopError, match=said):
        parsed("labels", text, "csv")


def imported(tmp_path: Path, text: str, name: str = "file.jsonl", kind: str = "labels") -> tuple[Summary, list[Fact]]:
    path, sent = tmp_path / name, list[Fact]()
    path.write_text(text)

    def send(fact: Fact) -> None:
        encoded(fact, NOW)
        sent.append(fact)

    return import_file(path, kind, "p", send), sent


def test_a_file_is_summed_up(tmp_path: Path) -> None:
    rows = [label(), label(label=""), label(note="x" * MAX_FACT_BYTES), label(timestamp="2999-01-01"), label()]
    summary, sent = imported(tmp_path, jsonl(*rows))
    assert (summary.sent, summary.bad, len(sent)) == (2, 3, 2)
    said = ["value.choice has 0 characters", "a fact has at most", "set the tool's clock"]
    for problem, line, part in zip(summary.problems, (2, 3, 4), said, strict=True):
        assert problem.line == line
        assert part in problem.reason


def test_only_the_first_bad_lines_are_kept_but_all_are_counted(tmp_path: Path) -> None:
    summary, _ = imported(tmp_path, "{}\n" * 100)
    assert (summary.bad, len(summary.problems)) == (100, KEPT_PROBLEMS)


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.csv"])
def test_an_empty_file_is_fine(tmp_path: Path, name: str) -> None:
    assert imported(tmp_path, "\n" if name == "empty.jsonl" else "", name)[0] == Summary()


def test_a_file_of_unknown_ending_or_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(LabelloopError, match="--format"):
        imported(tmp_path, "", "labels.json")
    with pytest.raises(LabelloopError, match="cannot be read: No such file"):
        import_file(tmp_path / "none.csv", "labels", "p", print)


def test_progress_is_told_of_every_byte(tmp_path: Path) -> None:
    path, told = tmp_path / "file.jsonl", list[int]()
    path.write_text(jsonl(label()) * 20_000)
    import_file(path, "labels", "p", lambda _: None, progress=told.append)
    assert sum(told) == path.stat().st_size
    assert len(told) > 2


@pytest.mark.parametrize("blank", ["\n", "\r\n", "\n\n"])
def test_blank_lines_before_the_columns_are_passed(blank: str) -> None:
    (fact,) = good("labels", blank + LABELS + "i,a,x\n", "csv")
    assert fact["source_seq"] == blank.count("\n") + 2


def test_a_text_is_kept_as_it_is_for_spans_count_its_characters() -> None:
    (fact,) = good("items", "item_id,text,media\n i ,  Anna lives , m \n", "csv")
    assert (fact["item_id"], fact["text"], fact["media"]) == ("i", "  Anna lives ", "m")


@pytest.mark.parametrize("column", ["extra", "item_id", "timestamp"])
def test_a_line_nested_too_deeply_is_bad_alone(column: str) -> None:
    nested: Any = 1
    for _ in range(300):
        nested = [nested]
    first, second = parsed("labels", jsonl(label(**{column: nested}), label()))
    assert isinstance(first, Problem)
    assert "nested too deeply" in first.reason
    assert isinstance(second, Fact)


def test_what_is_taken_back_settled_or_withdrawn() -> None:
    (label_,) = good("labels", jsonl({"item_id": "i", "annotator_id": "a", "retracted": True}))
    assert (label_["value"], label_["retracted"]) == (None, True)
    assert "carries no value" in bad("labels", jsonl(label(retracted=True))).reason
    (flag,) = good("flags", jsonl({"item_id": "i", "actor_id": "a", "kind": "wrong", "resolves": "f"}))
    assert flag["resolves"] == "f"
    (item,) = good("items", jsonl({"item_id": "i", "removed": True}))
    assert item["removed"] is True
    undone = {"item_id": "i", "reviewer_id": "r", "verdict": "undone", "undoes": "v"}
    (verdict,) = good("corrections", jsonl(undone))
    assert verdict["undoes"] == "v"
