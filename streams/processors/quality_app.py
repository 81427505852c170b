"""The Faust app "quality": what the fitter, its child process, proposes becomes visible in a transaction."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Collection

import faust

from streams.catalogue import ACTIONS
from streams.processors.quality import CONSUMER, Quality
from streams.settings import Settings
from streams.transport.app import create_app
from streams.transport.guards import RESTART, STOP, leave

log = logging.getLogger("labelloop.quality")


def create(settings: Settings, slot: int) -> faust.App:
    """Return the app of one worker; `slot` names its place among the workers."""
    fitter = _Child(settings)
    quality = Quality(settings.prefix, settings.partitions)
    return create_app(settings, CONSUMER, ("fits", ACTIONS), quality.handle, slot=slot, owns=fitter.own)


class _Child:
    """The fitter's process, started when the worker owns something for the first time.

    Args:
        settings: Where the broker is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None

    def own(self, partitions: Collection[int]) -> None:
        """Tell it which partitions are this worker's."""
        if self._process is None:
            env = {**os.environ, **self._settings.environment(), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "streams.processors.fitter"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=env, text=True)
            threading.Thread(target=self._watch, args=[self._process], daemon=True).start()
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(" ".join(map(str, sorted(partitions))) + "\n")
        pipe.flush()

    def _watch(self, process: "subprocess.Popen[str]") -> None:
        """Leave when the fitter ends: a successor begins with a new one."""
        status = process.wait()
        leave(f"the fitter ended with status {status}; its last words are above", STOP if status == STOP else RESTART)
