"""The child process of a retraining worker as its parent sees it, and how the two speak.

What takes long or much memory happens in the child: it reads the log, folds, trains, and hands over what is to be
published, batch by batch; the parent publishes it and says so. When either ends, so does the other's work, and a new
child goes on where the log ends.
"""

import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

from streams.settings import Settings
from workers.outbox import Message

NOT_NOW = 75
"""Exit status: a server is away; the same is to be tried again."""

LENGTH = struct.Struct(">I")
"""Number of bytes of the message that follows."""


class Begun(NamedTuple):
    """The child begins a stage: its name, the snapshot it is about, and how long it may take, seconds."""

    stage: str
    snapshot: str
    limit_s: float


class Publish(NamedTuple):
    """The child has something to publish, all of it or none."""

    messages: Sequence[Message]


class Ended(NamedTuple):
    """The child has ended, with this exit status."""

    status: int


Told = Begun | Publish | Ended


class Child:
    """A child at work on one project.

    Args:
        settings: Where the broker is.
        project: The project.
        cause: What asks for a snapshot; empty: go on with what was begun.
        memory_mb: Most memory it may take, MB.
    """

    def __init__(self, settings: Settings, project: str, cause: str, memory_mb: int) -> None:
        self.project = project
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workers.job", project, cause, str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **settings.environment(), **threads},
        )
        self._told: queue.SimpleQueue[Told] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        while (message := _read(self._process.stdout)) is not None:
            self._told.put(message)
        self._told.put(Ended(self._process.wait()))

    def told(self) -> Told | None:
        """Return what it said next, None: nothing new."""
        try:
            return self._told.get_nowait()
        except queue.Empty:
            return None

    def published(self) -> None:
        """Let it go on: what it handed over is published."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended: that is told by itself
            return

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


def _read(pipe: IO[bytes]) -> Any:
    header = pipe.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    body = pipe.read(LENGTH.unpack(header)[0])
    return pickle.loads(body) if body else None
