"""The nemesis' half of a plan: which faults there are, and when each begins. Pure."""

import random
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

WORKERS = ("items-0", "items-1", "quality-0", "quality-1", "sink-0", "sink-1", "retrain-0")
SERVERS = ("kafka", "clickhouse")
CLIENTS = (*WORKERS, "workload")

Kind = Literal["kill", "pause", "freeze", "starve", "drop", "delay", "late", "half-open", "full", "clock"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Mutant = Literal["offsets", "fence", "token", "claims"]
MUTANTS: tuple[Mutant, ...] = get_args(Mutant)

FROZEN_S = 13.0
"""Longer than the time-outs of sessions, transactions and (as `process` shortens them) inserts: a worker that was
frozen for so long has lost its partitions, and whoever waited for a frozen server has given up what that then does."""

EVERY_S = 5.0
"""A fault begins so often."""

_FIRST_S = 4.0
_OF_PROCESSES: tuple[Kind, ...] = ("kill", "pause", "freeze", "starve")
_OF_CONNECTIONS: tuple[Kind, ...] = ("drop", "delay", "late", "half-open")
_LASTS: dict[Kind, tuple[float, float]] = {
    "kill": (0.0, 3.0),
    "pause": (1.0, 8.0),
    "freeze": (FROZEN_S, FROZEN_S + 3),
    "starve": (4.0, 8.0),
    "drop": (0.5, 6.0),
    "delay": (4.0, 8.0),
    "late": (4.0, 8.0),
    "half-open": (3.0, 12.0),
    "full": (4.0, 10.0),
    "clock": (5.0, 10.0),
}
"""Seconds, at least and at most."""


class Fault(NamedTuple):
    """One fault.

    Args:
        at: When it begins, seconds from the start, or later: when the target runs and nothing else is done to it.
        kind: `kill` and start again after `seconds`; `pause`: stop and continue before anybody gives up; `freeze`:
            stop and continue when all have; `starve`: stopped most of the time; `drop`, `delay`, `late` (answers
            alone), `half-open`: the connections between the target and a server; `full`: writes to files fail;
            `clock`: the target's clock is wrong.
        target: The process.
        seconds: How long it lasts.
        server: Server that the connections lead to.
        offset_ms: By how much the clock is wrong.
    """

    at: float
    kind: Kind
    target: str
    seconds: float
    server: str = ""
    offset_ms: int = 0


class Aim(NamedTuple):
    """A kind of fault with a target (and a server) it makes sense for."""

    kind: Kind
    target: str
    server: str = ""


AIMS = (
    *(Aim(kind, target) for kind in _OF_PROCESSES for target in (*WORKERS, *SERVERS)),
    *(Aim(kind, client, "kafka") for kind in _OF_CONNECTIONS for client in CLIENTS),
    *(Aim(kind, sink, "clickhouse") for kind in _OF_CONNECTIONS for sink in ("sink-0", "sink-1")),
    # The retraining worker's children write models; the other workers write nothing but their logs. ClickHouse (26.9)
    # acknowledges under a file-size limit inserts of which every write failed: all files of the part are empty, and the
    # next start sets it aside. On a disk that is really full it refuses them (code 243).
    *(Aim("full", target) for target in ("kafka", "retrain-0")),
    *(Aim("clock", client) for client in CLIENTS),
)
"""All there is to do; `schedule` does it all before it does anything again, but for kills."""


def schedule(rng: random.Random, seconds: float, every_s: float) -> Iterator[Fault]:
    """Yield faults of all kinds, first one of each."""
    at, left = _FIRST_S, list[Aim]()
    free: dict[str, float] = {}  # when the target's last fault has ended
    while at < seconds:
        aim = _first_free(left, free, at)
        if aim is None:
            left += _bag(rng)
            aim = _first_free(left, free, at)
        if aim is not None:
            left.remove(aim)
            fault = _fault(rng, at, *aim)
            free[aim.target] = at + fault.seconds + 1
            yield fault
        at += every_s * rng.uniform(0.6, 1.4)


def _bag(rng: random.Random) -> list[Aim]:
    """Return each aim, a kill twice, in random order but for one of each kind, which come first."""
    bag = [*AIMS, *(aim for aim in AIMS if aim.kind == "kill")]
    rng.shuffle(bag)
    firsts = {kind: next(n for n, aim in enumerate(bag) if aim.kind == kind) for kind in KINDS}
    return [*(bag[n] for n in sorted(firsts.values())), *(aim for n, aim in enumerate(bag) if n != firsts[aim.kind])]


def _first_free(left: list[Aim], free: dict[str, float], at: float) -> Aim | None:
    return next((aim for aim in left if free.get(aim.target, 0.0) <= at), None)


def _fault(rng: random.Random, at: float, kind: Kind, target: str, server: str = "") -> Fault:
    offset = rng.choice((-3_600_000, -60_000, 60_000, 3_600_000)) if kind == "clock" else 0
    return Fault(round(at, 2), kind, target, round(rng.uniform(*_LASTS[kind]), 2), server, offset)


_APART_S = 15.0
"""After a death the group's partitions have new owners so much later, and something is on its way again."""


def telling(rng: random.Random, seconds: float, mutant: Mutant) -> Iterator[Fault]:
    """Yield the faults that can show a mutant; reviewers who claim what others hold show broken claims without any."""
    at, n = 3.0, 0
    while at < seconds and mutant != "claims":
        slot = n % 2
        match mutant:
            case "offsets":
                yield _fault(rng, at, "kill", f"items-{slot}")
                at += _APART_S
            case "fence":
                yield _fault(rng, at, "freeze", f"items-{slot}")
                at += FROZEN_S + 5
            case "token":  # answers that are on their way for long are lost; what they answer was done
                yield Fault(at, "late", f"sink-{slot}", 2.85, "clickhouse")
                yield Fault(at + 2.9, "drop", f"sink-{slot}", 1.0, "clickhouse")
                at += 5.0
        n += 1
