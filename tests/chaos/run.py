"""One run from beginning to end: start, work and break, come to rest, read, check."""

import faulthandler
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from streams.catalogue import TOPICS
from streams.errors import LabelloopError
from streams.query.settle import settle
from streams.query.wait import wait
from streams.settings import Settings
from tests.chaos import checker, journal, plan, reading
from tests.chaos.evidence import Evidence, Violation
from tests.chaos.nemesis import Nemesis
from tests.chaos.plan import Plan
from tests.chaos.watch import Watch
from tests.chaos.workload import Workload
from tests.chaos.world import World
from workers.log import HistoryReader

T = TypeVar("T")

_BEAT_S = 0.02
_WORKLOAD_LIMIT_S = 150.0
"""Longest the actors may need after the last fault: a client waits up to two minutes for a delivery."""
_REST_LIMIT_S = 300.0
"""Longest each step on the way to rest may take; or as long as the nemesis worked, where that was longer."""
_RETRAIN = "retrain-0"
_READINGS = 3
"""How often all is read again because the log grew meanwhile."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has shown.

    Args:
        violations: Rules that do not hold.
        faults: Faults that were done, by kind.
        missed: Faults whose target did not run in time, by kind.
        deaths: How often each process was killed while it ran.
        events: Committed records by kind of topic.
        acknowledged: Facts that the broker acknowledged to the actors.
        ends: How often each process ended by itself, by exit status.
        outages: Longest standstill of each part, seconds.
        held: Items that reviewers held.
        models: Models that were trained.
        seconds: How long each stage of the run took.
    """

    violations: list[Violation]
    faults: dict[str, int]
    missed: dict[str, int]
    deaths: dict[str, int]
    events: dict[str, int]
    acknowledged: int
    ends: dict[str, dict[int, int]]
    outages: dict[str, float]
    held: int
    models: int
    seconds: dict[str, float]


class Stages:
    """Tells how long each stage takes.

    Args:
        say: Told of each.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._name, self._since = say, "", time.monotonic()
        self.seconds: dict[str, float] = {}

    def begin(self, name: str) -> None:
        """End a stage and begin the next."""
        now = time.monotonic()
        if self._name:
            self.seconds[self._name] = round(now - self._since, 1)
        self._name, self._since = name, now
        if name:
            self._say(name)


def run(schedule: Plan, home: Path, say: Callable[[str], None]) -> Outcome:
    """Carry out a plan.

    Args:
        schedule: The plan.
        home: Data directory, new.
        say: Told what is being done.

    Raises:
        LabelloopError: the servers do not even start.
    """
    stages = Stages(say)
    stages.begin("start")
    world = World(home, merges=schedule.merges, mutant=schedule.mutant)
    plan.save(schedule, home / "plan.json")
    pool = ThreadPoolExecutor(1)
    try:
        world.start()
        notes = journal.Writer(home / "journal.jsonl")
        workload = Workload(world.settings("workload"), home, notes, world.clock_file("workload"))
        watch = Watch(world.settings(), world.parts["clickhouse"].process.is_ready)
        workload.prepare(schedule.opening)
        stages.begin("get ready")
        ready = pool.submit(wait, world.settings(), _REST_LIMIT_S)
        _ticking(world, ready.done, ready.result)
        stages.begin("work")
        nemesis = Nemesis(world, schedule.faults)
        workload.start(schedule.operations, schedule.seconds)
        while nemesis.tick():
            world.tick()
            time.sleep(_BEAT_S)
        failures = list[str]()
        stages.begin("finish")
        limit = time.monotonic() + max(_WORKLOAD_LIMIT_S, schedule.seconds)
        while not (workload.is_done() and world.is_whole()) and time.monotonic() < limit:
            world.tick()
            time.sleep(_BEAT_S)
        if not workload.is_done():
            failures.append(f"{', '.join(workload.busy())} do not end, although the nemesis has ended")
            with (home / "stuck.txt").open("w") as file:
                faulthandler.dump_traceback(file)
        workload.stop()
        stages.begin("rest")
        resting = pool.submit(come_to_rest, world, max(_REST_LIMIT_S, schedule.seconds))
        trouble = _ticking(world, resting.done, resting.result)
        failures += [*([trouble] if trouble else []), *world.given_up, *workload.bugs]
        watch.close()
        notes.close()
        stages.begin("read")
        noted = journal.Journal.read(home / "journal.jsonl")
        for attempt in range(_READINGS):
            evidence = reading.read(world.settings(), world.offline(f"recount_{attempt}"), noted, failures)
            if not evidence.moved:
                break
            # a worker that was asked for a refit twice, as a client does that waits for long, was still at the second
            again = pool.submit(wait, world.settings(), _REST_LIMIT_S)
            _ticking(world, again.done, again.result)
        stages.begin("check")
        violations = checker.check(evidence)
        stages.begin("stop")
        return _outcome(violations, nemesis, evidence, world, watch, stages)
    finally:
        world.stop()
        stages.begin("")
        pool.shutdown(wait=False)


def _ticking(world: World, done: Callable[[], bool], result: Callable[[], T]) -> T:
    """Look after the processes until something is done; return what came of it."""
    while not done():
        world.tick()
        time.sleep(_BEAT_S)
    return result()


def come_to_rest(world: World, limit_s: float) -> str:
    """Wait until nothing is on its way and every project is settled; return what is in the way, empty for nothing.

    The retraining worker is asked to stop between two trainings: it would begin the next one when its policy says so.
    """
    settings = world.settings()
    try:
        wait(settings, limit_s)
        limit = time.monotonic() + limit_s
        while True:
            world.park(_RETRAIN)
            if _is_idle(settings):
                break
            world.unpark(_RETRAIN)
            while not _is_idle(settings):
                if time.monotonic() > limit:
                    return f"a training does not end within {limit_s:.0f} s"
                time.sleep(_BEAT_S)
        for project in (plan.CROWD, plan.PHOTOS):
            settle(settings, project, limit_s)
    except LabelloopError as error:
        return f"it does not come to rest: {error}"
    return ""


def _is_idle(settings: Settings) -> bool:
    """Return whether every project's last training has come to its end."""
    with HistoryReader(settings) as reader:
        history = reader.read()
    return all(history.loop(project).next_step() is None for project in history.projects())


def _outcome(
    violations: list[Violation], nemesis: Nemesis, evidence: Evidence, world: World, watch: Watch, stages: Stages
) -> Outcome:
    events = Counter[str]()
    for (topic, _), records in evidence.log.items():
        events[TOPICS[topic].kind] += len(records)
    trained = sum(b"\x0etrained" in (record.value or b"") for _, record in evidence.of("models"))
    return Outcome(
        violations,
        dict(nemesis.injected),
        dict(nemesis.missed),
        {name: part.deaths for name, part in world.parts.items() if part.deaths},
        dict(events),
        sum(map(len, evidence.journal.acknowledged.values())),
        {name: dict(part.ends) for name, part in world.parts.items() if part.ends},
        {name: round(seconds, 1) for name, seconds in sorted(watch.longest.items())},
        len(evidence.journal.holds),
        trained,
        stages.seconds,
    )
