"""Reads a project's numbers from ClickHouse and writes the report's files."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from streams.clock import Clock
from streams.errors import LabelloopError
from streams.query.export import check_project
from streams.query.sql import rows, write_csv
from streams.report.numbers import Table
from streams.report.regions import compare
from streams.report.report import report
from streams.settings import Settings

PAGE = "report.html"

MOST_ITEMS = 2000
"""Items whose regions are compared one by one; of more, so many are drawn by lot."""

_MOST_MOMENTS = 600

QUERIES: Mapping[str, str] = {
    "answers": """
        SELECT status, tier, source, items, labels, expected_wrong FROM answers_now WHERE project = %(project)s""",
    "annotators": """
        SELECT annotator, actor_kind, count() AS labels FROM judgements FINAL
        WHERE project = %(project)s AND value_kind IS NOT NULL GROUP BY annotator, actor_kind ORDER BY annotator""",
    # of each stretch of time the last moment
    "queue_history": f"""
        SELECT max(moment) AS at, sum(opened) AS opened, sum(closed) AS closed, argMax(open, moment) AS open
        FROM
        (
            SELECT h.at AS moment, h.opened AS opened, h.closed AS closed, h.open AS open,
                toUnixTimestamp(h.at) AS second, min(second) OVER () AS first, max(second) OVER () AS last
            FROM queue_history_now AS h WHERE h.project = %(project)s
        )
        GROUP BY intDiv(second - first, greatest(1, intDiv(last - first, {_MOST_MOMENTS})))
        ORDER BY at""",
    "review_progress": """
        SELECT n, at, item_id, reviewer, verdict, found FROM review_progress WHERE project = %(project)s ORDER BY n""",
    "p_wrong_reliability": """
        SELECT bin, items, expected, wrong, share, low, high FROM p_wrong_reliability_now
        WHERE project = %(project)s ORDER BY bin""",
    "estimates_judged": """
        SELECT item_id, p_wrong, shown, truth, source, wrong FROM estimates_judged
        WHERE project = %(project)s ORDER BY p_wrong DESC, item_id""",
    "accuracy_weekly": """
        SELECT annotator, actor_kind, week, basis, labels, correct, accuracy, low, high FROM accuracy_weekly_now
        WHERE project = %(project)s ORDER BY actor_kind, annotator, basis, week""",
    "accuracy_known": """
        SELECT annotator, actor_kind, sum(labels) AS judged, sum(correct) / judged AS accuracy FROM accuracy_weekly_now
        WHERE project = %(project)s AND basis = 'known' GROUP BY annotator, actor_kind ORDER BY annotator""",
    "skill": """
        SELECT annotator, actor_kind, n_labels, judged, accuracy, low, high, recent, drift_at FROM skill_now
        WHERE project = %(project)s AND n_labels > 0 ORDER BY accuracy, annotator""",
    "confusion": """
        SELECT annotator, actor_kind, truth, answer, labels FROM confusion_matrix
        WHERE project = %(project)s ORDER BY actor_kind, annotator, truth, answer""",
    "same_mistakes": """
        SELECT annotator, model, items, wrong, model_wrong, same, share, by_chance FROM same_mistakes_now
        WHERE project = %(project)s ORDER BY wrong DESC, annotator, model""",
    "drift_alarms": """
        SELECT annotator, actor_kind, drift_at, accuracy, recent FROM drift_alarms
        WHERE project = %(project)s ORDER BY drift_at DESC, annotator""",
    "agreement": """
        SELECT scope, name, items, raw, alpha, alpha_ordinal, alpha_interval, alpha_ratio, fleiss, ac1
        FROM agreement FINAL WHERE project = %(project)s AND items > 0 ORDER BY scope, name""",
    "agreement_by_kind": """
        SELECT kind, week, items, agreement FROM agreement_by_kind_now
        WHERE project = %(project)s ORDER BY kind, week""",
    "reviewers": """
        SELECT reviewer, verdicts, overturned, overturn_rate, again, contradicted FROM reviewer_verdicts
        WHERE project = %(project)s ORDER BY verdicts DESC, reviewer""",
    "label_time_weekly": """
        SELECT week, labels, median_ms, p90_ms FROM label_time_weekly WHERE project = %(project)s ORDER BY week""",
    "label_time": """
        SELECT annotator, labels, p10_ms, median_ms, p90_ms FROM label_time
        WHERE project = %(project)s ORDER BY annotator""",
    "models": """
        SELECT n, model_version, trained_at, snapshot, trainer, compared_with, rows, accuracy, judged, accuracy_judged,
            log_loss, verdict, verdict_by, reason, is_champion
        FROM models_now WHERE project = %(project)s ORDER BY n""",
    "model_accuracy": """
        SELECT n, model_version, as_of, rows, accuracy, accuracy_judged, annotator_labels, annotator_accuracy, verdict
        FROM model_accuracy_now WHERE project = %(project)s ORDER BY n""",
    "gate_results": """
        SELECT model_version, champion, judged_at, verdict, part, examples, champion_right, model_right, low, high,
            regressions, allowed, passed
        FROM gate_results WHERE project = %(project)s ORDER BY judged_at, model_version, part""",
    "flip_counts": """
        SELECT f.model_version AS model_version, champion, part, now_right, still_wrong, newly_wrong
        FROM flip_counts AS f
        INNER JOIN (SELECT model_version, n FROM models_now WHERE project = %(project)s) AS m USING (model_version)
        WHERE project = %(project)s ORDER BY m.n, part""",
    "region_sample": f"""
        SELECT uniqExact(item_id) AS items, least(items, {MOST_ITEMS}) AS compared FROM region_labels
        WHERE project = %(project)s HAVING items > 0""",
}
"""What is read, by the name of the CSV file it is written to."""

_REGIONS = f"""
SELECT item_id, annotator, kind, value, reference, p_wrong, text FROM region_labels
WHERE project = %(project)s AND item_id IN
(
    SELECT DISTINCT item_id FROM region_labels WHERE project = %(project)s
    ORDER BY cityHash64(item_id), item_id LIMIT {MOST_ITEMS}
)
"""


def make(settings: Settings, project: str, out: Path, clock: Clock) -> Path:
    """Write a project's report: `report.html` and the numbers behind each part as CSV.

    Args:
        settings: Where ClickHouse is.
        project: The project.
        out: Folder; made if it is not there.
        clock: Says when it was made.

    Returns:
        The page.

    Raises:
        LabelloopError: nothing is stored of the project, the server does not answer, or a file cannot be written.
    """
    check_project(settings, project)
    _prepared(out)
    numbers = {name: _table(settings, query, project) for name, query in QUERIES.items()}
    numbers |= compare(_table(settings, _REGIONS, project).records())
    made = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    numbers["queue_history"] = _until(numbers["queue_history"], made)
    text = report(project, f"{made:%Y-%m-%d at %H:%M} UTC", numbers)
    try:
        for name, table in numbers.items():
            with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                write_csv(table.columns, table.rows, file)
        page = out / PAGE
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabelloopError(f"{out} cannot be written: {error.strerror}") from error
    return page


def _prepared(out: Path) -> None:
    """Make the folder, before anything is read in vain."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabelloopError(f"{out} cannot be written: {error.strerror}") from error


def _until(history: Table, now: datetime) -> Table:
    """Return the queue's history up to now."""
    last = [(now, 0, 0, history.rows[-1][-1])] if history.rows else []
    return Table(history.columns, [*history.rows, *last])


def _table(settings: Settings, query: str, project: str) -> Table:
    names, found = rows(settings, query, {"project": project})
    return Table(tuple(names), [*found])
