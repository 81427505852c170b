"""How far the annotators of a project agree, in all or part by part, as of the labels that are stored now."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, Literal, get_args

import orjson

from streams.processors.fits import coefficients, order_of
from streams.projects import ProjectView
from streams.quality.agreement import Agreement, Votes, against_others, cohen
from streams.quality.intervals import Coefficient, Interval, cohen_interval, intervals, mean_interval
from streams.quality.project import MAX_NAMES, Project, Scope
from streams.quality.values import Value, agreement
from streams.query.export import check_project
from streams.query.sql import rows
from streams.settings import Settings

By = Literal["class", "annotator-pair", "guideline", "group", "day"]

COEFFICIENTS: tuple[Coefficient, ...] = get_args(Coefficient)

MAX_DISTINCT = 2000
"""Numbers up to which alpha by ratio has an interval: each replica compares each two of them."""

_LABELS = """
SELECT item_id, annotator, value, labelled_at, ifNull(guideline_version, ''), `group`
FROM judgements FINAL
WHERE project = %(project)s AND actor_kind = 'annotator' AND value_kind IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The agreement on a part of a project.

    Args:
        name: The class, guideline version, group or day; two annotators; empty for the whole project.
        items: Items with two labels or more.
        values: Coefficients by name: those of `Coefficient`, and `kappa`, Cohen's, of two annotators. Those that suit
            neither the labels nor the part are missing.
        intervals: Their 95 % bootstrap intervals, if asked for.
    """

    name: tuple[str, ...]
    items: int
    values: Mapping[str, float]
    intervals: Mapping[str, Interval | None]


def agreed(settings: Settings, project: str, view: ProjectView, by: By | None, interval: bool) -> list[Agreed]:
    """Return the agreement of a project's annotators.

    Choices and numbers have all coefficients. Of other values the mean agreement of two annotators on an item is told
    (`raw`), with structured values compared as `streams.quality.values` says.

    Args:
        settings: Where the server is.
        project: The project.
        view: Its settings, for the order and number of classes.
        by: Kind of parts, at most `MAX_NAMES` of them, by name, pairs by the number of items they share; None: the
            project as a whole.
        interval: Whether to compute intervals, by bootstrap over items.

    Raises:
        LabelloopError: nothing is stored of the project, or the server does not answer.
    """
    check_project(settings, project)
    labels = [_label(*row) for row in rows(settings, _LABELS, {"project": project})[1]]
    plain = Project()
    for label in labels:
        plain.apply(label)
    parts = _pairs(plain, interval) if by == "annotator-pair" else _scopes(plain, by or "project", view, interval)
    return [*parts, *_others(labels, by, interval)][:MAX_NAMES]


def _label(item: str, annotator: str, value: str, at: datetime, guideline: str, group: str | None) -> dict[str, Any]:
    """Return a row as a record of the schema `judgements`, without its reference, which agreement is not about."""
    return {
        "item_id": item,
        "annotator": annotator,
        "actor_kind": "annotator",
        "value": orjson.loads(value),
        "labelled_at": round(at.timestamp() * 1000),
        "guideline_version": guideline,
        "group": group,
        "reference": None,
    }


def _scopes(project: Project, kind: str, view: ProjectView, interval: bool) -> Iterator[Agreed]:
    votes = project.votes("project" if kind == "class" else kind) if interval else {}
    for scope, found in project.agreement():
        if scope[0] != kind or not found.items:
            continue
        told = coefficients(scope, found, view)
        values: dict[str, float] = {name: told[name] for name in COEFFICIENTS if told[name] is not None}
        ends: Mapping[str, Interval | None] = {}
        if interval:
            items = against_others(votes[""], scope[1]) if kind == "class" else votes[scope[1]]
            ends = _intervals(items, values, scope, found, view)
        yield Agreed((scope[1],) if scope[1] else (), found.items, values, ends)


def _intervals(
    items: Sequence[Votes], values: Mapping[str, float], scope: Scope, found: Agreement, view: ProjectView
) -> Mapping[str, Interval | None]:
    labels = found.labels
    many = len(labels) > MAX_DISTINCT
    asked = [name for name in COEFFICIENTS if name in values and not (many and name == "alpha_ratio")]
    classes = 2 if scope[0] == "class" else len(view.classes or ())
    ends = intervals(items, asked, classes=classes, order=order_of(labels, view))
    return {str(name): interval for name, interval in ends.items()}


def _pairs(project: Project, interval: bool) -> Iterator[Agreed]:
    pairs = sorted(project.pairs().items(), key=lambda pair: (-pair[1].total(), pair[0]))
    for names, table in pairs[:MAX_NAMES]:
        same = sum(count for (one, other), count in table.items() if one == other)
        kappa = cohen(table)
        values = {"raw": same / table.total()} | ({} if kappa is None else {"kappa": kappa})
        ends: dict[str, Interval | None] = {}
        if interval:
            ends["raw"] = mean_interval([1.0] * same + [0.0] * (table.total() - same))
            ends["kappa"] = cohen_interval(table)
        yield Agreed(names, table.total(), values, ends)


def _others(labels: Sequence[Mapping[str, Any]], by: By | None, interval: bool) -> Iterator[Agreed]:
    """Yield the agreement on values that are neither choices nor numbers."""
    by_item: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for label in labels:
        if label["value"]["kind"] not in ("choice", "number"):
            by_item[label["item_id"]].append(label)
    found: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for item in by_item.values():
        item.sort(key=lambda label: label["annotator"])
        alike: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        day = datetime.fromtimestamp(max(label["labelled_at"] for label in item) / 1000, UTC).date().isoformat()
        for one, other in combinations(item, 2):
            name = _part(one, other, by, day)
            if name is not None and one["value"]["kind"] == other["value"]["kind"]:
                alike[name].append(_alike(one["value"], other["value"]))
        for name, shares in alike.items():
            found[name].append(sum(shares) / len(shares))
    for name, shares in sorted(found.items()):
        ends = {"raw": mean_interval(shares)} if interval else {}
        yield Agreed(name, len(shares), {"raw": sum(shares) / len(shares)}, ends)


def _part(one: Mapping[str, Any], other: Mapping[str, Any], by: By | None, day: str) -> tuple[str, ...] | None:
    """Return the part of the project to which what two annotators say of an item belongs, None if to none."""
    match by:
        case None:
            return ()
        case "annotator-pair":
            return one["annotator"], other["annotator"]
        case "day":
            return (day,)
        case "guideline":
            version = one["guideline_version"]
            return (version,) if version and version == other["guideline_version"] else None
        case "group":
            return None if one["group"] is None else (one["group"],)
        case "class":
            return None


def _alike(one: Value, other: Value) -> float:
    try:
        return agreement(one, other)
    except ValueError:  # tracks that are too long to be compared
        return float(one == other)
