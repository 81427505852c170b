"""What the child of a retraining worker runs: one project's stages, told to the parent through a pipe."""

import os
import pickle
import queue
import resource
import sys
import threading
from collections.abc import Iterable
from typing import BinaryIO

from confluent_kafka import KafkaException

from streams.errors import LabelloopError, NotNow
from streams.settings import Settings
from workers.child import LENGTH, NOT_NOW, Begun, Publish
from workers.stages import stages


def main() -> None:
    """Do one project's work for the parent on the other end of the pipes."""
    project, cause, memory_mb = sys.argv[1:]
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a trainer prints is no message
    os.nice(10)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory_mb) << 20, hard))
    acknowledged: queue.SimpleQueue[None] = queue.SimpleQueue()

    def listen() -> None:
        while os.read(sys.stdin.fileno(), 1):
            acknowledged.put(None)
        os._exit(0)  # the parent has ended

    threading.Thread(target=listen, daemon=True).start()
    try:
        _tell(out, acknowledged, stages(Settings.load(), project, cause))
    except (KafkaException, LabelloopError, NotNow) as error:
        print(f"{project}: {error}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(NOT_NOW)


def _tell(out: BinaryIO, acknowledged: "queue.SimpleQueue[None]", messages: Iterable[Begun | Publish]) -> None:
    for message in messages:
        body = pickle.dumps(message)
        out.write(LENGTH.pack(len(body)) + body)
        out.flush()
        if isinstance(message, Publish):
            acknowledged.get()


if __name__ == "__main__":
    main()
