"""Where the CPU time of a label goes in the items worker, without a broker.

Run as `python -m bench.fold`. A timer of the process's CPU time looks at the stack again and again; each look counts
for the innermost function of the list below. Fetching, producing and the broker are not in it.
"""

import argparse
import signal
import time
from collections import Counter
from types import FrameType

from rich.table import Table

from bench.generated import Shape, batches, fit
from bench.local import Local
from streams.terminal import Console

STAGES = {
    ("codec.py", "decode"): "decode the fact",
    ("events.py", "validate"): "check the fact",
    ("events.py", "digest"): "digest of the fact",
    ("item_state.py", "fold"): "fold it into the item",
    ("taking.py", "take"): "key, settings, rights",
    ("skill.py", "posterior"): "posterior by the fit",
    ("answer.py", "answer"): "answer: votes, agreement, entropy",
    ("task.py", "consensus"): "shown answer",
    ("task.py", "review_task"): "review task",
    ("snapshots.py", "resolved"): "resolved label",
    ("codec.py", "encode"): "encode what is said",
    ("snapshots.py", "snapshots"): "what changed",
    ("table.py", "encode_rows"): "encode the state row",
    ("items.py", "handle"): "batch: rows, records",
    ("runner.py", "_encode"): "sizes, dead letters",
    ("runner.py", "write"): "hand over to the producer",
}
"""File and function, and what they do, from the inside out."""

_EVERY_S = 0.001


def profile(shape: Shape) -> tuple[float, Counter[str]]:
    """Return the CPU time of a label in microseconds, and how often each stage was met."""
    work, worker, met = [*batches(shape)], Local(fit(shape)), Counter[str]()

    def look(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            stage = STAGES.get((frame.f_code.co_filename.rsplit("/", 1)[-1], frame.f_code.co_name))
            if stage is not None:
                met[stage] += 1
                return
            frame = frame.f_back
        met["the rest"] += 1

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S)
    began = time.process_time()
    for batch in work:
        worker.take(batch)
    took = time.process_time() - began
    signal.setitimer(signal.ITIMER_PROF, 0)
    return 1e6 * took / shape.events, met


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000, help="items, of three labels each")
    asked = parser.parse_args()
    took, met = profile(Shape(items=asked.items))
    table = Table("what", "share", "CPU µs a label")
    for stage, times in met.most_common():
        share = times / met.total()
        table.add_row(stage, f"{100 * share:.1f} %", f"{share * took:.1f}")
    console = Console()
    console.print(table)
    console.print(f"a label takes {took:.1f} µs of CPU; looked {met.total():,} times")


if __name__ == "__main__":
    main()
