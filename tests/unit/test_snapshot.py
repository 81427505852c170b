"""A snapshot as a fact and as files; the examples it freezes; what changed since another one."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from streams import codec, events
from streams.events import Actor, Event
from streams.producers.wire import encoded
from streams.projects import Policy, Projects
from tests.unit.facts import PROJECT, fact, label
from tests.unit.logs import PARTITIONS, log_of
from tests.unit.test_dataset import UNANIMOUS, Facts, correct, dataset, described, gold, votes
from workers.dataset import Dataset, build
from workers.diff import UNSAID, Change, diff
from workers.export import CARD, MANIFEST, ROWS, TABLE, export
from workers.fixed import LEAST, MOST
from workers.snapshot import (
    Position,
    differences,
    fixed_of,
    frozen,
    positions_of,
    read_positions,
    snapshot_event,
)

LEAD = Actor(id="lead", kind="lead")
UPTO = [Position("labels", 1, 7, 1), Position("labels", 0, 5, 1), Position("projects", 0, 2, 1)]


def snapshot(found: Dataset, upto: list[Position] = UPTO, **more: Any) -> Event:
    return snapshot_event(found, upto, "by_hand", actor=LEAD, code_version="1", **more).event


def verdicts(count: int, choice: str = "cat", first: int = 0) -> Facts:
    return [correct(f"{choice}{n:04}", choice) for n in range(first, first + count)]


def with_frozen(facts: Facts, examples: dict[str, Any]) -> Dataset:
    return build(PROJECT, log_of(facts), Projects(), PARTITIONS, examples)


def test_a_snapshot_keeps_the_contract_and_its_name_follows_from_offsets_and_settings() -> None:
    found = dataset(*votes("i", "cat", 5), *verdicts(LEAST), described("i", features_file="f.npy"))
    event = snapshot(found, files={"f.npy": "0" * 64})
    assert (
        codec.decode(encoded(snapshot_event(found, UPTO, "by_hand", actor=LEAD, code_version="1"), 0))[1]["rows"] == 21
    )
    assert event["fixed"] == [{"item_id": f"cat{n:04}", "value": '{"choice":"cat","kind":"choice"}'} for n in range(20)]
    assert fixed_of(event) == found.fixed
    assert [*positions_of(event)] == sorted(UPTO) == read_positions(event) == read_positions(event["offsets"])
    assert snapshot(found, UPTO[::-1]) == snapshot(found)
    assert snapshot(found, UPTO[1:])["snapshot"] != event["snapshot"]
    projects = Projects()
    projects.apply(fact("projects", "lead", kind="lead", item_id="", classes=["cat", "dog"]), 0)
    assert snapshot(dataset(*votes("i", "cat", 5), projects=projects))["snapshot"] != event["snapshot"]
    assert json.loads(event["settings"])["policy"]["resolve_confidence"] == 0.95


def test_what_comes_out_otherwise_is_named() -> None:
    told = snapshot(dataset(*votes("i", "cat", 5)))
    found = snapshot(dataset(*votes("i", "cat", 5), correct("i", "dog")))
    assert differences(told, told) == []
    wrong = differences(told, found)
    assert any(one.startswith("content_hash: ") for one in wrong)
    assert "class_counts: {'cat': 1} was published, {'dog': 1} comes out" in wrong


@pytest.mark.parametrize("content", [[], {}, {"offsets": []}, [{"topic": "labels"}], [1], 3])
def test_what_names_no_positions_is_refused(content: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        read_positions(content)


def test_fixed_gold_judges_and_its_last_word_counts() -> None:
    found = dataset(*verdicts(30), gold("g", "cat", "fixed"), gold("g", "dog", "fixed"), gold("t", "cat", "truth"))
    assert found.fixed == {"g": {"kind": "choice", "choice": "dog"}}
    assert with_frozen([gold("g", "cat", "fixed")], {"x": {}}).fixed.keys() == {"g"}


def test_a_sample_is_frozen_once_there_are_enough_verdicts_and_stays() -> None:
    assert dataset(*verdicts(LEAST - 1)).fixed == {}
    rejected = correct("r", None, "rejected")
    assert dataset(*verdicts(LEAST - 1), rejected).fixed == {}
    first = dataset(*verdicts(LEAST))
    assert len(first.fixed) == LEAST
    poisoned = [correct(f"cat{n:04}", "dog") for n in range(LEAST)]
    later = [*verdicts(LEAST), *poisoned, *verdicts(200, "dog")]
    assert with_frozen(later, frozen([snapshot(dataset()), snapshot(first)])).fixed == first.fixed
    gone = with_frozen([*later, described("cat0003", removed=True)], dict(first.fixed)).fixed
    assert first.fixed.keys() - gone.keys() == {"cat0003"}


def test_a_sample_holds_the_earliest_of_every_class_by_its_share() -> None:
    found = dataset(*verdicts(300, "cat"), *verdicts(99, "dog"), *verdicts(1, "cow")).fixed
    assert len(found) == MOST
    by_class = {choice: [i for i, v in found.items() if v["choice"] == choice] for choice in ("cat", "dog", "cow")}
    assert (len(by_class["cow"]), len(by_class["dog"])) == (1, 25)
    assert by_class["dog"] == [f"dog{n:04}" for n in range(25)]
    assert by_class["cat"] == [f"cat{n:04}" for n in range(74)]


def test_a_difference_says_who_and_why() -> None:
    base = [*UNANIMOUS, *votes("v", "cat", 4), *votes("r", "cat", 4), *votes("u", "cat", 4), *votes("same", "cat", 4)]
    base += [correct("u", "dog")]
    undone = correct("u", None, "undone", undoes=base[-1][1]["event_id"])
    new = [correct("v", "dog", reason="ears"), ("labels", label("late", "cat", item_id="v"))]
    new += [described("r", removed=True), undone, *votes("n", "cat", 3)]
    cat, dog = ({"kind": "choice", "choice": choice} for choice in ("cat", "dog"))
    assert diff(dataset(*base), dataset(*base, *new)) == [
        Change("n", None, cat, "consensus", ("ann-0", "ann-1", "ann-2"), ("a label",) * 3),
        Change("r", cat, None, "none", ("importer",), ("removed",)),
        Change("u", dog, cat, "consensus", ("rev",), ("undone",)),
        Change("v", cat, dog, "verdict", ("rev",), ("corrected: ears",)),
    ]


def test_a_difference_that_nobody_spoke_for_is_said_to_be_one() -> None:
    strict = Projects()
    policy = {**asdict(Policy()), "resolve_confidence": 1.0}
    strict.apply(fact("projects", "lead", kind="lead", item_id="", policy=policy), 0)
    (change, *_) = diff(dataset(*UNANIMOUS), dataset(*UNANIMOUS, projects=strict))
    assert (change.actors, change.why, change.after) == ((), (UNSAID,), None)


def test_the_same_snapshot_gives_the_same_files(tmp_path: Path) -> None:
    item = described("i", text="=1+1", features=[0.5, 2.0], attributes={"k": "v"}, group="a|b\n# c")
    facts = [*votes("i", "=cat", 5), item, correct("j", "<b>")]
    found = dataset(*facts)
    event = snapshot(found, files={"f|.npy": "0" * 64})
    export(found, event, tmp_path / "one")
    export(dataset(*facts), event, tmp_path / "two")
    for name in (ROWS, TABLE, CARD, MANIFEST):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    rows = pq.read_table(tmp_path / "one" / ROWS).to_pylist()
    assert [(row["item_id"], row["label"], row["text"]) for row in rows] == [("i", "=cat", "=1+1"), ("j", "<b>", None)]
    assert (rows[0]["features"], rows[0]["attributes"]) == ([0.5, 2.0], [("k", "v")])
    with (tmp_path / "one" / TABLE).open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert (cells[0]["label"], cells[0]["text"], cells[0]["features"]) == ("'=cat", "'=1+1", "[0.5, 2.0]")
    assert json.loads(cells[0]["attributes"]) == {"k": "v"}
    card = (tmp_path / "one" / CARD).read_text()
    assert "&lt;b&gt;" in card
    assert "<b>" not in card
    assert "f\\|.npy" in card
    assert orjson.loads((tmp_path / "one" / MANIFEST).read_bytes()) == event


def test_a_value_is_written_in_one_way_only() -> None:
    """The hash of known rows: whoever changes it makes every snapshot that was published another one."""
    row = described("ü", text="x\n", features=[0.1, 1e300, -0.0], features_file="f", features_row=1, group="g")
    found = dataset(
        row,
        (
            "corrections",
            fact(
                "corrections",
                "rev",
                item_id="ü",
                verdict="corrected",
                value=events.value_of("number", 2.0),
                event_id="e",
            ),
        ),
    )
    assert found.content_hash == "2b47a7d25eead6951a4a6052a84937685e75cd06cb116ca2aca2e4faafd5a860"
