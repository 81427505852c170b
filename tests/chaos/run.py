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
from streams.query.lag import end_offsets
from streams.query.settle import settle
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
_QUIET_S = 4.0
"""With nothing new for so long, no training is about to begin: the policy waits for one quiet second."""
_FACTS = [name for name, topic in TOPICS.items() if topic.kind == "fact"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has shown.

    Args:
        violations: Rules that do not hold.
        faults: Number of faults by kind.
        events: Committed records by kind of topic.
        ends: How often each process ended by itself, by exit status.
        outages: Longest standstill of each part, seconds.
        held: Items that reviewers held.
        models: Models that were trained.
        seconds: How long each stage of the run took.
    """

    violations: list[Violation]
    faults: dict[str, int]
    events: dict[str, int]
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
        workload.prepare(plan.settings_of_projects())
        stages.begin("work")
        nemesis = Nemesis(world, schedule.faults)
        workload.start(schedule.operations)
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
        resting = pool.submit(come_to_rest, world.settings())
        trouble = _ticking(world, resting.done, resting.result)
        failures += [*([trouble] if trouble else []), *world.given_up, *workload.bugs]
        watch.close()
        notes.close()
        stages.begin("read")
        noted = journal.Journal.read(home / "journal.jsonl")
        evidence = reading.read(world.settings(), world.offline("recount"), noted, failures)
        stages.begin("check")
        import pickle  # DEV

        (home / "evidence.pickle").write_bytes(pickle.dumps(evidence))  # DEV
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


def come_to_rest(settings: Settings) -> str:
    """Wait until nothing is on its way and every project is settled; return what is in the way, empty for nothing."""
    limit = time.monotonic() + _REST_LIMIT_S
    try:
        while time.monotonic() < limit:
            before = end_offsets(settings, _FACTS)  # what comes while it settles is not in the refit
            for project in (plan.CROWD, plan.PHOTOS):
                settle(settings, project, max(1.0, limit - time.monotonic()))
            time.sleep(_QUIET_S)
            with HistoryReader(settings) as reader:
                history = reader.read()
            idle = all(history.loop(project).next_step() is None for project in history.projects())
            if idle and end_offsets(settings, _FACTS) == before:
                return ""
    except LabelloopError as error:
        return f"it does not come to rest: {error}"
    return f"it does not come to rest within {_REST_LIMIT_S:.0f} s: the retraining worker goes on"


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
        dict(events),
        {name: dict(part.ends) for name, part in world.parts.items() if part.ends},
        {name: round(seconds, 1) for name, seconds in sorted(watch.longest.items())},
        len(evidence.journal.holds),
        trained,
        stages.seconds,
    )
