"""Becomes the embedded broker: `python -m streams.embedded.kafka_server CONFIG JAVA OPTION...`.

A broker that was killed is still registered when it comes back, and has to wait until that registration's session has
timed out. Until then it works on by its old metadata: it takes up the transactions it finds, but its clients' port is
closed. When the session times out, the partitions have no leader for a moment, and Kafka 4.3.1 drops the transaction
markers on their way to them as if the partitions were deleted: the transaction is complete for its coordinator and
open for ever in the log, and no read_committed reader passes it. (`KRaftMetadataCache.getPartitionLeaderEndpoint` says
"unknown topic" where it means "no leader at present"; up to 4.0 it did not.)

So after an end that was not in order the metadata quorum is started alone first, with a short session time-out, until
it has fenced the old registration and that is in its log. The broker then starts without leaders, and without the wait.
Before 4.0 a quorum fenced nobody while it heard of nobody: such a broker, which has no such fault either, is given a
session time-out that it can wait for.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from streams.embedded import child

CLEAN = ".kafka_cleanshutdown"
"""File that Kafka leaves in its folder when it has ended in order; also when its start failed in order."""
STARTING = "starting"
"""File beside the configuration while a broker starts: found at a start, the one before has failed."""

_LIMIT_S = 60
_SESSION_MS = 1000
_OLD_SESSION_MS = 6000  # as long such a broker waits for its predecessor's end
_OLD_JAR = re.compile(r"/kafka_[\d.]+-[0-3]\.")
_TOLD = 20  # last lines of the quorum's log that an error shows
_REPLAYED = re.compile(r"Replayed .*(?:RegisterBrokerRecord|BrokerRegistrationChangeRecord)\(.*\bfenced=(-?\w+)")
_ACTIVE = "Performing controller activation"
_WRITTEN = re.compile(r"Read-write operation .* will be completed when the log reaches offset (\d+)")
_COMMITTED = re.compile(r"Completing purgatory items up to offset (\d+)")


def settings_of(config: str) -> dict[str, str]:
    """Return the settings of a properties file; of two the last counts."""
    lines = (line.strip() for line in config.splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def quorum_config(config: str) -> str:
    """Return the configuration of the metadata quorum alone, made from the broker's."""
    address = settings_of(config)["controller.quorum.voters"].split("@", 1)[1]
    kept = [line for line in config.splitlines() if not line.startswith("advertised.listeners=")]
    alone = f"process.roles=controller\nlisteners=CONTROLLER://{address}\nbroker.session.timeout.ms={_SESSION_MS}\n"
    return "\n".join([*kept, alone])


def lines_until_fenced(lines: Iterator[str]) -> Iterator[str]:
    """Yield the quorum's log up to the line at which it is active and its broker is fenced, and that is committed.

    What an active quorum tells as replayed is yet to be written: it waits for company for `append.linger`, 25 ms, and
    is lost if the quorum is stopped before.

    Raises:
        EOFError: the log ends before.
    """
    active, fenced, written = False, True, True  # what was never registered need not be fenced
    for line in lines:
        yield line
        active = active or _ACTIVE in line
        if replayed := _REPLAYED.search(line):
            # a registration says true or false; a change of one says 1, -1, or 0 for "as before"
            fenced = {"true": True, "1": True, "false": False, "-1": False}.get(replayed[1], fenced)
            written = not active  # else it has just been decided, and was not read from the log
        if active and fenced:
            break
    else:
        raise EOFError
    if not written:
        yield from _lines_until_committed(lines)


def _lines_until_committed(lines: Iterable[str]) -> Iterator[str]:
    """Yield the quorum's log on from a decision up to the line at which it is committed.

    Raises:
        EOFError: the log ends before.
    """
    end: int | None = None
    for line in lines:
        yield line
        if end is None:
            end = int(told[1]) if (told := _WRITTEN.search(line)) else None
        elif (told := _COMMITTED.search(line)) and int(told[1]) >= end:
            return
    raise EOFError


def retire(config: Path, java: list[str]) -> None:
    """Fence the registration that a killed broker has left.

    Args:
        config: The broker's configuration.
        java: The JVM with its options.

    Raises:
        EOFError: the quorum ended, or did not fence it in time.
    """
    alone, log = config.with_name("quorum.properties"), config.with_name("quorum.log")
    alone.write_text(quorum_config(config.read_text()))
    log.unlink(missing_ok=True)
    logger = "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller"
    told = (f"{logger}=info", f"{logger}.QuorumController=debug")
    quorum = child.spawn([*java, *told, "kafka.Kafka", str(alone)], log, os.environ, config.parent)
    try:
        for _ in lines_until_fenced(_follow(log, quorum)):
            pass
    finally:
        child.stop(quorum, _LIMIT_S)  # in order, so that what it logged is in its log


def is_before_4(java: Iterable[str]) -> bool:
    """Return whether a JVM's class path has a broker whose quorum alone fences nobody."""
    return any(map(_OLD_JAR.search, java))


def main(config: Path, java: list[str]) -> None:
    """Retire a killed predecessor, then become the broker; does not return."""
    override: list[str] = []
    log_dir = Path(settings_of(config.read_text())["log.dirs"])
    starting = config.with_name(STARTING)
    in_order = (log_dir / CLEAN).exists() and not starting.exists()
    if (log_dir / "__cluster_metadata-0").exists() and not in_order:
        if is_before_4(java):
            override = ["--override", f"broker.session.timeout.ms={_OLD_SESSION_MS}"]
        else:
            try:
                retire(config, java)
            except EOFError:
                log = config.with_name("quorum.log")
                sys.exit(f"the metadata quorum does not start alone; {log} ends with:\n{child.last_lines(log, _TOLD)}")
    starting.touch()  # its end is the first sign that this broker serves: `kafka.prepare`
    sys.stderr.flush()
    os.execv(java[0], [*java, "kafka.Kafka", str(config), *override])


def _follow(log: Path, writer: "subprocess.Popen[bytes]") -> Iterator[str]:
    """Yield the lines of a log as they come, until its writer ends or the time limit has passed."""
    limit = time.monotonic() + _LIMIT_S
    with log.open(errors="replace") as file:
        line = ""
        while time.monotonic() < limit:
            line += file.readline()
            if line.endswith("\n"):
                yield line
                line = ""
            elif writer.poll() is not None:
                return
            else:
                time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
