"""Exports: the present answer of every item, and how right every annotator was."""

import json
from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Literal, TextIO

from streams.errors import LabelloopError
from streams.query.sql import Row, plain, rows, write_csv
from streams.settings import Settings
from streams.sinks.tables import label_text

Format = Literal["jsonl", "csv"]
What = Literal["items", "annotators"]

COLUMNS: dict[What, tuple[str, ...]] = {
    "items": (
        *("item_id", "consensus", "majority", "n_labels", "agreement", "entropy", "p_wrong", "priority", "tier"),
        *("reasons", "group", "posterior", "status", "corrected_value"),
    ),
    "annotators": (
        *("annotator", "labels", "judged", "correct", "accuracy", "low", "high"),
        *("skill", "skill_low", "skill_high", "recent", "drift_at", "confusion"),
    ),
}
"""Columns of each export, in order."""

_Z = 1.959963984540054  # 97.5 % of a normal distribution

_ITEMS = """
SELECT item_id, consensus_label, majority, n_labels, agreement, entropy, p_wrong, priority, tier, reasons, `group`,
    posterior, status, verdict
FROM review_state FINAL
WHERE project = %(project)s AND status != 'removed'
ORDER BY item_id
"""

_ANNOTATORS = """
SELECT l.annotator, l.labels, j.judged, j.correct, if(s.n_labels > 0, [s.accuracy, s.low, s.high, s.recent], []),
    s.drift_at, s.confusion
FROM
(
    SELECT annotator, countIf(value_kind IS NOT NULL) AS labels
    FROM judgements FINAL
    WHERE project = %(project)s AND actor_kind = 'annotator'
    GROUP BY annotator
) AS l
LEFT JOIN
(
    SELECT annotator, sum(judged) AS judged, sum(correct) AS correct
    FROM annotator_accuracy_daily
    WHERE project = %(project)s
    GROUP BY annotator
) AS j ON j.annotator = l.annotator
LEFT JOIN
(
    SELECT * FROM skill FINAL WHERE project = %(project)s AND actor_kind = 'annotator'
) AS s ON s.annotator = l.annotator
ORDER BY l.annotator
"""

_PROJECTS = (
    "SELECT project FROM (SELECT project FROM review_state UNION DISTINCT SELECT project FROM projects) ORDER BY 1"
)


def export(settings: Settings, what: What, project: str, form: Format, out: TextIO) -> None:
    """Write an export, each row as it arrives.

    Raises:
        LabelloopError: nothing is stored of the project, or the server does not answer.
    """
    check_project(settings, project)
    query, shape = (_ITEMS, _item) if what == "items" else (_ANNOTATORS, _annotator)
    _, result = rows(settings, query, {"project": project})
    write(COLUMNS[what], map(shape, result), form, out)


def check_project(settings: Settings, project: str) -> None:
    """Check that something is stored of a project.

    Raises:
        LabelloopError: nothing is, or the server does not answer.
    """
    known = [str(name) for (name,) in rows(settings, _PROJECTS)[1]]
    if project not in known:
        there = f"there are {', '.join(known[:10])}" if known else "nothing is stored yet"
        raise LabelloopError(
            f"no project {project!r} is stored ({there}): check its name, or run `labelloop wait` first"
        )


def write(names: Sequence[str], result: Iterator[Row], form: Format, out: TextIO) -> None:
    """Write rows; in CSV the texts of a list are joined by `;`, and what has parts is JSON."""
    if form == "csv":
        write_csv(names, (list(map(_cell, row)) for row in result), out)
        return
    for row in result:
        record = {name: plain(value) for name, value in zip(names, row, strict=True)}
        out.write(f"{json.dumps(record, ensure_ascii=False)}\n")


def _cell(value: object) -> object:
    if isinstance(value, dict) or (isinstance(value, list) and value and not isinstance(value[0], str)):
        return json.dumps(plain(value), ensure_ascii=False)
    return ";".join(value) if isinstance(value, list) else value


def _item(row: Row) -> Row:
    *shown, verdict = row
    given = json.loads(verdict) if verdict else None
    stands = given and given["value"] and given["verdict"] in ("corrected", "confirmed")
    return [*shown, label_text(given["value"]) if given and stands else None]


def _annotator(row: Row) -> Row:
    annotator, labels, judged, correct, skill, drift_at, confusion = row
    accuracy = correct / judged if judged else None
    told = [*skill, drift_at, json.loads(confusion)] if skill else [None] * 6
    return [annotator, labels, judged, correct, accuracy, *wilson(correct, judged), *told]


def wilson(correct: int, judged: int) -> tuple[float | None, float | None]:
    """Return the 95 % Wilson interval of `correct` of `judged`, as the view annotator_accuracy_daily has it.

    Both ends are None where nothing was judged.
    """
    if not judged:
        return None, None
    share, spread = correct / judged, _Z * _Z / judged
    middle = share + spread / 2
    half = _Z * sqrt(share * (1 - share) / judged + spread / (4 * judged))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
