"""Breaks a stack by a seed: `python -m tests.chaos --seed 1 --minutes 10`.

With `--kills 20` every process dies so often, and nothing else breaks, while 200,000 facts arrive besides the usual.
With `--mutant NAME` the product has a fault, and a rule that knows it must break.

Exit status 0: every rule holds, or the mutant was found; 1: a rule does not hold; 2: the run itself failed; 3: the
mutant was not found.
"""

import argparse
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.chaos.faults import MUTANTS, Mutant
from tests.chaos.kills import draw_kills, shortfalls
from tests.chaos.mutants import MUTATIONS, telling
from tests.chaos.plan import draw
from tests.chaos.run import Outcome, run
from tests.chaos.world import ROOT

_SHOWN = 40
_console = Console(highlight=False, soft_wrap=True)


def show(outcome: Outcome) -> None:
    """Print what a run has shown."""
    table = Table("figure", "value", show_header=False)
    table.add_row("faults injected", _counts(outcome.faults))
    table.add_row("faults without a target", _counts(outcome.missed))
    table.add_row("deaths", _counts(outcome.deaths))
    table.add_row("records in the log", ", ".join(f"{kind} {n:,}" for kind, n in sorted(outcome.events.items())))
    table.add_row("facts acknowledged", f"{outcome.acknowledged:,}")
    ends = (f"{name} " + " ".join(f"{n}x{status}" for status, n in of.items()) for name, of in outcome.ends.items())
    table.add_row("ended by themselves", ", ".join(ends) or "none")
    table.add_row("longest standstill", ", ".join(f"{name} {seconds} s" for name, seconds in outcome.outages.items()))
    table.add_row("items held by reviewers", f"{outcome.held:,}")
    table.add_row("models trained", str(outcome.models))
    table.add_row("stages", ", ".join(f"{name} {seconds} s" for name, seconds in outcome.seconds.items()))
    table.add_row("violations", str(len(outcome.violations)))
    _console.print(table)
    for violation in outcome.violations[:_SHOWN]:
        _console.print(f"[red]{violation.rule}[/]: {escape(violation.text)}")
    if len(outcome.violations) > _SHOWN:
        _console.print(f"and {len(outcome.violations) - _SHOWN} more")


def _counts(of: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(of.items())) or "none"


def find(mutant: Mutant, outcome: Outcome) -> int:
    """Print whether the checker has found a mutant, and return the exit status."""
    told = telling(mutant, (violation.rule for violation in outcome.violations))
    if told:
        _console.print(f"[green]found[/]: the mutant {mutant} breaks {_counts(told)}")
        return 0
    rules = ", ".join(sorted(MUTATIONS[mutant].rules))
    _console.print(f"[red]not found[/]: the mutant {mutant} breaks none of {rules} in a way that tells of it")
    return 3


def main() -> int:
    """Run, report, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the nemesis works")
    parser.add_argument("--kills", type=int, help="deaths of each process, instead of all kinds of faults")
    parser.add_argument("--facts", type=int, default=200_000, help="facts that arrive during the kills")
    parser.add_argument("--mutant", choices=MUTANTS, help="put a deliberate fault into the product")
    parser.add_argument("--home", type=Path, help="data directory; default: one that is removed after a clean run")
    arguments = parser.parse_args()
    logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)  # a server that is frozen is asked all the same
    if arguments.kills:
        schedule = draw_kills(arguments.seed, arguments.kills, arguments.facts)
    else:
        schedule = draw(arguments.seed, 60 * arguments.minutes, arguments.mutant)
    home = arguments.home or Path(tempfile.mkdtemp(prefix="labelloop-chaos-"))
    try:
        outcome = run(schedule, home, _console.print)
    except Exception:
        _console.print_exception()
        _console.print(f"the run itself failed; logs, plan and journal are in {home}")
        return 2
    if arguments.kills:
        short = shortfalls(schedule, outcome.deaths, outcome.acknowledged)
        outcome = replace(outcome, violations=[*short, *outcome.violations])
    show(outcome)
    results = ROOT / "bench" / "results"
    results.mkdir(parents=True, exist_ok=True)
    kind = arguments.mutant or (f"kills-{arguments.kills}" if arguments.kills else "")
    name = f"chaos-{arguments.seed}{f'-{kind}' if kind else ''}.json"
    content = {"seed": arguments.seed, "minutes": round(schedule.seconds / 60, 2), "kind": kind, **asdict(outcome)}
    (results / name).write_text(json.dumps(content, indent=1))
    status = find(arguments.mutant, outcome) if arguments.mutant else int(bool(outcome.violations))
    if status:
        kills = f"--kills {arguments.kills} --facts {arguments.facts}"
        length = kills if arguments.kills else f"--minutes {arguments.minutes:g}"
        mutant = f" --mutant {arguments.mutant}" if arguments.mutant else ""
        again = f"python -m tests.chaos --seed {arguments.seed} {length}{mutant}"
        _console.print(f"seed {arguments.seed} fails; the same again: {again}\nlogs, plan and journal are in {home}")
    elif arguments.home is None:
        shutil.rmtree(home)
    return status


if __name__ == "__main__":
    sys.exit(main())
