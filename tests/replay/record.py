"""`python -m tests.replay.record NAME`: records a new history under `tests/replay/histories/NAME`.

The log is synthetic, drawn by a seed, and written as the contract is now; with `--grown` as it grew: every version of
every schema in turn. Run it after `labelloop schemas lock` has given a new id. A history that is there is never
recorded again: it is what must not change.
"""

import sys

import click

from streams import contract
from tests.replay import history, scenario
from tests.replay.outcome import outcome


@click.command(help=__doc__)
@click.argument("name")
@click.option("--seed", default=1, show_default=True, help="Seed of all that is drawn.")
@click.option("--grown", is_flag=True, help="Let the contract grow while the log does.")
def main(name: str, seed: int, grown: bool) -> None:
    """Record a history."""
    if name in history.names():
        sys.exit(
            f"{history.HISTORIES / name} exists, and must give the same state for ever: choose another name "
            "(one that was never committed may be removed by hand)"
        )
    times = scenario.generations(contract.read_lock())
    records = scenario.record(seed, times if grown else times[-1:])
    state = outcome(records)
    folder = history.write(name, records, state)
    kib = sum(path.stat().st_size for path in folder.iterdir()) // 1024
    click.echo(f"{len(records)} records, {len(state)} statements, {kib} KiB in {folder}: look them through and commit")


if __name__ == "__main__":
    main()
