"""What a runtime is asked to do, and how it tells what that took."""

import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Task:
    """One run.

    Args:
        kafka: Bootstrap servers.
        source: Topic that is read.
        out: Topic that is written.
        group: Consumer group, and what else needs a name of its own.
        count: Number of events.
        partitions: Partitions of each topic.
        home: Folder for whatever is kept.
        store: `memory`, `rocksdb`, or as the runtime calls it.
    """

    kafka: str
    source: str
    out: str
    group: str
    count: int
    partitions: int
    home: str
    store: str

    def words(self) -> str:
        """Return it as one word of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def given(cls) -> "Task":
        """Return what this process was asked."""
        return cls(**json.loads(sys.argv[1]))


@dataclass(slots=True)
class Stopwatch:
    """Measures from the first event until everything is delivered and committed.

    Args:
        count: Events after which the work is done.
    """

    count: int
    seen: int = 0
    _began: float = 0.0
    _cpu: float = field(default=0.0)

    def saw(self, events: int) -> bool:
        """Note that events have come, before they are worked on; return whether they are the last."""
        if not self.seen:
            self._began, self._cpu = time.perf_counter(), time.process_time()
        self.seen += events
        return self.seen >= self.count

    def end(self) -> None:
        """Tell what it took, and end the process."""
        took = {
            "seconds": time.perf_counter() - self._began,
            "cpu_seconds": time.process_time() - self._cpu,
            "peak_mb": peak_mb(),
        }
        print("took", json.dumps(took), flush=True)
        os._exit(0)


def peak_mb(pid: int | None = None) -> float:
    """Return the largest resident memory of a process, this one by default.

    Without /proc it is this process alone that can be told of, and that of the one it came from may be in it.
    """
    status = Path(f"/proc/{pid or 'self'}/status")
    if status.is_file():
        words = status.read_text().split()
        return int(words[words.index("VmHWM:") + 1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
