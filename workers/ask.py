"""Asks for a model by hand, and waits for what becomes of it."""

import time
from typing import Literal

from streams.clock import SystemClock
from streams.errors import Denied, LabelloopError
from streams.events import Event
from streams.query.wait import wait
from streams.settings import Settings
from streams.transport.plain import Publisher
from workers.history import Loop
from workers.log import HistoryReader
from workers.registry import About, fact, message

_PAUSE_S = 0.2


def publish(settings: Settings, project: str, stage: Literal["requested", "promoted"], about: About, by: str) -> Event:
    """Publish what a person asks for or decides, and return the fact."""
    now = SystemClock().now_ms()
    event = fact(project, stage, about, by=by, occurred_at=now, salt=[now, time.monotonic_ns()])
    topic, key, value = message("models", event)
    Publisher(settings).send(settings.topic(topic), [(key, value)])
    return event


def outcome(settings: Settings, project: str, request: str, seconds: float) -> tuple[Loop, Event]:
    """Return what became of a request, once all that follows from it is in the queue and in ClickHouse.

    Args:
        settings: Where the servers are.
        project: The project.
        request: event_id of the fact `requested`.
        seconds: Limit.

    Raises:
        Denied: this user may not read it.
        LabelloopError: that took longer.
    """
    limit, trouble = time.monotonic() + seconds, ""
    with HistoryReader(settings) as reader:
        while time.monotonic() < limit:
            try:
                loop = reader.read().loop(project)
            except Denied:
                raise
            except LabelloopError as error:  # a broker that is being started again is waited for
                trouble = f" ({error})"
            else:
                found, trouble = loop.outcome(request), ""
                if found is not None and loop.next_step() is None:  # its predictions and receipts are there too
                    wait(settings, max(1.0, limit - time.monotonic()))
                    return loop, found
            time.sleep(_PAUSE_S)
    raise LabelloopError(
        f"no model after {seconds:g} s{trouble}: see whether a retraining worker runs (`labelloop status`) and what "
        "its log says, or start one with `labelloop worker retrain`"
    )
