"""The one place where Kafka clients get their configuration: as whom they come, and how they take a broker's death.

A broker that lets somebody in and one that does not look alike to most calls of a client: both give no answer in time.
So a process that has to log in asks once, before its first client, and again whenever a client hears of a refusal: what
comes of it is one sentence with the remedy. A broker that is merely away is waited for as ever.
"""

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streams import tls
from streams.errors import Denied
from streams.settings import KafkaLogin, Settings

_SILENCE_S = 30.0

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest request of a client: what the broker takes, see the topics' `max.message.bytes`."""

MAX_RECORD_BYTES = MAX_MESSAGE_BYTES - 4096
"""Largest key and value together: the rest is the frame's."""

STEADFAST = {"metadata.recovery.strategy": "none"}
"""Configuration of every client that outlives a broker.

By default a client forgets all brokers when none answers, and begins again from its bootstrap servers. What waited for
a forgotten one may then wait for ever: the commit of a transaction for its group coordinator
(github.com/confluentinc/librdkafka/issues/5511), a consumer for its leader. A broker comes back under its address.
"""


Config = dict[str, Any]
_K = TypeVar("_K")
_T = TypeVar("_T")

_RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "this consumer group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "this transactional id",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the cluster",
}
_REFUSED = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED)
_LEADERLESS = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
)
_NO_OFFSET = -1
_LIMIT_S, _PAUSE_S = 5.0, 0.05


def kafka(settings: Settings) -> Config:
    """Return what every client of librdkafka is configured with; the first time, ask whether we are let in.

    Raises:
        Denied: we are not, or the broker cannot prove who it is.
        LabelloopError: a file with a password or certificates is unusable.
    """
    _ask_once(settings.kafka, settings.login)
    return _config(settings.kafka, settings.login) | (
        {"error_cb": lambda error: _hear(error, settings)} if settings.login.ca else {}
    )


def reading(settings: Settings) -> Config:
    """Return what a reader of named partitions is configured with: it joins no group and commits nothing.

    Raises:
        Denied, LabelloopError: as `kafka` does.
    """
    return {
        **kafka(settings),
        "group.id": settings.topic("reader"),  # asked for by the client, and for the right to it by the broker
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
    }


def once_led(ask: Callable[[], _T], limit_s: float = 10.0) -> _T:
    """Return what `ask` does; a partition that was just made, or whose leader just moved, is asked about again.

    Args:
        ask: Puts one question to Kafka.
        limit_s: How long a partition may have no leader, in seconds.

    Raises:
        KafkaException: whatever else the broker answers, or still no leader.
    """
    limit = time.monotonic() + limit_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _LEADERLESS or time.monotonic() >= limit:
                raise
            time.sleep(_PAUSE_S)


def answered(offsets: dict[_K, int]) -> dict[_K, int]:
    """Return offsets that a broker was asked for, all of them numbers or -1 for "there is none".

    Raises:
        KafkaException: it went away and left one empty; `once_led` then asks again.
    """
    if any(offset < _NO_OFFSET for offset in offsets.values()):
        raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
    return offsets


def said(error: KafkaError | KafkaException, settings: Settings) -> str:
    """Return what Kafka says, and the remedy where the user lacks a right."""
    failure: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    if failure.code() not in _RIGHTS:
        return failure.str()
    return (
        f"{failure.str()}: user {settings.login.user or 'ANONYMOUS'} lacks a right to {_RIGHTS[failure.code()]}: "
        "grant it by the table in docs/security.md"
    )


def heed(error: KafkaError | KafkaException, settings: Settings) -> None:
    """Do nothing about an error that may pass.

    Raises:
        Denied: the user lacks a right.
    """
    failure: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    if failure.code() in _RIGHTS:
        raise Denied(f"Kafka at {settings.kafka} refuses: {said(failure, settings)}")


def heed_hidden(client: AdminClient | Consumer | Producer, topic: str, settings: Settings) -> None:
    """Do nothing about a topic that is not there or does not answer, unless it is hidden from the user.

    Raises:
        Denied: it is hidden.
    """
    if settings.login.ca is None:
        return  # who lets everybody in hides nothing
    error = None
    with suppress(KafkaException):  # it is away: what the caller knows already
        error = client.list_topics(topic, timeout=_LIMIT_S).topics[topic].error
    if error is not None:
        heed(error, settings)


@lru_cache
def _ask_once(servers: str, login: KafkaLogin) -> None:
    for server in servers.split(","):
        if _ask(server, login):
            return


def _ask(server: str, login: KafkaLogin) -> bool:
    """Ask a broker whether it lets us in; return whether it answers.

    Raises:
        Denied: it does not, or cannot prove who it is.
        LabelloopError: a file with a password or certificates is unusable.
    """
    if login.ca is None:
        return True
    host, _, port = server.strip().rpartition(":")
    if not port.isdecimal():
        host, port = server.strip(), "9092"
    if (objection := tls.objection(host.strip("[]"), int(port), login.ca)) is not None:
        raise Denied(f"Kafka at {server} {objection}")
    heard: list[KafkaError] = []
    admin = AdminClient(_config(server, login) | {"error_cb": heard.append, "log_level": 0})
    limit = time.monotonic() + _LIMIT_S
    while time.monotonic() < limit:
        try:
            admin.list_topics(timeout=0.3)
        except KafkaException:
            admin.poll(0)
        else:
            return True
        for error in heard:
            if error.code() in _REFUSED and "Local:" not in error.str():  # else it goes away at this moment
                raise Denied(_refusal(server, login, error))
    return False


def _refusal(server: str, login: KafkaLogin, error: KafkaError) -> str:
    if "mechanism" in error.str() and "handshake" in error.str():
        return f"Kafka at {server} takes no {login.mechanism}: set LABELLOOP_KAFKA_MECHANISM to what it takes"
    return (
        f"Kafka at {server} does not let user {login.user or 'ANONYMOUS'} in: check LABELLOOP_KAFKA_USER and the "
        "password in the file that LABELLOOP_KAFKA_PASSWORD_FILE names"
    )


def _hear(error: KafkaError, settings: Settings) -> None:
    """Take what a client hears; of a refusal the broker is asked itself, for it may only be going away.

    Raises:
        Denied: it is a refusal; out of the call that serves the client.
    """
    if error.code() in _REFUSED:
        named = re.search(r"//([^/]+)/", error.str())
        _ask(named[1] if named else settings.kafka.split(",")[0], settings.login)


def _config(servers: str, login: KafkaLogin) -> Config:
    config: Config = {**STEADFAST, "bootstrap.servers": servers, "logger": CLIENT_LOG}
    if login.ca is not None:
        config |= {"security.protocol": "ssl", "ssl.ca.location": str(login.ca)}
    if login.user:
        config |= {
            "security.protocol": "sasl_ssl",
            "sasl.mechanism": login.mechanism,
            "sasl.username": login.user,
            "sasl.password": login.password(),
        }
    return config


class Seldom(logging.Filter):
    """Lets a client say the same kind of thing once in so many seconds.

    Args:
        monotonic: Seconds of a clock that never goes back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._last: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether this is news; the client gives kind, its own name, and the text."""
        said = record.args[:2] if isinstance(record.args, tuple) else record.msg
        now = self._monotonic()
        if now < self._last.get(said, float("-inf")) + _SILENCE_S:
            return False
        self._last = {one: at for one, at in self._last.items() if now < at + _SILENCE_S} | {said: now}
        return True


CLIENT_LOG = logging.getLogger("labelloop.kafka")
"""The logger of every client."""

CLIENT_LOG.addHandler(logging.NullHandler())  # a command that finds no broker says so itself, in one line
CLIENT_LOG.addFilter(Seldom())
