"""Stacks of a test's own: `python -m tests.crash.stack DIR PART`, where PART is `servers` or `workers`.

Servers and workers are supervised by two processes, so that several sets of workers, each with topics and tables of
its own, share the servers of one test module.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from streams.embedded import stack
from streams.settings import Settings


def _say(line: str) -> None:
    print(line, flush=True)


def _ready(_: Mapping[str, str]) -> None:
    _say("ready")


def _nothing(_: Settings) -> None:
    """Prepare neither topics nor tables."""


if __name__ == "__main__":
    home = Path(sys.argv[1])
    match sys.argv[2]:
        case "servers":
            stack.up(home, [], _say, _ready, prepare=_nothing)
        case "workers":  # the environment names the servers
            stack.up(home, stack.worker_processes(1), _say, _ready)
