"""Retiring a killed broker's registration: what is read from the quorum's log, and how the quorum is configured."""

from pathlib import Path

import pytest

from streams.embedded import kafka
from streams.embedded.kafka_server import is_before_4, lines_until_fenced, quorum_config, settings_of

ACTIVE = "WARN [QuorumController id=1] Performing controller activation."


def registered(fenced: str) -> str:
    record = f"RegisterBrokerRecord(brokerId=1, endPoints=[E(name='P')], fenced={fenced}, inControlledShutdown=false)"
    return f"Replayed RegisterBrokerRecord establishing a new incarnation of broker 1: {record}"


def changed(fenced: int) -> str:
    record = f"BrokerRegistrationChangeRecord(brokerId=1, fenced={fenced}, inControlledShutdown=0)"
    return f"Replayed BrokerRegistrationChangeRecord modifying the registration for broker 1: {record}"


def written(offset: int) -> str:
    name = "maybeFenceStaleBroker(1853043466)"
    return f"DEBUG Read-write operation {name} will be completed when the log reaches offset {offset}."


def committed(offset: int) -> str:
    return f"DEBUG Completing purgatory items up to offset {offset} and epoch 7."


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(
            [registered("true"), changed(-1), ACTIVE, committed(90), changed(1), written(99), committed(99)],
            id="times out",
        ),
        pytest.param(
            [
                registered("true"),
                changed(-1),
                ACTIVE,
                written(98),
                changed(1),
                written(99),
                committed(98),
                committed(101),
            ],
            id="times out amid other writes",
        ),
        pytest.param([registered("true"), changed(-1), changed(1), ACTIVE], id="was fenced before"),
        pytest.param([registered("true"), ACTIVE], id="was killed before it was let in"),
        pytest.param([ACTIVE], id="was killed before it registered"),
        pytest.param([registered("true"), changed(-1), changed(0), registered("true"), ACTIVE], id="came twice"),
        pytest.param(
            [registered("false"), changed(0), ACTIVE, changed(1), written(99), committed(99)], id="from a snapshot"
        ),
    ],
)
def test_it_reads_on_until_the_quorum_is_active_and_its_broker_fenced_for_good(lines: list[str]) -> None:
    assert list(lines_until_fenced(iter([*lines, "later"]))) == lines


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [registered("true"), changed(-1), ACTIVE, changed(0)],
        [registered("true"), changed(-1), ACTIVE, changed(1), written(99), committed(98)],
        [registered("true"), changed(-1), ACTIVE, changed(1), committed(98)],
    ],
)
def test_a_log_that_ends_before_is_an_error(lines: list[str]) -> None:
    with pytest.raises(EOFError):
        list(lines_until_fenced(iter(lines)))


def test_the_quorum_alone_uses_the_brokers_folder_and_listens_to_its_own_port_only() -> None:
    broker = kafka.properties("process.roles=broker,controller\nnode.id=1", Path("/a {folder}"), 1, 2)
    alone = settings_of(quorum_config(broker))
    assert alone["process.roles"] == "controller"
    assert alone["listeners"] == "CONTROLLER://127.0.0.1:2"
    assert (alone["log.dirs"], alone["node.id"]) == ("/a {folder}", "1")
    assert "advertised.listeners" not in alone
    assert int(alone["broker.session.timeout.ms"]) < int(settings_of(broker)["broker.session.timeout.ms"])


@pytest.mark.parametrize(("version", "old"), [("3.7.2", True), ("3.9.2", True), ("4.3.1", False), ("10.0.0", False)])
def test_a_broker_before_4_is_known_by_its_jar(version: str, old: bool) -> None:
    path = f"/jars/kafka-clients-{version}.jar:/jars/kafka_2.13-{version}.jar:/jars/slf4j-simple-1.7.36.jar"
    assert is_before_4(["java", "-Xmx512m", "-cp", path]) is old
