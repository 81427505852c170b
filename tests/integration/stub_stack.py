"""A stack with other workers: `python -m tests.integration.stub_stack DIR '{"name": "python code", ...}'`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from streams.embedded import stack
from streams.embedded.launch import Process
from streams.settings import Settings


def say(line: str) -> None:
    print(line, flush=True)


def ready(_: Mapping[str, str]) -> None:
    say("ready")


def prepare(_: Settings) -> None:
    say("prepared")


if __name__ == "__main__":
    codes: dict[str, str] = json.loads(sys.argv[2])
    workers = [Process(name, (sys.executable, "-c", code)) for name, code in codes.items()]
    stack.up(Path(sys.argv[1]), workers, say, ready, prepare=prepare)
