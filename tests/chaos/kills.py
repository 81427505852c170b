"""The plan of the kills: every process dies again and again while facts arrive fast; and whether it was so. Pure."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.chaos.evidence import Violation
from tests.chaos.faults import SERVERS, WORKERS, Fault
from tests.chaos.plan import CLASSES, CROWD, Call, Operation, Plan, draw

EVERY_S = 2.5
"""A process dies so often."""

_FIRST_S = 4.0
_ITEMS = range(1_000, 11_000)
"""Items of the fast publishers: about twenty labels each."""
_ANNOTATORS = 200
_PUBLISHERS = 4
_MOST_AWAY_S = 2.0
"""A process is started again after so long at most."""


def draw_kills(seed: int, kills: int, facts: int) -> Plan:
    """Return a plan in which each process dies so often, and at least so many facts are published meanwhile.

    Args:
        seed: Any number.
        kills: Deaths of each process.
        facts: Facts of the fast publishers; the actors of `draw` do their work besides.
    """
    rng = random.Random(f"labelloop kills {seed}")
    faults = [*_deaths(rng, kills)]
    seconds = faults[-1].at + EVERY_S
    usual = draw(seed, seconds)
    operations = sorted((*usual.operations, *_publish(rng, seconds, facts)), key=lambda one: one.at)
    return replace(usual, operations=tuple(operations), faults=tuple(faults))


def shortfalls(schedule: Plan, deaths: Mapping[str, int], acknowledged: int) -> Iterator[Violation]:
    """Yield processes that died less often than planned; and facts that did not arrive.

    Args:
        schedule: The plan.
        deaths: How often each process was killed while it ran.
        acknowledged: Facts that the broker acknowledged.
    """
    for name, times in Counter(fault.target for fault in schedule.faults if fault.kind == "kill").items():
        if deaths.get(name, 0) < times:
            yield Violation("kills", f"{name} died {deaths.get(name, 0)} times, not {times}")
    planned = sum(len(operation.calls) for operation in schedule.operations)
    if acknowledged < planned:
        yield Violation("kills", f"{acknowledged:,} facts arrived of at least {planned:,}")


def _deaths(rng: random.Random, kills: int) -> Iterator[Fault]:
    """Yield rounds in which each process dies once, in an order of their own."""
    at, targets = _FIRST_S, [*WORKERS, *SERVERS]
    for _ in range(kills):
        rng.shuffle(targets)
        for target in targets:
            yield Fault(round(at, 2), "kill", target, round(rng.uniform(0, _MOST_AWAY_S), 2))
            at += EVERY_S


def _publish(rng: random.Random, seconds: float, facts: int) -> Iterator[Operation]:
    beats = [second + number / _PUBLISHERS for second in range(int(seconds)) for number in range(_PUBLISHERS)]
    for n, at in enumerate(beats):
        share = facts * (n + 1) // len(beats) - facts * n // len(beats)
        yield Operation(at, f"fast-{n % _PUBLISHERS}", "publish", [_label(rng) for _ in range(share)])


def _label(rng: random.Random) -> Call:
    n = rng.choice(_ITEMS)
    said = CLASSES[n % 2] if rng.random() < 0.75 else rng.choice(CLASSES)
    return Call("label", (CROWD, f"i{n:04}", f"annotator-{rng.randrange(_ANNOTATORS)}", said), {})
