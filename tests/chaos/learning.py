"""Proves from the log that the loop of retraining lost nothing, did nothing twice and left nothing undone. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from streams.errors import Poison
from streams.events import Event
from streams.keys import make_key
from streams.processors.admission import decoded as fact_in
from streams.processors.admission import own_key
from streams.projects import Projects
from tests.chaos.evidence import Evidence, Violation, decoded, difference
from workers.dataset import Logged, build
from workers.facts import SETTINGS
from workers.fold import KEPT
from workers.history import History
from workers.snapshot import frozen, positions_of, snapshot_event


def learning(evidence: Evidence) -> Iterator[Violation]:
    """Yield what the loop did otherwise than its own facts say, or than the facts it learnt from give."""
    history = History()
    for topic in ("snapshots", "models"):
        for _, record in evidence.of(topic):
            history.learn(record.value, record.timestamp)
    yield from _doubled(evidence)
    yield from _models(evidence)
    yield from _undone(history)
    yield from _predictions(evidence, history)
    yield from _receipts(evidence)
    yield from _snapshots(evidence)


def _events(evidence: Evidence, topic: str) -> Iterator[Event]:
    return (decoded(record.value)[1] for _, record in evidence.of(topic))


def _doubled(evidence: Evidence) -> Iterator[Violation]:
    """Yield steps, predictions and receipts that are there more than once: a transaction shows whole or not at all."""
    for topic in ("snapshots", "models", "predictions", "feedback", "flips"):
        ids = Counter(event["event_id"] for event in _events(evidence, topic))
        for event_id, times in ids.items():
            if times > 1:
                yield Violation("models", f"{topic} {event_id} is there {times} times")


def _models(evidence: Evidence) -> Iterator[Violation]:
    """Yield snapshots of which several models were made, and items that are not predicted by the champion."""
    trained, champion = defaultdict[str, list[str]](list), dict[str, str]()
    for event in _events(evidence, "models"):
        if event["stage"] == "trained":
            trained[event["snapshot"]].append(event["model_version"])
        elif event["stage"] == "promoted":
            champion[event["project"]] = event["model_version"]
    for snapshot, versions in trained.items():
        if len(versions) > 1:
            yield Violation("models", f"snapshot {snapshot} has the models {versions}")
    newest = dict[tuple[str, str], str]()
    for event in _events(evidence, "predictions"):
        newest[event["project"], event["item_id"]] = event["model_version"]
    for (project, item), version in sorted(newest.items()):
        if version != champion.get(project):
            yield Violation("models", f"{project}/{item} is predicted by {version}, not by {champion.get(project)}")


def _undone(history: History) -> Iterator[Violation]:
    """Yield projects in which something was begun and not ended; a run ends when nothing is left to do."""
    for project in history.projects():
        step = history.loop(project).next_step()
        if step is not None:
            yield Violation("models", f"{project}: to {step.stage} {step.version or step.snapshot} was left undone")


def _predictions(evidence: Evidence, history: History) -> Iterator[Violation]:
    """Yield promotions of whose scores some are missing, and predictions of no promotion."""
    scored = defaultdict[tuple[str, str | None], set[str]](set)
    for event in _events(evidence, "predictions"):
        scored[event["project"], event["caused_by"]].add(event["item_id"])
    for project in history.projects():
        loop = history.loop(project)
        for promotion in loop.promotions:
            # one that was followed by the next before it was scored, or half-way, says how far it came
            told = loop.scored.get(promotion.event_id)
            items, expected = scored.pop((project, promotion.event_id), set()), told["items"] if told else 0
            if len(items) != expected:
                name = f"{project}: the promotion {promotion.event_id} of {promotion.version}"
                yield Violation("models", f"{name} has scored {expected} items, and {len(items)} are predicted")
    for (project, cause), items in scored.items():
        yield Violation("models", f"{project}: {len(items)} items are predicted by {cause}, which is no promotion")


def _receipts(evidence: Evidence) -> Iterator[Violation]:
    """Yield models that told other receipts than there are."""
    told, found = dict[tuple[str, str], int](), Counter[tuple[str, str]]()
    for event in _events(evidence, "models"):
        if event["stage"] == "told":
            told[event["project"], event["model_version"]] = event["items"]
    receipts = {event["event_id"]: event for event in _events(evidence, "feedback")}
    for event in receipts.values():
        found[event["project"], event["model_version"]] += 1
    for project, version in sorted({*told, *found}):
        expected, there = told.get((project, version), 0), found[project, version]
        if there != expected:
            yield Violation("models", f"{project}: {version} has told {expected} receipts, and {there} are there")


def _snapshots(evidence: Evidence) -> Iterator[Violation]:
    """Yield snapshots that do not come out when they are computed again from the facts up to their offsets."""
    before = defaultdict[str, list[Event]](list)
    for told in _events(evidence, "snapshots"):
        found = _computed(evidence, told, before[told["project"]])
        if wrong := difference(found, told):
            yield Violation("models", f"{told['project']}: of snapshot {told['snapshot']} {wrong}")
        before[told["project"]].append(told)


def _computed(evidence: Evidence, told: Event, before: list[Event]) -> Event:
    project, offsets = told["project"], positions_of(told)
    ends = {(one.topic, one.partition): one.offset for one in offsets}
    projects = Projects()
    for _, record in evidence.of(SETTINGS):
        if record.offset < ends[SETTINGS, 0]:
            projects.learn(record.value, record.timestamp)
    facts = _facts(evidence, project, ends)
    return snapshot_event(
        build(project, facts, projects, evidence.partitions, frozen(before)),
        offsets,
        told["cause"],
        actor=told["actor"],
        code_version=told["code_version"],
        files=told["files"],
        caused_by=told["caused_by"],
    ).event


def _facts(evidence: Evidence, project: str, ends: dict[tuple[str, int], int]) -> Iterator[Logged]:
    prefix = make_key(project) + b"/"
    for (topic, partition), records in evidence.log.items():
        if topic not in KEPT:
            continue
        for record in records:
            if record.offset < ends[topic, partition] and (record.key or b"").startswith(prefix):
                try:
                    event = fact_in(topic, record.value)
                    own_key(event, record.key)
                except Poison:
                    continue
                place = (topic, partition, record.offset, record.timestamp)
                yield Logged(*place, event, len(record.value or b""))
