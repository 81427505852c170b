"""What a run does, drawn from a seed: operations of the workload and faults of the nemesis. Pure.

The same seed gives the same plan. What a reviewer finds in the queue, and when, depends on the run; what he does with
it does not.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.chaos.faults import EVERY_S, Fault, Mutant, schedule, telling

CROWD, PHOTOS = "crowd", "photos"
"""A project that is imported and labelled live, and one whose reviews train models."""

CLASSES = ("cat", "dog", "bird")
ITEMS = 150
"""Items of each project."""

REVIEWERS = ("ria", "rob", "rosa")
LEASE_MS = 4000
PER_SECOND = 60
"""Facts of the live publishers in a second, all together."""


class Call(NamedTuple):
    """A method of the SDK's Producer with its arguments."""

    method: str
    args: Sequence[Any]
    options: dict[str, Any]


class Operation(NamedTuple):
    """What an actor does.

    Args:
        at: When, seconds from the start, or later: each actor does one thing after the other.
        actor: Who.
        kind: `publish` calls; `import` a file; `review` a task; `raw`: publish bytes that are no fact.
        calls: What is published.
        file: The lines of the file: item, annotator and label each.
        break_off: Lines after which the importer dies; it then begins anew. 0: never.
        behaviour: What the reviewer does with the task he has claimed.
        rank: Which of the tasks at the head of the queue he takes.
    """

    at: float
    actor: str
    kind: Literal["publish", "import", "review", "raw"]
    calls: Sequence[Call] = ()
    file: Sequence[Sequence[str]] = ()
    break_off: int = 0
    behaviour: str = ""
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A run.

    Args:
        seed: What it was drawn from.
        seconds: How long the nemesis works.
        merges: Whether ClickHouse merges parts: without merges a row that was inserted twice can be seen.
        opening: What is published before anything breaks.
        operations: The workload, in order of time.
        faults: The nemesis' schedule, in order of time.
        mutant: Deliberate fault of the product.
    """

    seed: int
    seconds: float
    merges: bool
    opening: tuple[Call, ...]
    operations: tuple[Operation, ...]
    faults: tuple[Fault, ...]
    mutant: Mutant | None = None

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=1)


def draw(seed: int, seconds: float, mutant: Mutant | None = None, *, every_s: float = EVERY_S) -> Plan:
    """Return the plan of a seed.

    Args:
        seed: Any number.
        seconds: How long the nemesis works.
        mutant: Deliberate fault of the product: the faults are those that can show it.
        every_s: A fault begins so often.
    """
    rng = random.Random(f"labelloop {seed}")
    opening = (*_projects(), *(_photo(rng, n) for n in range(ITEMS)))
    operations = sorted(_operations(rng, seconds), key=lambda one: one.at)
    merges = seed % 2 == 0 and mutant is None
    faults = [*(schedule(rng, seconds, every_s) if mutant is None else telling(rng, seconds, mutant))]
    return Plan(seed, seconds, merges, opening, tuple(operations), tuple(faults), mutant)


# The workload


def _projects() -> list[Call]:
    """Return what makes the projects."""
    members = {**dict.fromkeys(REVIEWERS, "reviewer"), "lea": "lead"}
    policy = {"lease_ms": LEASE_MS, "resolve_confidence": 0.7}
    training = {
        CROWD: {"after_corrections": 0},
        PHOTOS: {"after_corrections": 8, "quiet_s": 1.0, "max_per_day": 6, "max_seconds": 60.0},
    }
    return [
        Call(
            "project",
            (project, "lea"),
            {"classes": CLASSES, "members": members, "policy": policy, "training": training[project]},
        )
        for project in (CROWD, PHOTOS)
    ]


def _operations(rng: random.Random, seconds: float) -> Iterator[Operation]:
    yield from _imports(rng, seconds)
    for n in range(3):
        yield from _live(rng, f"publisher-{n}", seconds)
    for reviewer in REVIEWERS:
        yield from _reviews(rng, reviewer, seconds)
    yield from _settings(rng, seconds)


def _photo(rng: random.Random, n: int) -> Call:
    centre = 1.5 if n % 2 else -1.5
    features = [round(rng.gauss(centre, 1.0), 3), round(rng.gauss(centre, 1.0), 3)]
    return Call("item", (PHOTOS, _item(n)), {"features": features})


def _item(n: int) -> str:
    return f"i{n:04}"


def _answer(rng: random.Random, n: int) -> str:
    return CLASSES[n % 2] if rng.random() < 0.75 else rng.choice(CLASSES)


def _imports(rng: random.Random, seconds: float) -> Iterator[Operation]:
    """Yield files of labels, every second of which is imported again, and some by an importer that dies."""
    at, before = 1.0, None
    while at < seconds:
        if before is not None and rng.random() < 0.4:
            yield Operation(at, "importer", "import", file=before)
        else:
            items = [rng.randrange(ITEMS) for _ in range(150)]
            before = [[_item(n), f"imported-{rng.randrange(9)}", _answer(rng, n)] for n in items]
            yield Operation(at, "importer", "import", file=before, break_off=rng.choice((0, 0, 40, 110)))
        at += rng.uniform(4, 8)


def _live(rng: random.Random, actor: str, seconds: float) -> Iterator[Operation]:
    at = rng.random()
    while at < seconds:
        if rng.random() < 0.05:
            yield Operation(at, actor, "raw")
        yield Operation(at, actor, "publish", [_call(rng) for _ in range(PER_SECOND // 3)])
        at += 1.0


def _call(rng: random.Random) -> Call:
    project, n = rng.choice((CROWD, PHOTOS)), rng.randrange(ITEMS)
    target, who = (project, _item(n)), f"annotator-{rng.randrange(12)}"
    drawn = rng.random()
    if drawn < 0.8:
        return Call("label", (*target, who, _answer(rng, n)), {"duration_ms": rng.randrange(500, 9000)})
    if drawn < 0.84:
        return Call("label", (*target, who, None), {"retracted": True})
    if drawn < 0.89:
        return Call("flag", (*target, who, "unclear"), {"severity": round(rng.random(), 2)})
    if drawn < 0.94:
        return Call("comment", (*target, who, f"t{rng.randrange(3)}", "why?"), {"resolved": rng.random() < 0.3})
    if drawn < 0.97:
        return Call("gold", (*target, CLASSES[n % 2]), {"by": "lea", "use": "evaluation"})
    if drawn < 0.98:
        return Call("label", (*target, who, "unicorn"), {})  # not a class: a dead letter
    if drawn < 0.99:
        return Call("correction", (*target, who, "corrected", "cat"), {})  # not a reviewer: a dead letter
    return Call("item", target, {"text": f"text {rng.randrange(100)}"} if project == CROWD else {"group": f"g{n % 7}"})


def _reviews(rng: random.Random, reviewer: str, seconds: float) -> Iterator[Operation]:
    at = 3.0 + rng.random()
    behaviours = ("verdict",) * 12 + ("hold", "hold", "grab", "grab", "release", "skip", "unsure", "undo", "forget")
    while at < seconds:
        yield Operation(at, reviewer, "review", behaviour=rng.choice(behaviours), rank=rng.randrange(3))
        at += rng.uniform(0.2, 0.6)


def _settings(rng: random.Random, seconds: float) -> Iterator[Operation]:
    at = rng.uniform(10, 20)
    while at < seconds:
        version = f"v{round(at)}"
        guideline = {"version": version, "classes": [rng.choice(CLASSES)], "text": None}
        yield Operation(at, "lea", "publish", [Call("project", (CROWD, "lea"), {"guideline": guideline})])
        at += rng.uniform(20, 60)


def save(plan: Plan, file: Path) -> None:
    """Write a plan down, so that a failing one can be read."""
    file.write_text(plan.dump())
