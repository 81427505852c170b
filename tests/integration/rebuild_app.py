"""A rebuild that kills itself before it swaps: `python -m tests.integration.rebuild_app STEP TARGET...`."""

import os
import signal
import sys
from typing import NoReturn

from streams.cli import main
from streams.rebuild import tables, topics

STEPS = {"commit": (topics, "_commit"), "exchange": (tables, "_exchange")}


def die(*_: object) -> NoReturn:
    """Die as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


if __name__ == "__main__":
    module, step = STEPS[sys.argv[1]]
    setattr(module, step, die)
    sys.argv[1:] = ["rebuild", *sys.argv[2:]]
    main()
