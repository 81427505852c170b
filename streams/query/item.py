"""The whole story of one item: every fact about it, oldest first, from ClickHouse."""

from typing import Any

from streams.query.sql import rows
from streams.settings import Settings

_STORY = {
    "items": "if(removed, 'withdrawn', coalesce(text, media, ''))",
    "labels": "if(retracted, 'took the label back', label)",
    "flags": "if(resolves IS NULL, concat(kind, coalesce(concat(': ', text), '')), 'settled a flag')",
    "comments": "concat('[', thread, '] ', text, if(resolved, ' (settled)', ''))",
    "corrections": "concat(verdict, coalesce(concat(' ', label), ''), coalesce(concat(': ', reason), ''))",
    "predictions": "concat(coalesce(label, toString(probabilities)), ' by ', model_version)",
    "gold": "concat(coalesce(label, ''), ' (', use, ')')",
    "claims": "action",
}
"""What a fact says, by table, as a ClickHouse expression."""


def history(settings: Settings, project: str, item_id: str) -> list[dict[str, Any]]:
    """Return the facts about an item: `at`, `topic`, `actor`, `says`, `event_id`; oldest first.

    Raises:
        LabelloopError: ClickHouse does not answer.
    """
    parts = [
        f"SELECT coalesce(occurred_at, logged_at) AS at, '{table}' AS topic, actor_id AS actor, "
        f"toString({says}) AS says, event_id, _partition, _offset "
        f"FROM {table} FINAL WHERE project = %(project)s AND item_id = %(item_id)s"
        for table, says in _STORY.items()
    ]
    statement = (
        f"SELECT at, topic, actor, says, event_id FROM ({' UNION ALL '.join(parts)}) ORDER BY at, topic, _offset"
    )
    names, found = rows(settings, statement, {"project": project, "item_id": item_id})
    return [dict(zip(names, row, strict=True)) for row in found]
