"""How several commands tell and take times, and show how far long work is."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from rich.progress import Progress

from streams.query.log import Tell
from streams.terminal import Console


def told_time(ms: int) -> str:
    """Return a time in ms since 1970 UTC as people read it: UTC, to the second."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def read_time(text: str, option: str) -> int:
    """Return the time, ms since 1970 UTC, that an option gives in ISO 8601; UTC unless it says otherwise.

    Raises:
        click.BadParameter: it is no time.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: give a time such as 2026-11-01T12:00", param_hint=option) from error
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


@contextmanager
def bar(text: str) -> Iterator[Tell]:
    """Show on stderr, where it is a terminal, how much of how much is done."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(text)
        yield lambda passed, of: progress.update(task, completed=passed, total=of)
