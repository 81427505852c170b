"""The capacity model: straight lines, rounded up to whole processes, and its assumptions in words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.capacity import Run, fitted
from bench.recovery import Took, of_an_item
from bench.states import LABELS_PER_ITEM, item_id, rows, templates
from streams.capacity.measured import LINES, SINGLES, Line, Measured
from streams.capacity.model import PROCESS_MB, Need, plan
from streams.cli.plan import plan as command

LINE = Line(10.0, 100.0)
MEASURED = Measured(
    dict.fromkeys(LINES, LINE),
    {"items_base_mb": 200.0, "quality_base_mb": 300.0, "sink_mb": 250.0, "rocksdb_cpu_ratio": 1.5, "recovery_us": 20.0},
    {},
    1000,
    "a machine",
)
NEED = Need(labels_per_day=86_400, overlap=4, retention_days=10, peak=3)


def with_line(name: str, line: Line) -> Measured:
    return replace(MEASURED, lines={**MEASURED.lines, name: line})


def test_what_grows_grows_with_labels_and_items() -> None:
    found = plan(NEED, MEASURED)
    assert (found.labels, found.items, found.peak_per_second) == (864_000, 216_000, 3.0)
    assert found.clickhouse_rows == 10 * 864_000 + 100 * 216_000
    assert found.kafka_bytes["facts"] == found.clickhouse_rows
    assert found.kafka_bytes["compacted topics and state"] == 2 * found.clickhouse_rows
    assert found.cores["sink"] == pytest.approx((10 * 3 + 100 * 3 / 4) / 1e6)


def test_copies_in_kafka_take_its_disk_alone() -> None:
    one, three = plan(NEED, MEASURED), plan(replace(NEED, replication=3), MEASURED)
    assert three.kafka_bytes == {name: 3 * size for name, size in one.kafka_bytes.items()}
    assert three.clickhouse_bytes == one.clickhouse_bytes


def test_processes_are_whole_and_leave_room_and_partitions_are_twice_as_many() -> None:
    busy = plan(NEED, with_line("items_cpu_us", Line(1e6, 0.0)))  # three cores in the busiest hours
    assert busy.processes == {"items": 6, "quality": 1, "sink": 1}
    assert busy.partitions == 16
    assert plan(NEED, MEASURED).partitions == 4


def test_state_that_outgrows_memory_goes_to_disk_and_costs_more() -> None:
    per_item = 1.2 * PROCESS_MB * 2**20 / NEED.items
    small, large = plan(NEED, MEASURED), plan(NEED, with_line("items_memory_bytes", Line(0.0, per_item)))
    state = 10 * NEED.labels + 100 * NEED.items
    assert (small.store, small.state_disk_bytes) == ("memory", 0.0)
    assert large.store == "rocksdb"
    assert large.state_disk_bytes == state
    assert large.cores["items"] == pytest.approx(1.5 * small.cores["items"])
    assert large.memory_mb["items"] < PROCESS_MB
    assert len(large.assumptions) == len(small.assumptions) + 1


def test_labels_that_outgrow_a_quality_worker_take_several() -> None:
    found = plan(NEED, with_line("quality_memory_bytes", Line(2.5 * PROCESS_MB * 2**20 / NEED.labels, 0.0)))
    assert (found.processes["quality"], found.partitions) == (3, 8)


def test_recovery_is_shared_by_the_processes() -> None:
    assert plan(NEED, MEASURED).recovery_seconds == pytest.approx(216_000 * 20e-6)


@pytest.mark.parametrize("field", ["labels_per_day", "overlap", "retention_days", "peak", "replication"])
def test_nothing_of_a_need_may_be_zero(field: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        plan(replace(NEED, **{field: 0}), MEASURED)


def test_lines_go_through_what_was_measured_and_never_fall() -> None:
    sizes = ((900, 900), (900, 100), (90, 90), (90, 10))
    runs = [Run(n, i, dict.fromkeys(LINES, 50.0 + 3.0 * n + 7.0 * i), {}, {}) for n, i in sizes]
    found = fitted(runs)["clickhouse_bytes"]
    assert [found.per_label, found.per_item, found.fixed] == pytest.approx([3.0, 7.0, 50.0])
    falling = [Run(900, 900, dict.fromkeys(LINES, 10.0), {}, {}), Run(900, 100, dict.fromkeys(LINES, 90.0), {}, {})]
    assert min(fitted(falling)["clickhouse_bytes"].per_item, fitted(falling)["clickhouse_bytes"].per_label) >= 0.0


def test_the_constants_are_all_there_each_with_its_command(tmp_path: Path) -> None:
    known = Measured.load()
    assert {*known.commands} == {*LINES, *SINGLES}
    known.save(tmp_path / "measured.json")
    assert Measured.load(tmp_path / "measured.json") == known


def test_the_command_tells_plan_constants_and_assumptions() -> None:
    asked = ["--labels-per-day", "1000", "--retention", "2y"]
    told = CliRunner().invoke(command, asked)
    assert told.exit_code == 0
    assert "730,500 labels of 243,500 items" in told.output
    assert "assumed:" in told.output
    assert "bench.recovery" in told.output
    plain = json.loads(CliRunner().invoke(command, [*asked, "--json"]).output)
    assert plain["plan"]["labels"] == 730_500


@pytest.mark.parametrize("retention", ["soon", "0d", "-1d", "3q"])
def test_a_time_that_is_none_is_refused_with_the_remedy(retention: str) -> None:
    told = CliRunner().invoke(command, ["--labels-per-day", "1", f"--retention={retention}"])
    assert told.exit_code == 2
    assert "write 90d, 26w, 18m or 2y" in told.output


def test_what_an_item_takes_to_recover_is_told_by_two_sizes() -> None:
    runs = [Took("here", "memory", n, 2.0 + 20e-6 * n, 1.0, 1.0) for n in (1000, 101_000, 101_000)]
    elsewhere = [Took("there", "memory", 1, 50.0, 1.0, 1.0), Took("here", "rocksdb", 1, 50.0, 1.0, 1.0)]
    assert of_an_item(runs + elsewhere) == pytest.approx(20.0)
    assert of_an_item(runs[:1] + elsewhere) is None


def test_copied_state_rows_differ_by_their_item_alone() -> None:
    made = templates(3)
    found = dict(rows(7, made))
    assert len(found) == 7
    states = [json.loads(row) for row in found.values()]
    assert [state["item_id"] for state in states] == [item_id(n) for n in range(7)]
    assert all(len(state["facts"]["labels"]) == LABELS_PER_ITEM for state in states)
    assert states[1] | {"item_id": ""} == states[4] | {"item_id": ""}
