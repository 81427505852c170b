"""A client that cannot reach its broker fills no log."""

import logging

from streams.clients import Seldom


def _record(kind: str, client: str, text: str) -> logging.LogRecord:
    return logging.LogRecord("labelloop.kafka", logging.ERROR, "", 0, "%s [%s] %s", (kind, client, text), None)


def test_the_same_kind_of_line_passes_once_in_a_while() -> None:
    now = 0.0
    seldom = Seldom(lambda: now)
    assert seldom.filter(_record("FAIL", "producer-1", "refused after 0 ms"))
    assert not seldom.filter(_record("FAIL", "producer-1", "refused after 1 ms"))
    assert seldom.filter(_record("FAIL", "producer-2", "refused"))
    assert seldom.filter(_record("GETPID", "producer-1", "retrying"))
    now = 30.0
    assert seldom.filter(_record("FAIL", "producer-1", "refused"))
    assert not seldom.filter(_record("FAIL", "producer-1", "refused"))
