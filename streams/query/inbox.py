"""An inbox: what became of a person's corrections, flags and labels, as the view `receipts` tells it."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from streams.people import People
from streams.query.sql import rows
from streams.settings import Settings
from streams.terminal import printable

SHOWN = 20
"""Receipts that are shown unless all are asked for."""

Receipt = Mapping[str, Any]
"""A row of the view `receipts` by column, and `receipts` and `learnt`: how many the person has of that model."""

_INBOX = """
SELECT *, count() OVER model AS receipts, countIf(outcome = 'learnt') OVER model AS learnt FROM receipts
WHERE recipient = %(actor)s AND (%(project)s = '' OR project = %(project)s)
WINDOW model AS (PARTITION BY project, model_version)
ORDER BY at DESC, project, model_version, place, item_id
"""

_ANSWERS = {
    "learnt": "the model has learnt it",
    "still_right": "the model is right, as before",
    "newly_wrong": "the model is wrong now",
    "still_wrong": "the model is still wrong",
    "unknown": "the item was not trained on",
}


def inbox(settings: Settings, actor: str, project: str | None) -> list[Receipt]:
    """Return a person's receipts, the newest model first, of each model the most instructive first.

    Args:
        settings: Where ClickHouse is.
        actor: The person's pseudonym.
        project: Only of this project; None: of all.

    Raises:
        LabelloopError: the server does not answer.
    """
    names, found = rows(settings, _INBOX, {"actor": actor, "project": project or ""})
    return [dict(zip(names, row, strict=True)) for row in found]


def chosen(found: Iterable[Receipt], everything: bool) -> list[Receipt]:
    """Return what to show: all, or the first of those that the policy lets a person hear of."""
    return [*found] if everything else [receipt for receipt in found if receipt["told"]][:SHOWN]


def lines(found: Iterable[Receipt], people: People) -> Iterator[str]:
    """Yield receipts as text, a heading for each model; whatever names hold, it is one printable line each.

    Args:
        found: The receipts.
        people: Who the pseudonyms are.
    """
    for number, ((project, version), its) in enumerate(groupby(found, lambda r: (r["project"], r["model_version"]))):
        receipts = [*its]
        first = receipts[0]
        if number:
            yield ""
        yield printable(
            f"{project}: model {version}, trained on {first['snapshot']} as of {first['at']:%Y-%m-%d %H:%M}: "
            f"{first['learnt']:,} of {first['receipts']:,} learnt"
        )
        for receipt in receipts:
            yield printable(f"  {receipt['item_id']}: {_done(receipt, people)}")
            yield printable(f"    {_answered(receipt)}{_similar(receipt)}")


def _done(receipt: Receipt, people: People) -> str:
    """Return what was done to the item, said to the recipient."""
    mine, resolved = receipt["recipient_role"] == "author", receipt["resolved"]
    who = "you" if mine else f"{people.shown(receipt['by'])} ({receipt['by_role']})"
    did = receipt["cause"] or "judged"
    what = "it" if mine else f"your label {receipt['label']}"
    taken = "" if resolved is None else f"; trained on as {resolved}"
    why = f" ({receipt['reason']})" if receipt["reason"] else ""
    return f"{who} {did} {what}{why}{taken}"


def _answered(receipt: Receipt) -> str:
    """Return what the models say of the item; neither had seen it."""
    before = "" if receipt["before"] is None else f", {receipt['before']} before"
    after = "" if receipt["after"] is None else f": it says {receipt['after']}{before}"
    return _ANSWERS[receipt["outcome"]] + after


def _similar(receipt: Receipt) -> str:
    if not receipt["similar_items"]:
        return ""
    before = f", {receipt['similar_right_before']:,} before" if receipt["before"] is not None else ""
    right = f"{receipt['similar_right_after']:,} of {receipt['similar_items']:,}"
    return f"; of similar items ({receipt['similar']}) {right} right{before}"
