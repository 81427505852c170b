"""What was recorded gives the same state for ever, whatever schema it was written under."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streams import contract, events
from streams.catalogue import TOPICS
from streams.errors import Poison
from streams.processors.admission import decoded
from tests.replay import history, record, scenario
from tests.replay.history import Statement, differences
from tests.replay.outcome import outcome

READ = {name: history.read(name) for name in history.names()}

MENDED = (
    "A log that was recorded gives another state than it gave. If the code is wrong, mend it. If another meaning is "
    "meant, let what is stored say so (a field of the policy, a new schema, the code version of a snapshot), so that "
    "this log keeps its own. Recording it again would hide that stored facts now mean something else."
)


@pytest.mark.parametrize("name", READ)
def test_a_recorded_log_gives_the_state_it_gave(name: str) -> None:
    records, state = READ[name]
    found = [*differences(state, outcome(records))]
    assert not found, "\n".join([f"{name}: {MENDED}", *found[:40]])


def test_every_schema_of_the_lock_has_a_record() -> None:
    covered = {id_ for records, _ in READ.values() for id_ in history.schema_ids(records)}
    missing = [f"{entry['name']} {entry['id']}" for entry in contract.read_lock() if entry["id"] not in covered]
    assert not missing, (
        f"no history has a record of the schemas {', '.join(missing)}: "
        "run `python -m tests.replay.record NAME` and commit what it makes"
    )


def test_every_kind_of_fact_and_of_label_value_has_a_record() -> None:
    topics, kinds, said = set[str](), set[str](), set[str]()
    for records, _ in READ.values():
        for one in records:
            topics.add(one.topic)
            try:
                event = decoded(one.topic, one.value) if TOPICS[one.topic].kind == "fact" else {}
            except Poison:
                continue
            if one.topic == "labels":
                kinds |= {event["value"]["kind"]} if event["value"] else {"retracted"}
            said |= {str(event.get(field)) for field in ("verdict", "use", "action", "stage")}
    assert topics == {name for name, topic in TOPICS.items() if topic.schema}
    assert kinds == {*events.VALUE_KINDS, "retracted"}
    wanted = {*events.VERDICTS, *events.GOLD_USES, *events.CLAIM_ACTIONS, *events.STAGES}
    assert wanted <= said, wanted - said


def test_every_reason_of_a_refusal_but_the_servers_has_a_record() -> None:
    told = {one.value for _, state in READ.values() for one in state if one.about == "refused"}
    assert told >= {
        *("undecodable", "unknown_schema", "too_large", "foreign_partitioner", "invalid"),
        *("unknown_class", "not_allowed", "id_conflict"),
    }


def test_a_history_is_never_recorded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "HISTORIES", tmp_path)
    made = CliRunner().invoke(record.main, ["new"])
    assert made.exit_code == 0, made.output
    before = (tmp_path / "new" / "log.avro").read_bytes()
    again = CliRunner().invoke(record.main, ["new", "--seed", "2"])
    assert again.exit_code == 1
    assert "exists, and must give the same state for ever" in str(again.output)
    assert (tmp_path / "new" / "log.avro").read_bytes() == before
    records, state = history.read("new")
    assert records == scenario.record(1, scenario.generations(contract.read_lock())[-1:])
    assert not [*differences(state, outcome(records))]


def test_the_contract_grows_through_every_version() -> None:
    lock = contract.read_lock()
    covered = set[int]()
    for last_id in scenario.generations(lock):
        covered |= {*{entry["name"]: entry["id"] for entry in lock if entry["id"] <= last_id}.values()}
    assert covered == {entry["id"] for entry in lock}


ROW = {"item_id": "i", "tier": "p0", "posterior": {"a": 1.0}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tier": "p1"}, "review.state p/i: tier was 'p0', is now 'p1'"),
        ({"posterior": {"a": 1.0, "b": 1.0}}, "review.state p/i: posterior.b was None, is now 1.0"),
        ({"posterior": {"a": 0.99999}}, "review.state p/i: posterior.a was 1.0, is now 0.99999"),
        ({"owner": "ria"}, "review.state p/i: owner was None, is now 'ria'"),
    ],
)
def test_what_differs_is_named(change: dict[str, Any], said: str) -> None:
    before = Statement("review.state", "p/i", 36, ROW)
    assert [*differences([before], [before._replace(value={**ROW, **change})])] == [said]


def test_what_is_gone_or_new_is_named_and_a_later_field_is_not() -> None:
    one, other = Statement("review.state", "p/i", 36, ROW), Statement("live", "p/i", None, 1)
    assert [*differences([one], [other])] == ["review.state p/i: is gone", "live p/i: is new"]
    assert not [*differences([one], [one._replace(value={**ROW, "of_a_later_schema": 1})])]
    assert not [*differences([one], [one._replace(value={**ROW, "posterior": {"a": 1 - 1e-15}})])]
    inner = {"verdict": {"reviewer": "ria", "at": 5}}  # `at` came with schema 36
    before = one._replace(schema=33, value={"verdict": {"reviewer": "ria"}})
    assert not [*differences([before], [one._replace(value=inner)])]
