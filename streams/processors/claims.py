"""Who works on an item: a race that the log's order decides.

The first claim in the log owns the item until its lease ends, judged by record timestamps alone. Expiry needs no
timer: a reader treats a lease in the past as free.
"""

from collections.abc import Collection
from typing import TypedDict

from streams.events import Event

_REMEMBERED = 64  # event ids of recent claims: a copy of one must not claim again


class Claims(TypedDict):
    """Owner and lease of an item, who skipped it, and the claims applied last."""

    owner: str | None
    until: int | None
    skipped_by: list[str]
    recent: list[str]


def no_claims() -> Claims:
    """Return the claims of an item nobody has touched."""
    return Claims(owner=None, until=None, skipped_by=[], recent=[])


def apply_claim(claims: Claims, event: Event, log_time: int, lease_ms: int, unsure_by: Collection[str] = ()) -> bool:
    """Apply the next claim fact of the log, in place.

    Args:
        claims: The item's claims.
        event: The decoded, valid fact.
        log_time: The record's timestamp, ms.
        lease_ms: Lease where the fact names none, ms.
        unsure_by: Who could not decide: their claim has served its purpose, and they get no other one.

    Returns:
        Whether anything changed; a claim that lost the race or a copy changes nothing.
    """
    if event["event_id"] in claims["recent"]:
        return False
    claims["recent"] = [*claims["recent"][1 - _REMEMBERED :], event["event_id"]]
    actor, action = event["actor"]["id"], event["action"]
    held = claims["owner"] not in (None, *unsure_by) and claims["until"] is not None and log_time < claims["until"]
    mine = claims["owner"] == actor
    if action == "skip" and actor not in claims["skipped_by"]:
        claims["skipped_by"] = sorted([*claims["skipped_by"], actor])
    if action in ("skip", "release"):
        if mine:
            claims["owner"], claims["until"] = None, None
    elif actor not in unsure_by and ((action == "claim" and not held) or (mine and held)):
        claims["owner"], claims["until"] = actor, log_time + (event["lease_ms"] or lease_ms)
    return True
