"""Worker processes of a benchmark, from their start to their membership of the group and to their end."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from bench.usage import Usage, usage
from streams.embedded import child, launch
from streams.embedded.launch import Process
from streams.errors import LabelloopError
from streams.settings import Settings

_JOIN_LIMIT_S = 90.0
_STOP_S = 20.0
_PAUSE_S = 0.05


class Workers:
    """Processes that run.

    Args:
        settings: Where the servers are.
        processes: What to run, each with its name.
    """

    def __init__(self, settings: Settings, processes: Sequence[Process]) -> None:
        self._settings = settings
        self._names = [process.name for process in processes]
        self._running = [
            launch.start(Process(p.name, p.argv, {**settings.environment(), **p.env}), settings.home) for p in processes
        ]

    def usage(self) -> dict[str, Usage]:
        """Return what each process has used by now, by its name."""
        return {name: usage(process.pid) for name, process in zip(self._names, self._running, strict=True)}

    def check(self) -> None:
        """Do nothing while all of them run.

        Raises:
            LabelloopError: one has ended; with the last lines of its log.
        """
        for name, process in zip(self._names, self._running, strict=True):
            if process.poll() is not None:
                log = launch.log_file(self._settings.home, name)
                raise LabelloopError(f"{name} ended with {process.returncode}; {log} ends:\n{child.last_lines(log)}")

    def wait_joined(self, members: Mapping[str, int]) -> None:
        """Wait until each consumer group has divided its partitions among so many members.

        Raises:
            LabelloopError: it takes too long, or a process ends.
        """
        admin = AdminClient({"bootstrap.servers": self._settings.kafka, "log_level": 0})
        groups = {self._settings.topic(name): count for name, count in members.items()}
        limit = time.monotonic() + _JOIN_LIMIT_S
        while not all(_is_whole(admin, group, count) for group, count in groups.items()):
            self.check()
            if time.monotonic() > limit:
                raise LabelloopError(f"not all of {', '.join(groups)} have come together in {_JOIN_LIMIT_S:.0f} s")
            time.sleep(_PAUSE_S)

    def stop(self) -> None:
        """End them; return when they are gone."""
        child.stop_all(self._running, _STOP_S)


@contextmanager
def workers(settings: Settings, processes: Sequence[Process], source: Path | None = None) -> Iterator[Workers]:
    """Run processes while the block runs.

    Args:
        settings: Where the servers are.
        processes: What to run.
        source: Folder of another checkout whose code they run; None: this one's.
    """
    env = {} if source is None else {"PYTHONPATH": str(source.absolute())}
    started = Workers(settings, [Process(p.name, p.argv, {**p.env, **env}) for p in processes])
    try:
        yield started
    finally:
        started.stop()


def _is_whole(admin: AdminClient, group: str, members: int) -> bool:
    try:
        found = admin.describe_consumer_groups([group])[group].result(5)
    except (KafkaException, TimeoutError):
        return False  # not even asked for yet
    return found.state == ConsumerGroupState.STABLE and len(found.members) == members
