"""`labelloop demo`: the whole loop in one command."""

import shutil
from pathlib import Path

import click

from streams.cli.options import data_option
from streams.clock import SystemClock
from streams.settings import data_directory
from streams.terminal import Console


@click.command()
@click.option(
    "--data-set",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with labels.jsonl and, if it has them, items.jsonl and gold.jsonl; default: handwritten digits.",
)
@click.option("--project", help="Project to use; default: digits, or the folder's name.")
@data_option
def demo(data_set: Path | None, project: str | None, data: Path | None) -> None:
    """Run the whole loop on real data, in a stack of its own that is stopped at the end.

    Publishes labels, shows the review queue, lets a simulated reviewer work through it, and asks ClickHouse how good
    the annotators are. Everything lies in `demo` below the data directory and is made anew by each run.

    Example: labelloop demo --data-set ../data/bluebird
    """
    from streams.demo.data import digits, directory
    from streams.demo.story import Story, running_stack

    console, clock = Console(), SystemClock()
    home = data_directory(data) / "demo"
    name = project or (data_set.resolve().name if data_set else "digits")
    facts = directory(data_set, name) if data_set else digits(name, clock)
    shutil.rmtree(home, ignore_errors=True)
    with running_stack(home, console) as settings:
        Story(settings, name, facts, clock, console).tell()
