"""Runs one worker process of a processor until it is asked to stop."""

import fcntl
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, NoReturn, cast

import faust
from faust.worker import Worker

from streams import rights
from streams.errors import Denied, LabelloopError, NotNow
from streams.memory import collect_seldom
from streams.settings import Settings
from streams.transport import topics
from streams.transport.base import BatchApp
from streams.transport.guards import STOP, leave

_MAX_SLOTS = 1000

log = logging.getLogger("labelloop.transport")


class _Worker(Worker):
    """Faust's worker, which ends at once where Faust would try to stop in order."""

    def _crash(self, reason: BaseException) -> None:
        if isinstance(reason, Denied):
            leave(str(reason), STOP)
        # An orderly stop after a crash waits for services that may be broken; what is uncommitted is lost either way.
        log.error("a service of the worker failed", exc_info=reason)
        leave(f"crashed: {reason!r}")


def take_slot(home: Path, name: str, slot: int | None) -> tuple[int, IO[str]]:
    """Take a worker's slot: `slot`, or the first free one; it is held while the returned file is open.

    Two workers in one slot would fence each other for ever.

    Raises:
        LabelloopError: the slot is taken.
    """
    folder = home / "slots"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(_MAX_SLOTS) if slot is None else [slot]:
        file = (folder / f"{name}-{number}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        return number, file
    if slot is None:
        raise LabelloopError(f"all {_MAX_SLOTS} slots of {name} are taken by workers here")
    raise LabelloopError(f"slot {slot} of {name} is taken by another worker here: leave --slot out to take a free one")


def run(settings: Settings, name: str, create: Callable[[Settings, int], faust.App], slot: int | None) -> NoReturn:
    """Run a worker until SIGTERM; never returns.

    The process ends with 0 when it was asked to stop, with 70 when its successor can go on (`guards.RESTART`), and
    with 78 when a person has to act first (`guards.STOP`).

    Args:
        settings: Where the servers are.
        name: The processor.
        create: Makes its app for a slot.
        slot: The worker's slot; None: the first free one in the data directory.

    Raises:
        LabelloopError: the slot is taken, or topics are missing or have another partition count.
    """
    _log_to_stderr()
    number, lock = take_slot(settings.home, f"{settings.prefix}.{name}", slot)
    rights.check(settings, name)
    app = cast(BatchApp, create(settings, number))
    try:
        topics.check(settings, app.needed_topics)
    except NotNow as error:
        leave(str(error))
    log.info("%s starts in slot %d, state in %s", name, number, settings.store)
    # asyncio's own loop: uvloop raises at a write to a broken connection what aiokafka does not expect, and its tasks
    # then end without a word (github.com/aio-libs/aiokafka/issues/1038); batches are no faster with it
    worker = _Worker(app, quiet=True, override_logging=False, redirect_stdouts=False, blocking_timeout=0)
    collect_seldom()
    worker.spinner = None  # it would write control sequences into the log
    with lock:
        try:
            worker.execute_from_commandline()
        except SystemExit as error:
            if error.code:
                leave("the worker ended with a failure")
            log.info("stopped")
            sys.stderr.flush()
            os._exit(0)  # a thread may still wait for a broker that is away, and Python would wait for the thread


def _log_to_stderr() -> None:
    """Log our own life cycle, and of the libraries what is amiss; nothing is logged per batch."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    logging.getLogger("labelloop").setLevel(logging.INFO)
