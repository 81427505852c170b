"""Publishes labels through the SDK at a steady rate, whatever becomes of those before.

Run as `python -m bench.latency.publisher PROJECT RATE COUNT START`: event n is due `n / RATE` seconds after START, by
the machine's monotonic clock. Prints how late the calls were, 99th percentile in ms.
"""

import sys
import time

from bench.latency.events import label, place
from bench.latency.figures import percentile
from streams.producers.producer import Producer


def main(project: str, rate: float, count: int, start: float) -> None:
    late = []
    with Producer(source="bench") as producer:
        for number in range(count):
            due = start + number / rate
            while (left := due - time.monotonic()) > 0:
                time.sleep(left)
            producer.label(project, *label(place(number)), source_seq=number)
            late.append(time.monotonic() - due)
    print(f"late_ms {1e3 * percentile(sorted(late[len(late) // 4 :]), 0.99):.2f}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
