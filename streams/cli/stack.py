"""`labelloop up`, `down` and `status`: the local stack."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from streams.cli.options import data_option
from streams.clock import SystemClock
from streams.embedded import child, launch, state
from streams.errors import LabelloopError
from streams.query.dlq import read_letters
from streams.query.lag import Lag, lag
from streams.settings import ClickHouseAddress, Settings, data_directory, read_stack


@click.command()
@data_option
@click.option("--detach", "-d", is_flag=True, help="Return when everything runs; `labelloop down` stops it.")
@click.option("--items-workers", type=click.IntRange(1), default=1, show_default=True, help="Workers that fold facts.")
@click.option("--detached", is_flag=True, hidden=True, help="This is the other side of --detach.")
def up(data: Path | None, detach: bool, items_workers: int, detached: bool) -> None:
    """Start Kafka, ClickHouse and the workers, and keep them running.

    LABELLOOP_KAFKA and LABELLOOP_CLICKHOUSE name servers to use instead of starting them here.

    Example: labelloop up --detach
    """
    home = data_directory(data)
    if detach:
        pid = state.holder(home)
        if pid is not None:
            raise state.already_runs(home, pid)
        _up_detached(home, items_workers)
        return
    from streams.embedded import stack

    def ready(addresses: Mapping[str, str]) -> None:
        if detached:  # this console is a log file: no password goes there
            click.echo("ready")
            return
        _show_connections(addresses)
        click.echo("Ctrl-C stops everything.")

    stack.up(home, stack.worker_processes(items_workers), click.echo, ready)


@click.command()
@data_option
def down(data: Path | None) -> None:
    """Stop the workers, then the servers; the data stays.

    Example: labelloop down
    """
    from streams.embedded import stack

    home = data_directory(data)
    stack.down(home)
    click.echo(f"stopped; the data stays in {home}")


@click.command()
@data_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def status(data: Path | None, as_json: bool) -> None:
    """Show the processes, how far the consumers are behind, and how to connect.

    Example: labelloop status
    """
    home = data_directory(data)
    pid = state.holder(home)
    if pid is None:
        raise LabelloopError(f"no stack runs in {home}: start one with `labelloop up --detach`")
    processes, addresses = state.read_statuses(home), read_stack(home)
    lags, letters, problem = _progress(home) if addresses else ([], Counter[str](), "the stack is starting")
    if as_json:
        report = {
            "home": str(home),
            "pid": pid,
            "processes": [asdict(process) for process in processes],
            "lag": [asdict(entry) for entry in lags],
            "dead_letters": None if problem else letters.total(),
            "open_letters": dict(letters),
            "problem": problem,
            "connections": {key: value for key, value in (addresses or {}).items() if key != "clickhouse"},
        }
        click.echo(json.dumps(report, indent=2))
        return
    _show_processes(processes)
    if problem:
        click.echo(f"\n{problem}")
    else:
        _show_lag(lags)
        told = ", ".join(f"{consumer} {count:,}" for consumer, count in letters.items())
        click.echo(
            f"\nopen dead letters: {letters.total():,}" + (f" ({told}): see `labelloop dlq list`" if told else "")
        )
    if addresses:
        _show_connections(addresses)


def _up_detached(home: Path, items_workers: int) -> None:
    """Start `up` as a process of its own and pass on what it says until everything runs.

    Raises:
        LabelloopError: it ended before that.
    """
    log = launch.log_file(home, "up")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    log.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "streams.cli", "up", "--detached", "--data", str(home)]
    with log.open("wb") as out, log.open() as said:
        supervisor = subprocess.Popen(
            [*command, "--items-workers", str(items_workers)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        while True:
            ended = supervisor.poll() is not None
            lines = said.read()
            if ended:
                raise LabelloopError(f"the stack did not start\n{lines.strip() or child.last_lines(log)}")
            addresses = read_stack(home)
            click.echo(lines, nl=False)
            if addresses and addresses["pid"] == str(supervisor.pid):
                break
            time.sleep(0.05)
    _show_connections(addresses)
    click.echo(f"Stop with: labelloop down --data {home}")


def _progress(home: Path) -> tuple[list[Lag], Counter[str], str | None]:
    """Return lag, open dead letters by consumer, and why there are none."""
    try:
        settings = Settings.load(home)
        letters = Counter[str]()
        for (consumer, _), count in read_letters(settings).open_by().items():
            letters[consumer] += count
        return lag(settings), letters, None
    except LabelloopError as error:
        return [], Counter(), str(error)


def _show_processes(processes: list[state.Status]) -> None:
    now = SystemClock().now_ms()
    click.echo(f"{'process':<14}{'state':<10}{'for':>8}{'pid':>9}{'restarts':>10}  last error")
    for process in processes:
        since = _duration((now - process.since_ms) // 1000)
        pid = process.pid or "-"
        click.echo(
            f"{process.name:<14}{process.state:<10}{since:>8}{pid:>9}{process.restarts:>10}  {process.last_error[:100]}"
        )
    for process in processes:
        if process.state == "stopped":  # it waits for a person: the whole of its last words
            click.echo(f"\n{process.name} has stopped for good: {process.last_error}")


def _show_lag(lags: list[Lag]) -> None:
    for group in dict.fromkeys(entry.group for entry in lags):
        behind = {entry.topic: entry.records for entry in lags if entry.group == group and entry.records}
        topics = ", ".join(f"{topic} {records:,}" for topic, records in behind.items())
        click.echo(f"\n{group} is {sum(behind.values()):,} records behind{f': {topics}' if behind else ''}", nl=False)
    click.echo()


def _show_connections(addresses: Mapping[str, str]) -> None:
    file = addresses.get("LABELLOOP_CLICKHOUSE_ANALYST_PASSWORD_FILE")
    analyst = ClickHouseAddress.parse(addresses["analyst"], None, Path(file) if file else None)
    rows = {
        "Kafka": addresses["kafka"],
        "ClickHouse": f"{analyst.host}:{analyst.port}, database {analyst.database}",
        "  over HTTP": addresses.get("http", ""),
        "  user": analyst.user,
        "  password": f"in {analyst.password_file}" if analyst.password_file else analyst.password,
        "Metrics": addresses["metrics"],
    }
    click.echo()
    for name, value in rows.items():
        if value:
            click.echo(f"{name:<14}{value}")
    click.echo('\nNext: labelloop import labels labels.jsonl --project P, or labelloop sql "SHOW TABLES"')


def _duration(seconds: int) -> str:
    """Return seconds as people say them, in two units at most."""
    minutes, s = divmod(seconds, 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}d {h}h"
    if hours:
        return f"{hours}h {m}m"
    return f"{m}m {s}s" if minutes else f"{s}s"
