"""`labelloop simulate-review`: what the queue's order is worth, on a project whose answers are known."""

from pathlib import Path

import click
from rich.table import Table

from streams.cli.options import data_option, project_option
from streams.query import simulate
from streams.settings import Settings
from streams.terminal import Console


@click.command("simulate-review")
@project_option
@click.option(
    "--gold", type=click.Path(path_type=Path, dir_okay=False), required=True, help="JSON lines: item_id, label."
)
@click.option("--budget", type=click.FloatRange(0, 1, min_open=True), default=0.1, help="Share of items. Default: 0.1.")
@click.option("--step", type=click.FloatRange(0, 1, min_open=True), default=0.02, help="Share a step. Default: 0.02.")
@click.option("--policy", type=click.Choice(["queue", "random", "entropy"]), default="queue", help="Default: queue.")
@click.option("--timeout", type=click.FloatRange(0), default=120.0, help="Seconds to settle each step; default: 120.")
@data_option
def simulate_review(
    project: str, gold: Path, budget: float, step: float, policy: simulate.Policy, timeout: float, data: Path | None
) -> None:
    """Review an imported project against known answers and print the errors found.

    The verdicts are published, so the project is reviewed afterwards: import it under a name of its own for each try.
    After each step the project is refitted and the queue read anew.

    Example: labelloop simulate-review --project try1 --gold gold.jsonl --budget 0.1 --step 0.02
    """
    settings, known = Settings.load(data), simulate.read_gold(gold)
    table = Table("reviews", "share of items", "errors found", "share of errors", "expected at random")
    for column in table.columns:
        column.justify = "right"
    console = Console(stderr=True)
    with console.status("settling", spinner="dots") if console.is_terminal else console:
        for made in simulate.simulate(settings, project, known, budget, step, policy, timeout):
            share = made.reviews / made.items
            table.add_row(
                f"{made.reviews:,}",
                f"{share:.1%}",
                f"{made.found:,} of {made.errors:,}",
                f"{made.found / made.errors:.1%}" if made.errors else "-",
                f"{share * made.errors:.1f}",
            )
    Console().print(table)
