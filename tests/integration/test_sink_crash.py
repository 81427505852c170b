"""A sink that dies at any step, loses its partitions or its server: nothing is lost and nothing is there twice."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.integration.own_server import OwnServer
from tests.integration.sink_app import STEPS
from tests.integration.sinking import (
    content,
    count,
    label,
    log_text,
    prepare,
    publish,
    query,
    settled,
    sibling,
    sink,
)
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.crash]

LABELS = 3000


def test_killed_at_every_step(settings: Settings) -> None:
    """One sink for each step, side by side: the group waits for a dead member, once instead of four times."""
    cases = {step: sibling(settings, step.replace("-", "")) for step in STEPS}
    undisturbed = sibling(settings, "undisturbed")
    for case in (*cases.values(), undisturbed):
        prepare(case)
        publish(case, map(label, range(LABELS)))
    with sink(undisturbed):
        eventually(lambda: count(undisturbed) == LABELS, "an undisturbed sink")
    with ExitStack() as stack:
        doomed = {step: stack.enter_context(sink(case, step, "2")) for step, case in cases.items()}
        for step, case in cases.items():
            eventually(
                lambda step=step, case=case: doomed[step].poll() is not None or count(case) == LABELS,  # type: ignore[misc]
                f"{step}: {log_text(case)}",
            )
            # What comes while it dies belongs to later ranges; a noted one must be repeated without it.
            publish(case, map(label, range(LABELS, 2 * LABELS)))
            assert doomed[step].wait(60) == -signal.SIGKILL, f"{step}: {log_text(case)}"
    publish(undisturbed, map(label, range(LABELS, 2 * LABELS)))
    with ExitStack() as stack:
        for case in (*cases.values(), undisturbed):
            stack.enter_context(sink(case))
        for case in (*cases.values(), undisturbed):
            eventually(lambda case=case: settled(case), f"{case.prefix}: {log_text(case)}")  # type: ignore[misc]
    expected = content(undisturbed)
    assert len(expected) == 2 * LABELS
    for step, case in cases.items():
        assert content(case) == expected, step
        assert count(case, "count()") == 2 * LABELS, f"{step}: a range was inserted twice"


def test_one_joins_in_midstream_and_the_other_is_killed(settings: Settings) -> None:
    prepare(settings)
    with sink(settings) as first:
        publish(settings, map(label, range(1000)))
        eventually(lambda: count(settings) == 1000, "the first sink alone")
        with sink(settings) as second:
            for start in range(1000, 3000, 100):
                publish(settings, map(label, range(start, start + 100)))
            eventually(lambda: count(settings) == 3000, "both sinks")
            first.kill()
            publish(settings, map(label, range(3000, 4000)))
            eventually(lambda: count(settings) == 4000 and settled(settings), f"the second alone: {log_text(settings)}")
            assert count(settings, "count()") == 4000
            second.send_signal(signal.SIGTERM)
            assert second.wait(20) == 0, log_text(settings)


@pytest.fixture
def own_server(settings: Settings, tmp_path: Path) -> Iterator[OwnServer]:
    """Return a ClickHouse of the test's own, which it may kill."""
    home = tmp_path / "own"
    home.mkdir()
    server = OwnServer(home)
    with server.running():
        yield server


def test_clickhouse_is_killed_and_comes_back(settings: Settings, own_server: OwnServer) -> None:
    own = prepare(own_server.settings(settings))
    with sink(own) as process:
        publish(own, map(label, range(1000)))
        eventually(lambda: count(own) == 1000, f"before: {log_text(own)}")
        own_server.kill()
        publish(own, map(label, range(1000, 3000)))
        eventually(lambda: "trying again" in log_text(own), "the sink notices")
        own_server.start()
        eventually(lambda: count(own) == 3000 and settled(own), f"after: {log_text(own)}")
        assert count(own, "count()") == 3000
        assert count(own, "count()", "dead_letters") == 0
        assert process.poll() is None, "the sink waits, it does not give up"


def test_a_sink_that_starts_before_clickhouse_waits_for_it(settings: Settings, own_server: OwnServer) -> None:
    own = prepare(own_server.settings(settings))
    own_server.kill()
    publish(own, map(label, range(10)))
    with sink(own) as process:
        eventually(lambda: "trying again" in log_text(own), "the sink notices")
        own_server.start()
        eventually(lambda: count(own) == 10, f"{log_text(own)}")
        assert process.poll() is None


def test_asked_to_stop_while_clickhouse_is_away(settings: Settings, own_server: OwnServer) -> None:
    own = prepare(own_server.settings(settings))
    with sink(own) as process:
        publish(own, map(label, range(10)))
        eventually(lambda: count(own) == 10, log_text(own))
        own_server.kill()
        publish(own, map(label, range(10, 20)))
        eventually(lambda: "trying again" in log_text(own), "the sink notices")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log_text(own)


TROUBLES = {
    "full": "MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000000",
    "read-only": "MODIFY SETTING table_readonly = 1",
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_clickhouse_is_there_and_takes_nothing(settings: Settings, own_server: OwnServer, trouble: str) -> None:
    """A table that can take no rows is no fault of the rows: they wait, and go in when it can."""
    own, setting = prepare(own_server.settings(settings)), TROUBLES[trouble].split()[2]
    with sink(own) as process:
        publish(own, map(label, range(1000)))
        eventually(lambda: count(own) == 1000, f"before: {log_text(own)}")
        query(own, f"ALTER TABLE labels {TROUBLES[trouble]}")
        publish(own, map(label, range(1000, 3000)))
        eventually(lambda: "trying again" in log_text(own), "the sink notices")
        query(own, f"ALTER TABLE labels RESET SETTING {setting}")
        eventually(lambda: count(own) == 3000 and settled(own), f"after: {log_text(own)}")
        assert (count(own, "count()"), count(own, "count()", "dead_letters")) == (3000, 0)
        assert process.poll() is None, "the sink waits, it does not give up"


def test_an_insert_that_was_given_up_is_done_all_the_same(settings: Settings, own_server: OwnServer) -> None:
    """A server that hangs for longer than the sink waits has the rows twice, and keeps them once."""
    own = prepare(own_server.settings(settings))
    with sink(own, "never", "1") as process:
        publish(own, map(label, range(1000)))
        eventually(lambda: count(own) == 1000, f"before: {log_text(own)}")
        own_server.signal(signal.SIGSTOP)
        publish(own, map(label, range(1000, 3000)))
        eventually(lambda: log_text(own).count("trying again") >= 3, f"the sink gives up: {log_text(own)}")
        own_server.signal(signal.SIGCONT)
        eventually(lambda: count(own) == 3000 and settled(own), f"after: {log_text(own)}")
        assert (count(own, "count()"), count(own, "count()", "dead_letters")) == (3000, 0)
        assert process.poll() is None, "the sink waits, it does not give up"
