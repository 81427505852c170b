"""`labelloop plan`: how much of everything so many labels need."""

import json
import re
from dataclasses import asdict

import click

from streams.capacity.measured import LINES, SINGLES, Measured
from streams.capacity.model import Need, Plan
from streams.capacity.model import plan as calculate

_DAYS = {"d": 1.0, "w": 7.0, "m": 30.4375, "y": 365.25}
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


class _Days(click.ParamType):
    name = "days"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return days of a number with the unit d, w, m or y; without one: days."""
        if isinstance(value, float):
            return value
        told = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([dwmy]?)", str(value))
        if told is None or float(told[1]) <= 0:
            self.fail(f"{value!r} is no time: write 90d, 26w, 18m or 2y", param, ctx)
        return float(told[1]) * _DAYS[told[2] or "d"]


@click.command()
@click.option("--labels-per-day", type=click.FloatRange(0, min_open=True), required=True, help="Labels a day.")
@click.option(
    "--overlap", type=click.FloatRange(0, min_open=True), default=3.0, show_default=True, help="Labels an item gets."
)
@click.option("--retention", type=_Days(), required=True, help="How long labels are kept: 90d, 26w, 18m, 2y.")
@click.option(
    "--peak",
    type=click.FloatRange(1),
    default=5.0,
    show_default=True,
    help="Labels a second in the busiest hours, as a multiple of the day's mean.",
)
@click.option(
    "--replication", type=click.IntRange(1), default=1, show_default=True, help="Copies of a record in Kafka."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs; the constants included.")
def plan(labels_per_day: float, overlap: float, retention: float, peak: float, replication: int, as_json: bool) -> None:
    """Say how many partitions and processes, how much memory and disk so many labels need.

    The constants were measured by the commands that are named below the plan; each assumption is named too. No server
    is asked.

    \b
    Examples:
      labelloop plan --labels-per-day 100000 --overlap 3 --retention 1y
      labelloop plan --labels-per-day 1400000 --retention 2y --peak 8 --replication 3 --json
    """
    measured = Measured.load()
    found = calculate(Need(labels_per_day, overlap, retention, peak, replication), measured)
    if as_json:
        click.echo(json.dumps({"plan": asdict(found), "constants": asdict(measured)}, indent=2))
    else:
        _show(found, measured)


def _show(found: Plan, measured: Measured) -> None:
    count, memory = found.processes, found.memory_mb
    click.echo(
        f"{found.labels:,.0f} labels of {found.items:,.0f} items in the end, {found.peak_per_second:,.1f} labels a "
        "second in the busiest hours"
    )
    click.echo(f"partitions    {found.partitions} (LABELLOOP_PARTITIONS)")
    for name in count:
        click.echo(
            f"{name:<13} {count[name]} {'process' if count[name] == 1 else 'processes'}, {found.cores[name]:.2f} "
            f"cores, {_size(memory[name] * 2**20)} of memory in all"
        )
    state = f", {_size(found.state_disk_bytes)} of state on their disks" if found.state_disk_bytes else ""
    click.echo(f"items' store  {found.store}{state}; read back in {found.recovery_seconds:,.0f} s by each process")
    parts = ", ".join(f"{name} {_size(size)}" for name, size in found.kafka_bytes.items())
    click.echo(
        f"Kafka         {_size(sum(found.kafka_bytes.values()))} of disk ({parts}), {found.cores['kafka']:.2f} cores"
    )
    click.echo(
        f"ClickHouse    {found.clickhouse_rows:,.0f} rows, {_size(found.clickhouse_bytes)} of disk, "
        f"{found.cores['clickhouse']:.2f} cores"
    )
    click.echo("\nassumed:")
    for assumption in found.assumptions:
        click.echo(f"  {assumption}")
    click.echo(f"\nmeasured on {measured.machine}:")
    for name, line in measured.lines.items():
        grows = f"{line.per_label:,.1f} a label, {line.per_item:,.1f} an item"
        click.echo(f"  {name} {grows}: {LINES[name]} [{measured.commands[name]}]")
    for name, value in measured.singles.items():
        click.echo(f"  {name} {value:,.2f}: {SINGLES[name]} [{measured.commands[name]}]")


def _size(size: float) -> str:
    """Return a number of bytes in the unit that keeps it short."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:,.0f} {_UNITS[unit]}" if size >= 100 or not unit else f"{size:.1f} {_UNITS[unit]}"
