"""The plans of the chaos runs: made by their seeds alone, and nothing that can be broken is left out."""

from dataclasses import replace

import pytest

from tests.chaos import test_short as short
from tests.chaos.faults import AIMS, FROZEN_S, KINDS, MUTANTS, SERVERS, WORKERS, Fault
from tests.chaos.kills import draw_kills, shortfalls
from tests.chaos.plan import Plan, draw


def test_a_plan_is_made_by_its_seed_alone() -> None:
    assert draw(5, 60) == draw(5, 60)
    assert draw(5, 60).faults != draw(6, 60).faults
    for mutant in MUTANTS:
        assert draw(5, 60, mutant).operations == replace(draw(5, 60), mutant=mutant).operations


@pytest.mark.parametrize("seed", range(8))
def test_ten_minutes_do_every_kind_of_fault_to_every_target(seed: int) -> None:
    assert {(fault.kind, fault.target, fault.server) for fault in draw(seed, 600).faults} == {*AIMS}


def test_a_server_is_frozen_until_its_clients_have_given_up() -> None:
    frozen = [fault for fault in draw(1, 600).faults if fault.kind == "freeze"]
    assert {fault.target for fault in frozen} == {*WORKERS, *SERVERS}
    assert all(fault.seconds >= FROZEN_S for fault in frozen)


@pytest.mark.parametrize("seed", [short.SEED, *range(8)])
def test_every_kind_comes_in_the_first_half_of_a_short_run(seed: int) -> None:
    faults = draw(seed, short.SECONDS, every_s=short.EVERY_S).faults
    assert {fault.kind for fault in faults if fault.at < short.SECONDS / 2} == {*KINDS}
    assert len(faults) > 0.8 * short.SECONDS / short.EVERY_S


def test_the_short_run_breaks_both_servers_and_merges_nothing() -> None:
    plan = draw(short.SEED, short.SECONDS, every_s=short.EVERY_S)
    done = {(fault.kind, fault.target) for fault in plan.faults}
    assert {(kind, server) for kind in ("kill", "freeze", "starve") for server in SERVERS} <= done
    assert not plan.merges


def test_nothing_is_done_to_a_target_that_something_is_done_to() -> None:
    last: dict[str, Fault] = {}
    for fault in draw(3, 600, every_s=1.0).faults:
        before = last.get(fault.target)
        assert before is None or before.at + before.seconds < fault.at
        last[fault.target] = fault


@pytest.fixture(scope="module")
def kills() -> Plan:
    return draw_kills(1, 3, 3_000)


def test_every_process_is_killed_as_often_as_was_asked_for(kills: Plan) -> None:
    of = [fault.target for fault in kills.faults]
    assert {target: of.count(target) for target in of} == dict.fromkeys((*WORKERS, *SERVERS), 3)
    fast = [operation for operation in kills.operations if operation.actor.startswith("fast")]
    assert sum(len(operation.calls) for operation in fast) == 3_000


def test_deaths_and_facts_that_did_not_come_are_told(kills: Plan) -> None:
    deaths = dict.fromkeys((*WORKERS, *SERVERS), 3)
    planned = sum(len(operation.calls) for operation in kills.operations)
    assert [*shortfalls(kills, deaths, planned)] == []
    told = shortfalls(kills, deaths | {"sink-1": 2}, planned - 1)
    assert [violation.text for violation in told] == [
        "sink-1 died 2 times, not 3",
        f"{planned - 1:,} facts arrived of at least {planned:,}",
    ]
    del deaths["kafka"]
    assert len([*shortfalls(kills, deaths, planned)]) == 1
