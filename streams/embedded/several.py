"""Several processes of one worker, kept running in the foreground: one command for a machine of several cores."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streams.embedded import child
from streams.embedded.backoff import STOP_FOR_GOOD, History
from streams.settings import Settings

_PAUSE_S = 0.1
_STOP_S = 20.0


@dataclass(slots=True)
class _One:
    popen: "subprocess.Popen[bytes] | None" = None
    since: float = 0.0
    history: History = field(default_factory=History)
    next_start: float = 0.0


def run(settings: Settings, command: Sequence[str], count: int, say: Callable[[str], None]) -> int:
    """Keep `count` processes of a command running until KeyboardInterrupt or until one is given up; end all then.

    One that dies is started again, later each time; its neighbours go on and take its partitions meanwhile. What they
    print goes where this process prints.

    Args:
        settings: What they are to find the servers by.
        command: The command.
        count: How many.
        say: Shows a line.

    Returns:
        0 after an interrupt, else the status of the process that was given up.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    env, ones = os.environ | settings.environment(), [_One() for _ in range(count)]
    try:
        while True:
            for number, one in enumerate(ones):
                now = time.monotonic()
                if one.popen is None and now >= one.next_start:
                    one.popen, one.since = child.spawn(command, None, env, settings.home), now
                elif one.popen is not None and (status := one.popen.poll()) is not None:
                    child.kill(one.popen)  # what it may have started itself
                    one.popen, one.history = None, one.history.after_failure(now, now - one.since)
                    delay = one.history.delay(status)
                    if delay is None:
                        say(f"process {number + 1} of {count} ended with status {status} and is given up: all stop")
                        return status if status > 0 else STOP_FOR_GOOD
                    say(f"process {number + 1} of {count} ended with status {status}, next start in {delay:g} s")
                    one.next_start = now + delay
            time.sleep(_PAUSE_S)
    except KeyboardInterrupt:
        return 0
    finally:
        child.stop_all([one.popen for one in ones if one.popen is not None], _STOP_S)
