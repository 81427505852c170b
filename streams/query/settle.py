"""Forces a refit of a project, and waits until every item was scored by it."""

import os
import time
from collections.abc import Callable

from streams import codec
from streams.errors import LabelloopError, NotNow
from streams.keys import make_key, project_partition
from streams.query.wait import wait
from streams.settings import Settings
from streams.transport.plain import Follower, Publisher

_AGAIN_S = 1.0, 8.0
"""A request may meet a worker that is just being started: it is made anew after so many seconds, then twice as many,
and so on up to the second figure."""


def settle(settings: Settings, project: str, timeout_s: float, tell: Callable[[int], None] = lambda _: None) -> None:
    """Return when all that was published is processed, the project is refitted, and its items are scored by the refit.

    Args:
        settings: Where the servers are.
        project: The project.
        timeout_s: Limit in seconds.
        tell: Told now and then how many records are still to do.

    Raises:
        LabelloopError: that took longer; the text says what is missing.
    """
    limit, answered, trouble = time.monotonic() + timeout_s, False, ""
    wait(settings, timeout_s, tell)  # the refit is to see everything
    asked_at = time.monotonic()
    while not answered and time.monotonic() < limit:
        try:
            answered, trouble = _ask(settings, project, limit), ""
        except NotNow as error:  # a broker that is being started again is waited for
            trouble = f" ({error})"
    if not answered:
        raise LabelloopError(
            f"project {project!r} was not refitted in the last {time.monotonic() - asked_at:.0f} s of "
            f"{timeout_s:g}{trouble}: see whether a quality worker runs (`labelloop status`) and what its log says, or "
            "start one with `labelloop worker quality`"
        )
    wait(settings, max(0.0, limit - time.monotonic()), tell)


def _ask(settings: Settings, project: str, limit: float) -> bool:
    """Ask for a refit and return whether the order to score the items again came out in time.

    Raises:
        NotNow: the broker does not answer, or a client lost its way.
    """
    topic, partition = settings.topic("rescores"), project_partition(project, settings.partitions)
    answers = Follower(settings, [], [topic])
    answers.assign([(topic, partition)])
    while not answers.knows(topic, partition) and time.monotonic() < limit:
        [*answers.read(0.05)]  # from now on
    request = f"{project}/{time.time_ns()}-{os.getpid()}"
    publisher, ask_at, again = Publisher(settings), float("-inf"), _AGAIN_S[0]
    while time.monotonic() < limit:
        if time.monotonic() >= ask_at:
            value = codec.encode("settles", {"project": project, "request": request})
            publisher.send(settings.topic("settles"), [(make_key(project), value)], partition)
            ask_at, again = time.monotonic() + again, min(2 * again, _AGAIN_S[1])
        for read in answers.read(0.05):
            if codec.decode_own(read.value)[1]["request"] == request:
                return True
    return False
