"""`labelloop worker`: the long-running processes, one command each."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from streams.cli.options import data_option
from streams.errors import LabelloopError
from streams.settings import Settings


@click.group()
def worker() -> None:
    """Run a worker process until it is stopped; `labelloop up` runs them for you."""


@worker.command()
@click.option("--slot", type=click.IntRange(0), help="Place among the workers; default: the first free one here.")
@click.option(
    "--processes", type=click.IntRange(1), default=1, show_default=True, help="Processes that share the work."
)
@data_option
def items(slot: int | None, processes: int, data: Path | None) -> None:
    """Fold facts into review tasks, disagreement and judgements.

    As many processes as the topics have partitions can share the work. One that dies is started again.

    \b
    Examples:
      labelloop worker items --slot 1
      labelloop worker items --processes 4
    """
    settings = Settings.load(data)
    if processes == 1:
        from streams.processors.items_app import create
        from streams.transport.worker import run

        run(settings, "items", create, slot)
    if slot is not None:
        raise LabelloopError("--slot is for one process: leave it out, each of several takes a free one")
    if processes > settings.partitions:
        raise LabelloopError(
            f"{processes} processes cannot share {settings.partitions} partitions: ask for at most that many, or "
            "move the log to more of them: labelloop rebuild --partitions N"
        )
    sys.exit(_several(settings, (sys.executable, "-m", "streams.cli", "worker", "items"), processes))


def _several(settings: Settings, command: Sequence[str], count: int) -> int:
    from streams.embedded import several

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)  # what Ctrl-C is
    return several.run(settings, command, count, lambda line: click.echo(line, err=True))


@worker.command()
@click.option("--slot", type=click.IntRange(0), help="Place among the workers; default: the first free one here.")
@data_option
def quality(slot: int | None, data: Path | None) -> None:
    """Infer the truth behind the labels, and publish annotator skill and agreement.

    Example: labelloop worker quality --slot 1
    """
    from streams.processors.quality_app import create
    from streams.transport.worker import run

    run(Settings.load(data), "quality", create, slot)


@worker.command()
@click.option("--slot", type=click.IntRange(0), help="Place among the workers; default: the first free one here.")
@data_option
def retrain(slot: int | None, data: Path | None) -> None:
    """Train models on the corrected labels, and publish what the better ones predict.

    Example: labelloop worker retrain --slot 1
    """
    from workers.retrain import main

    main(Settings.load(data), slot)


@worker.command()
@data_option
def sink(data: Path | None) -> None:
    """Write every topic into ClickHouse.

    Example: labelloop worker sink
    """
    from streams.sinks.run import main

    main(Settings.load(data))
