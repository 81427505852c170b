"""`labelloop worker`: the long-running processes, one command each."""

from pathlib import Path

import click

from streams.cli.options import data_option
from streams.settings import Settings


@click.group()
def worker() -> None:
    """Run a worker process until it is stopped; `labelloop up` runs them for you."""


@worker.command()
@click.option("--slot", type=click.IntRange(0), help="Place among the workers; default: the first free one here.")
@data_option
def items(slot: int | None, data: Path | None) -> None:
    """Fold facts into review tasks, disagreement and judgements.

    Example: labelloop worker items --slot 1
    """
    from streams.processors.items_app import create
    from streams.transport.worker import run

    run(Settings.load(data), "items", create, slot)


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
