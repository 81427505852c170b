"""The analysts' views over ten million labels: how fast each answers, cold and warm, and by what plan.

Run as `make bench-views`; prints a table and the plans, and writes `bench/results/views.json`. Cold: the first time,
with ClickHouse's caches dropped and the files read past the system's. Warm: the median of five more.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from clickhouse_driver import Client
from rich.table import Column, Table

from bench.items import servers
from bench.views.data import fill, refresh
from bench.views.questions import QUESTIONS, statement
from bench.written import tell, write
from streams.clickhouse import connect
from streams.errors import LabelloopError
from streams.sinks.migrate import migrate, refreshed, views
from streams.sinks.writer import Writer
from streams.terminal import Console

RESULT = Path(__file__).parent.parent / "results" / "views.json"
COLD_S, WARM_S = 1.0, 0.2
"""What an answer may take."""
_WARM = 5
_CACHES = ("MARK", "UNCOMPRESSED", "INDEX MARK", "QUERY CONDITION")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a view's answer took.

    Args:
        view: The view.
        asked: The query.
        rows: Rows of the answer.
        read: Rows that ClickHouse read for it.
        cold_s: The first time, seconds.
        warm_s: After that: median, seconds.
        lowest_s: The fastest of those.
        highest_s: The slowest of those.
        plan: EXPLAIN with the indexes used.
    """

    view: str
    asked: str
    rows: int
    read: int
    cold_s: float
    warm_s: float
    lowest_s: float
    highest_s: float
    plan: list[str]

    @property
    def in_time(self) -> bool:
        """Whether it keeps both bounds."""
        return self.cold_s <= COLD_S and self.warm_s <= WARM_S


def answer(client: Client, view: str) -> Answer:
    """Ask a view, cold and then warm."""
    asked = statement(view)
    for cache in _CACHES:
        client.execute(f"SYSTEM DROP {cache} CACHE")
    cold, rows, read = _ask(client, asked, min_bytes_to_use_direct_io=1)
    warm = sorted(_ask(client, asked)[0] for _ in range(_WARM))
    plan = [line for (line,) in client.execute(f"EXPLAIN indexes = 1 {asked}")]
    return Answer(view, asked, rows, read, cold, median(warm), warm[0], warm[-1], plan)


def _ask(client: Client, asked: str, **settings: int) -> tuple[float, int, int]:
    """Return the seconds, the rows of the answer, and the rows read."""
    started = time.perf_counter()
    rows = len(client.execute(asked, settings=settings))
    took = time.perf_counter() - started
    progress = client.last_query.progress
    return took, rows, int(progress.rows) if progress else 0


def main() -> None:
    """Run the benchmark.

    Raises:
        LabelloopError: a view has no question here.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=10_000_000, help="labels in the tables")
    parser.add_argument("--plans", action="store_true", help="print the plans, too")
    parser.add_argument("views", nargs="*", help="these alone")
    asked = parser.parse_args()
    computed = {f"{table}_now" for table in refreshed()}  # not for every glance
    if missing := ({*views(), *refreshed()} - computed) - QUESTIONS.keys():
        raise LabelloopError(f"bench/views/questions.py has no question for {', '.join(sorted(missing))}")
    console = Console()
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        database = replace(settings.clickhouse, database="views")
        migrate(replace(settings, clickhouse=database, analyst=database))
        writer, started = Writer(database), time.perf_counter()
        fill(writer, asked.labels)
        filled = time.perf_counter()
        refresh(writer)
        writer.close()
        console.print(
            f"{asked.labels:,} labels and what belongs to them: filled in {filled - started:.0f} s, "
            f"{', '.join(refreshed())} computed in {time.perf_counter() - filled:.0f} s"
        )
        with connect(database) as client:
            found = [answer(client, view) for view in asked.views or QUESTIONS]
    table = Table(Column("view", no_wrap=True), "rows", "rows read", "cold ms", "warm ms", "in time")
    for one in found:
        table.add_row(
            one.view,
            f"{one.rows:,}",
            f"{one.read:,}",
            f"{1000 * one.cold_s:,.0f}",
            f"{1000 * one.warm_s:,.0f} ({1000 * one.lowest_s:,.0f} to {1000 * one.highest_s:,.0f})",
            "yes" if one.in_time else "no",
        )
    console.print(table)
    if asked.plans:
        for one in found:
            console.print(f"\n{one.asked}", *one.plan, sep="\n", markup=False)
    late = [one.view for one in found if not one.in_time]
    console.print(
        f"{len(found) - len(late)} of {len(found)} answer in {COLD_S:g} s cold and {1000 * WARM_S:.0f} ms warm"
    )
    told = {"labels": asked.labels, "cold_s": COLD_S, "warm_s": WARM_S, "views": [asdict(one) for one in found]}
    write(RESULT, told)
    tell(console, RESULT)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
