"""Runs what needs the servers of a data directory and none of its workers."""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from streams.settings import Settings


def with_servers(home: Path, run: Callable[[Settings], None]) -> None:
    """Call `run` with the servers of a data directory, which run for that long and without workers.

    Raises:
        click.Abort: it was interrupted.
        LabelloopError: what `run` says, or a server does not start.
    """
    from streams.embedded import stack

    done: list[bool] = []

    def prepare(settings: Settings) -> None:
        run(settings)
        done.append(True)

    def ready(_: Mapping[str, str]) -> None:
        signal.raise_signal(signal.SIGTERM)  # `up` stops as it is always stopped

    stack.up(home, [], lambda line: click.echo(line, err=True), ready, prepare=prepare)
    if not done:  # Ctrl-C, which `up` takes for its end
        raise click.Abort
