"""What quality costs: the fold of a label, the posterior of an item, a fit and its records, and scoring again.

All of it is the pure core's, in one process, and in seconds of the processor: what else the machine does counts little.
What is measured grows one way at a time from a middle project, and then all ways at once.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from streams import codec
from streams.clients import MAX_RECORD_BYTES
from streams.keys import item_key
from streams.processors.fits import Proposal, Skills, proposals
from streams.processors.items import Items
from streams.processors.refits import NEW_SHARE, Schedule
from streams.producers import facts
from streams.projects import DEFAULTS, Projects
from streams.quality.project import Project
from streams.transport.batch import Batch, Effects, MemoryRows

PROJECT = "bench"
LABELS_PER_ITEM = 3
LOG_TIME = 1_767_225_600_000  # 2026-01-01
FOLDED = 6000
"""Labels that the items worker folds at most: it costs the same for each."""

BATCH = 500
LABELS_PER_SECOND = 200
"""Rate of labels at which the schedule of fits is simulated."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a project is."""

    items: int
    annotators: int
    classes: int


MIDDLE = Size(10_000, 100, 10)
GRID = (
    Size(1000, 10, 2),
    Size(1000, 100, 10),
    Size(1000, 1000, 100),
    MIDDLE,
    Size(100_000, 100, 10),
    replace(MIDDLE, annotators=10),
    replace(MIDDLE, annotators=1000),
    replace(MIDDLE, classes=2),
    replace(MIDDLE, classes=100),
    Size(100_000, 1000, 100),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a project costs.

    Args:
        size: Of the project.
        labels: Its labels.
        fold_us: Microseconds a label in the items worker before the first fit: decoding, fold, score, records.
        fold_fitted_us: The same once there is a fit.
        posterior_us: Microseconds for the posterior of an item with the published skill.
        collect_us: Microseconds a label in the fitter: it keeps the labels and the agreement.
        fit_s: Seconds of one fit.
        refit_s: Seconds of a fit and of all records that tell of it.
        refit_us: Microseconds a label, where a fit follows each `NEW_SHARE` of new labels and nothing holds it back.
        records: Number of records that tell of an annotators' skill.
        record_bytes: Size of the largest one.
        limit_bytes: Largest record that the workers write.
        core_share: Share of a core that fits take at `LABELS_PER_SECOND`, by the schedule.
        moved: Share of open items that are told of again when a fit follows `NEW_SHARE` of new labels; None: not asked.
    """

    size: Size
    labels: int
    fold_us: float
    fold_fitted_us: float
    posterior_us: float
    collect_us: float
    fit_s: float
    refit_s: float
    refit_us: float
    records: int
    record_bytes: int
    limit_bytes: int
    core_share: float
    moved: float | None


Label = tuple[str, str, str]
"""Item, annotator, class."""


def costs() -> Iterator[Cost]:
    """Measure each size of the grid."""
    for size in GRID:
        yield cost(size)


def cost(size: Size, seed: int = 0) -> Cost:
    """Measure one project."""
    labels = simulated(size, seed)
    records = [_Fetched(*_fact(label, n)) for n, label in enumerate(labels[:FOLDED])]
    before, _, _ = _folded(records, Skills())
    project = Project()
    _, collect = _timed(partial(_apply, project, labels))
    truth, fit_s = _timed(project.fit)
    told, telling_s = _timed(lambda: [*proposals(PROJECT, project, truth, DEFAULTS, 1, None)])
    parts = [proposal for proposal in told if proposal.topic == "annotators"]
    skills = _heard(parts)
    after, rows, open_items = _folded(records, skills)
    refit_s = fit_s + telling_s
    return Cost(
        size,
        len(labels),
        before / len(records) * 1e6,
        after / len(records) * 1e6,
        _posterior_us(labels, skills),
        collect / len(labels) * 1e6,
        fit_s,
        refit_s,
        refit_s / (NEW_SHARE * len(labels)) * 1e6,
        len(parts),
        max(len(part.value) for part in parts),
        MAX_RECORD_BYTES,
        core_share(refit_s, len(labels)),
        _moved(labels, rows, open_items, project, skills) if len(labels) <= FOLDED else None,
    )


def simulated(size: Size, seed: int) -> list[Label]:
    """Return labels in the order of arrival: annotators of .6 to .95, whose errors favour the next class."""
    random = np.random.default_rng(seed)
    n = size.items * LABELS_PER_ITEM
    item = np.repeat(np.arange(size.items), LABELS_PER_ITEM)
    first = random.integers(size.annotators, size=size.items)
    step = random.integers(1, max(2, size.annotators // LABELS_PER_ITEM), size=size.items)
    annotator = (first[:, None] + step[:, None] * np.arange(LABELS_PER_ITEM)).ravel() % size.annotators
    truth = random.integers(size.classes, size=size.items)[item]
    accuracy = random.uniform(0.6, 0.95, size.annotators)[annotator]
    wrong = np.where(random.random(n) < 0.5, truth + 1, random.integers(size.classes, size=n)) % size.classes
    said = np.where(random.random(n) < accuracy, truth, wrong)
    order = random.permutation(n)
    return [(f"i{item[k]:06}", f"a{annotator[k]:04}", f"c{said[k]:03}") for k in order.tolist()]


def core_share(busy: float, labels: int, cycles: int = 10) -> float:
    """Return the share of a core that fits take while labels keep coming, over whole cycles of fit and pause.

    Args:
        busy: Seconds of a fit.
        labels: Labels there are.
        cycles: Fits that are simulated.
    """
    schedule, now, changes, tick = Schedule(), 0.0, 0.0, 0.01
    began: list[float] = []
    while len(began) <= cycles:
        now, changes = now + tick, changes + tick * LABELS_PER_SECOND
        schedule.changed_at = now
        if schedule.due(now, int(changes), labels):
            began.append(now)
            schedule.fitted(now, now + busy)
            now, changes = now + busy, busy * LABELS_PER_SECOND
    return cycles * busy / (began[-1] - began[0])


@dataclass(frozen=True, slots=True)
class _Fetched:
    key: bytes
    value: bytes
    offset: int
    timestamp: int = LOG_TIME


def _fact(label: Label, n: int) -> tuple[bytes, bytes, int]:
    item, annotator, class_ = label
    event = facts.label(PROJECT, item, annotator, class_, source="bench", source_seq=n).event
    return item_key(PROJECT, item), codec.encode("labels", event), n


def _judgement(label: Label) -> dict[str, Any]:
    item, annotator, class_ = label
    return {
        "item_id": item,
        "annotator": annotator,
        "actor_kind": "annotator",
        "value": {"kind": "choice", "choice": class_},
        "labelled_at": LOG_TIME,
        "guideline_version": None,
        "group": None,
        "reference": None,
    }


def _apply(project: Project, labels: list[Label]) -> None:
    for label in labels:
        project.apply(_judgement(label))


def _heard(parts: list[Proposal]) -> Skills:
    skills = Skills()
    for part in parts:
        skills.learn(part.value, LOG_TIME)
    return skills


def _timed(run: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    result = run()
    return result, time.process_time() - began


def _folded(records: list[_Fetched], skills: Skills) -> tuple[float, MemoryRows, int]:
    """Return the seconds that the items worker takes for records, its rows, and how many items are open then."""
    items, rows = Items("bench", 1, Projects(), skills), MemoryRows()

    def fold() -> None:
        for start in range(0, len(records), BATCH):
            batch = records[start : start + BATCH]
            effects = items.handle(Batch("bench.labels", 0, batch, start, start + len(batch)), rows)
            rows.update(effects.rows)

    _, seconds = _timed(fold)
    return seconds, rows, sum(bool(row["sent"]["task"]) for row in rows.values())


def _posterior_us(labels: list[Label], skills: Skills) -> float:
    scorer = skills.scorer(PROJECT)
    assert scorer is not None
    votes: dict[str, list[tuple[str, str]]] = {}
    for item, annotator, class_ in labels[:FOLDED]:
        votes.setdefault(item, []).append((annotator, class_))
    posterior = scorer.posterior
    _, seconds = _timed(lambda: [posterior(sorted(given)) for given in votes.values()])
    return seconds / len(votes) * 1e6


def _moved(labels: list[Label], rows: MemoryRows, open_items: int, project: Project, skills: Skills) -> float:
    """Return the share of open items that are told of again after `NEW_SHARE` of new labels and a fit."""
    items = Items("bench", 1, Projects(), skills)

    def rescore(refit: int) -> int:
        todo, told = [codec.encode("rescores", {"project": PROJECT, "refit": refit, "all": False})], 0
        while todo:
            batch = [_Fetched(b"k", value, 0) for value in todo]
            effects: Effects = items.handle(Batch("bench.rescores", 0, batch, 0, len(batch)), rows)
            rows.update(effects.rows)
            todo = [out.value for out in effects.records if out.topic == "bench.rescores"]
            told += sum(out.topic == "bench.review.state" for out in effects.records)
        return told

    rescore(1)  # all is as the first fit has it
    changed = labels[: round(NEW_SHARE * len(labels))]
    _apply(project, [(item, "newcomer", class_) for item, _, class_ in changed])
    for proposal in proposals(PROJECT, project, project.fit(), DEFAULTS, 2, None):
        if proposal.topic == "annotators":
            skills.learn(proposal.value, LOG_TIME)
    return rescore(2) / max(1, open_items)
