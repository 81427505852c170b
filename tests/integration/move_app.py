"""A move that kills itself at a step: `python -m tests.integration.move_app STEP N`."""

import sys
from collections.abc import Callable
from typing import Any

from streams.backup.writer import Writer
from streams.cli import main
from streams.rebuild import move
from streams.rebuild.move import Copy
from streams.transport import topics
from tests.integration.rebuild_app import die


def after(owner: Any, name: str, is_there: Callable[..., bool] = lambda *_: True) -> None:
    """Die when a function has returned that was called with what `is_there` takes."""
    function = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        return die() if is_there(*args) else found

    setattr(owner, name, call)


STEPS: dict[str, Callable[[], None]] = {
    "noted": lambda: after(topics, "note"),
    "frozen": lambda: after(topics, "configure"),
    "sealed": lambda: after(Copy, "seal"),
    "gone": lambda: after(topics, "remove"),
    "writing": lambda: after(Writer, "finish", lambda _, part: (part.topic, part.partition) == ("corrections", 1)),
    "forgotten": lambda: after(move, "forget_positions"),
    "emptied": lambda: after(move, "empty_tables"),
    "whole": lambda: after(topics, "note", lambda _, numbers: min(numbers.values()) > 0),
}

if __name__ == "__main__":
    STEPS[sys.argv[1]]()
    sys.argv[1:] = ["rebuild", "--partitions", sys.argv[2]]
    main()
