"""What an analyst asks of each view: one project, a window of time where the view has one, the head of a list."""

from bench.views.data import PROJECT

_PROJECT = f"project = '{PROJECT}'"

QUESTIONS: dict[str, str] = {
    "judged_labels": f"{_PROJECT} AND annotator = 'annotator-1777' LIMIT 1000",
    "annotator_accuracy_daily": f"{_PROJECT} AND day >= '2025-12-01'",
    "class_accuracy_weekly": f"{_PROJECT} AND week >= '2025-10-06'",
    "confusion_matrix": f"{_PROJECT} AND annotator = 'annotator-1777'",
    "accuracy_weekly": f"{_PROJECT} AND week >= '2025-10-06'",
    "same_mistakes": _PROJECT,
    "label_time": _PROJECT,
    "label_time_daily": f"{_PROJECT} AND day >= '2025-12-01'",
    "label_time_weekly": f"{_PROJECT} AND week >= '2025-10-06'",
    "agreement_by_kind": f"{_PROJECT} AND week >= '2025-10-06'",
    "agreement_now": _PROJECT,
    "skill_now": _PROJECT,
    "drift_alarms": _PROJECT,
    "region_labels": f"{_PROJECT} LIMIT 100",
    "review_queue_now": f"{_PROJECT} LIMIT 100",
    "disagreement_now": f"{_PROJECT} LIMIT 100",
    "answers_now": _PROJECT,
    "queue_history": f"{_PROJECT} AND at >= '2025-12-01 00:00:00'",
    "review_progress": f"{_PROJECT} AND at >= '2025-12-01 00:00:00'",
    "reviewer_verdicts": _PROJECT,
    "estimates_judged": f"{_PROJECT} LIMIT 1000",
    "p_wrong_reliability": _PROJECT,
    "event_counts": _PROJECT,
    "training_snapshots": _PROJECT,
    "models_now": _PROJECT,
    "gate_results": _PROJECT,
    "flip_counts": _PROJECT,
    "model_accuracy": _PROJECT,
    "receipts": f"{_PROJECT} AND recipient = 'annotator-1777' LIMIT 100",
    "receipts_by_actor": f"{_PROJECT} AND recipient = 'annotator-1777'",
    "dead_letters_now": "consumer = 'items' LIMIT 100",
}
"""What follows WHERE, by view."""


def statement(view: str) -> str:
    """Return the query of a view."""
    return f"SELECT * FROM {view} WHERE {QUESTIONS[view]}"
