"""Several items workers by one command: they share the partitions, and one that is killed comes again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from streams.producers.producer import Producer
from streams.settings import Settings
from tests.crash.cluster import read
from tests.integration.sinking import prepare
from tests.waiting import children, eventually, is_alive

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

COMMAND = (sys.executable, "-m", "streams.cli", "worker", "items")


@pytest.fixture
def two(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    prepare(settings)
    process = subprocess.Popen([*COMMAND, "--processes", "2"], env=os.environ | settings.environment())
    yield process
    process.kill()
    process.wait()


def shares(settings: Settings) -> list[int]:
    """Return how many partitions each member of the group has; nothing while they are being divided."""
    group, admin = settings.topic("items"), AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    try:
        found = admin.describe_consumer_groups([group])[group].result(10)
    except (KafkaException, TimeoutError):
        return []
    if found.state != ConsumerGroupState.STABLE:
        return []
    return sorted(len(member.assignment.topic_partitions) for member in found.members)


def test_two_share_the_work_and_one_that_is_killed_comes_again(
    settings: Settings, two: "subprocess.Popen[bytes]"
) -> None:
    eventually(lambda: len(found := shares(settings)) == 2 and found[0] > 0, "two members, each with work", 120)
    before = children(two.pid)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(children(two.pid) - {victim}) == 2, "two processes again", 60)
    with Producer(settings) as producer:
        for number in range(40):
            producer.label("birds", f"i{number}", "anna", "wren")
    eventually(lambda: len(read(settings.kafka, settings.topic("review.state"))) >= 40, "all are folded", 120)
    after = children(two.pid)
    two.terminate()
    assert two.wait(60) == 0
    assert not any(map(is_alive, after))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--processes", "5"), "5 processes cannot share 4 partitions"),
        (("--processes", "2", "--slot", "1"), "--slot is"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(settings: Settings, options: tuple[str, ...], text: str) -> None:
    done = subprocess.run([*COMMAND, *options], env=os.environ | settings.environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1
