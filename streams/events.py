"""Facts as the rest of the code sees them: their types, their deterministic ids, and what makes one valid.

The types mirror `schemas/*.avsc`, where every field's unit and meaning is written.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, TypedDict
from uuid import UUID, uuid5

import orjson

from streams.errors import Poison
from streams.quality.limits import MAX_FRAMES, MAX_REGIONS, spanned

MAX_AHEAD_MS = 5 * 60_000
"""How far `occurred_at` may lie after the log's timestamp, milliseconds."""

MAX_WEIGHT = 4.0
"""Largest weight of a review task, and of one of its terms."""

NAMESPACE = UUID("6f1d3a0e-2c4b-5d6e-8f70-91a2b3c4d5e6")
"""Namespace of all derived event ids; part of the contract, never to change."""

ACTOR_KINDS = ("annotator", "reviewer", "lead", "model", "system")
ROLES = ("annotator", "reviewer", "lead")
VERDICTS = ("corrected", "confirmed", "rejected", "unsure", "undone")
GOLD_USES = ("evaluation", "truth", "fixed")
STAGES = ("requested", "trained", "failed", "refused", "promoted", "scored", "told")
CLAIM_ACTIONS = ("claim", "renew", "release", "skip")
VALUE_KINDS = ("choice", "choices", "number", "text", "spans", "boxes", "polygons", "tracks")


class Actor(TypedDict):
    """Who acted."""

    id: str
    kind: str


class Value(TypedDict):
    """A label value; `kind` names the field that is set."""

    kind: str
    choice: str | None
    choices: list[str] | None
    number: float | None
    text: str | None
    spans: list[dict[str, Any]] | None
    boxes: list[dict[str, Any]] | None
    polygons: list[dict[str, Any]] | None
    tracks: list[dict[str, Any]] | None


Event = dict[str, Any]
"""A fact as decoded: the envelope's fields and those of its kind."""

_NO_VALUE = dict.fromkeys(VALUE_KINDS)


def value_of(kind: str, content: object) -> Value:
    """Return the label value of `kind` that holds `content`."""
    return {**_NO_VALUE, "kind": kind, kind: content}  # type: ignore[typeddict-item]


def choice(label: str) -> Value:
    """Return the value of one class."""
    return value_of("choice", label)


def content_of(value: Mapping[str, Any]) -> Any:
    """Return what a value holds: the field that its kind names."""
    return value[value["kind"]]


def event_id(*parts: object) -> str:
    """Return the id derived from `parts`: equal parts, equal id; the order of a mapping's keys does not count."""
    return str(uuid5(NAMESPACE, orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()))


def said(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event says: its fields that are set, and within them whatever is not null.

    Ids and digests are made from this alone: a later schema may add fields, and kinds of label values, and what was
    said before must keep its id.
    """
    return {name: _not_null(value) if type(value) in _WITHIN else value for name, value in event.items() if value}


_WITHIN = (dict, list)


def _not_null(part: Any) -> Any:
    if type(part) is dict:
        return {
            name: _not_null(value) if type(value) in _WITHIN else value
            for name, value in part.items()
            if value is not None
        }
    if type(part) is list and part and type(part[0]) is dict:
        return [_not_null(value) for value in part]
    return part


def digest(event: Event) -> str:
    """Return a short hash of what an event says, the same for every copy of it."""
    return blake2b(orjson.dumps(said(event), option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


def validate(name: str, event: Event, log_time: int | None) -> None:
    """Check a fact of topic `name` against the contract.

    Args:
        name: Topic's name in the catalogue.
        event: The fact as decoded.
        log_time: The log's timestamp in ms; None before it is sent.

    Raises:
        Poison: `invalid`, with the field, what is wrong and the remedy.
    """
    _text("event_id", event["event_id"], 200)
    if name != "ticks":
        _text("project", event["project"], 200)
    if name not in ("projects", "snapshots", "models", "ticks"):
        _text("item_id", event["item_id"], 500)
    actor = event["actor"]
    _text("actor.id", actor["id"], 200)
    _one_of("actor.kind", actor["kind"], ACTOR_KINDS)
    occurred_at = event["occurred_at"]
    if occurred_at is not None:
        if occurred_at < 0:
            raise Poison("invalid", f"occurred_at is {occurred_at}: give milliseconds since 1970-01-01 UTC")
        if log_time is not None and occurred_at > log_time + MAX_AHEAD_MS:
            raise Poison(
                "invalid",
                f"occurred_at {occurred_at} is {(occurred_at - log_time) // 1000} s after the log's timestamp: "
                "set the tool's clock, or give UTC milliseconds",
            )
    check = _CHECKS.get(name)
    if check is not None:
        check(event)


def _text(field: str, text: str, limit: int) -> None:
    if not 0 < len(text) <= limit:
        raise Poison("invalid", f"{field} has {len(text)} characters: give 1 to {limit}")


def _one_of(field: str, text: str, allowed: tuple[str, ...]) -> None:
    if text not in allowed:
        raise Poison("invalid", f"{field} is {text!r}: use one of {', '.join(allowed)}")


def _share(field: str, number: float | None) -> None:
    if number is not None and not 0 <= number <= 1:
        raise Poison("invalid", f"{field} is {number}: give a number from 0 to 1")


def check_value(field: str, value: Mapping[str, Any]) -> None:
    """Check a label value.

    Raises:
        Poison: `invalid`.
    """
    kind = value["kind"]
    if kind == "choice":  # the common one first
        _text(f"{field}.choice", value["choice"] or "", 500)
        return
    _one_of(f"{field}.kind", kind, VALUE_KINDS)
    content = value[kind]
    if content is None:
        raise Poison("invalid", f"{field}.{kind} is missing: set the field that kind names")
    if kind == "number" and not math.isfinite(content):
        raise Poison("invalid", f"{field}.number is {content}: give a finite number")
    for label in classes_in(value):
        _text(f"a class in {field}.{kind}", label, 500)
    if kind in _REGIONS and len(content) > MAX_REGIONS:
        raise Poison("invalid", f"{field}.{kind} holds {len(content):,}: give at most {MAX_REGIONS:,}")
    if kind == "choices" and len({*content}) != len(content):
        raise Poison("invalid", f"{field}.choices names a class twice: give a set")
    if kind == "spans":
        for span in content:
            if not 0 <= span["start"] < span["end"]:
                raise Poison(
                    "invalid", f"{field}: span {span['start']}-{span['end']}: start at 0 or later, end after the start"
                )
    elif kind == "boxes":
        _rectangles(field, content)
    elif kind == "polygons":
        for polygon in content:
            if len(polygon["points"]) < 3:
                raise Poison("invalid", f"{field}: a polygon needs at least 3 points")
            for point in polygon["points"]:
                _fractions(field, point["x"], point["y"])
    elif kind == "tracks":
        for track in content:
            frames = [frame["frame"] for frame in track["frames"]]
            if not frames or frames[0] < 0 or any(later <= earlier for earlier, later in pairwise(frames)):
                raise Poison("invalid", f"{field}: a track has keyframes, numbered from 0, in order, each once")
            _rectangles(field, track["frames"])
        total = sum(map(spanned, content))
        if total > MAX_FRAMES:
            raise Poison("invalid", f"{field}: tracks of {total:,} frames: give at most {MAX_FRAMES:,}")


def classes_in(value: Mapping[str, Any]) -> list[str]:
    """Return the classes that a value names: its choices, or those of its regions."""
    kind = value["kind"]
    content = value[kind]
    if kind == "choice":
        return [content]
    if kind == "choices":
        return list(content)
    return [region["label"] for region in content] if kind in _REGIONS else []


_REGIONS = frozenset({"spans", "boxes", "polygons", "tracks"})


def _rectangles(field: str, rectangles: Sequence[Mapping[str, float]]) -> None:
    for one in rectangles:
        _fractions(field, one["x"], one["y"], one["width"], one["height"])
        if one["width"] <= 0 or one["height"] <= 0:
            raise Poison(
                "invalid", f"{field}: a box of {one['width']:g} by {one['height']:g}: give a width and height above 0"
            )
        if not math.isfinite(one.get("rotation", 0.0)):
            raise Poison("invalid", f"{field}: a rotation of {one['rotation']}: give degrees")


def _fractions(field: str, *numbers: float) -> None:
    """Refuse what is no fraction of an image's size; a region may reach beyond the edge, but not by an image."""
    for number in numbers:
        if not -1 <= number <= 2:
            raise Poison(
                "invalid", f"{field}: {number:g} is no fraction of the image: divide pixels by its width or height"
            )


def _label(event: Event) -> None:
    if event["value"] is not None:
        check_value("value", event["value"])
    elif not event["retracted"]:
        raise Poison("invalid", "value is missing: give a value, or retracted=true to take the label back")
    duration = event["duration_ms"]
    if duration is not None and duration < 0:
        raise Poison("invalid", f"duration_ms is {duration}: give milliseconds from 0")


def _flag(event: Event) -> None:
    _text("kind", event["kind"], 200)
    _share("severity", event["severity"])


def _comment(event: Event) -> None:
    _text("thread", event["thread"], 200)


def _correction(event: Event) -> None:
    verdict = event["verdict"]
    _one_of("verdict", verdict, VERDICTS)
    if verdict in ("corrected", "confirmed"):
        if event["value"] is None:
            raise Poison("invalid", f"value is missing: a verdict {verdict} names the right answer")
        check_value("value", event["value"])
    elif event["value"] is not None:
        raise Poison("invalid", f"a verdict {verdict} carries no value: leave it out, or send corrected")
    if (verdict == "undone") != (event["undoes"] is not None):
        raise Poison("invalid", "undoes names the verdict that is taken back: set it for undone, and only there")


def _prediction(event: Event) -> None:
    _text("model_version", event["model_version"], 200)
    for label, probability in event["probabilities"].items():
        _share(f"probabilities[{label!r}]", probability)
    _share("novelty", event["novelty"])
    if event["value"] is not None:
        check_value("value", event["value"])
    elif not event["probabilities"]:
        raise Poison("invalid", "a prediction needs a value or probabilities")


def _gold(event: Event) -> None:
    _one_of("use", event["use"], GOLD_USES)
    check_value("value", event["value"])


def _claim(event: Event) -> None:
    _one_of("action", event["action"], CLAIM_ACTIONS)
    if event["lease_ms"] is not None:
        _lease("lease_ms", event["lease_ms"])


def _lease(field: str, lease: int) -> None:
    if not 0 < lease <= 7 * 86_400_000:
        raise Poison("invalid", f"{field} is {lease}: give 1 ms to 7 days")


def _project(event: Event) -> None:
    classes, members, policy = event["classes"], event["members"], event["policy"]
    if classes is not None and (not classes or len({*classes}) != len(classes) or "" in classes):
        raise Poison("invalid", "classes names one twice, an empty one or none: give each class once, in order")
    if members is not None and not members:
        raise Poison("invalid", "members names nobody, and nobody could give a verdict: keep one reviewer or lead")
    for actor, role in (members or {}).items():
        _one_of(f"members[{actor!r}]", role, ROLES)
    if policy is not None:
        _one_of("policy.shown", policy["shown"], ("majority", "posterior", "imported"))
        if not 0 <= policy["p2"] <= policy["p1"] <= policy["p0"] <= 1:
            raise Poison("invalid", "policy thresholds must fall from p0 to p2 and lie from 0 to 1")
        if not 0 < policy["annotator_accuracy"] < 1:
            raise Poison("invalid", "policy.annotator_accuracy must lie between 0 and 1")
        _share("policy.resolve_confidence", policy["resolve_confidence"])
        if not 0 <= policy["ageing_per_day"] <= 1:
            raise Poison("invalid", "policy.ageing_per_day must lie from 0 to 1")
        _lease("policy.lease_ms", policy["lease_ms"])
        if policy["budget_per_day"] < 0:
            raise Poison("invalid", "policy.budget_per_day must be a number of reviews, or 0 for no limit")
        for name, number in policy.items():
            if name.startswith("doubt_"):
                _share(f"policy.{name}", number)
            elif name.startswith("weight_") and not 0 <= number <= MAX_WEIGHT:
                raise Poison("invalid", f"policy.{name} is {number}: give a factor from 0 to {MAX_WEIGHT:g}")
    guideline = event["guideline"]
    if guideline is not None:
        _text("guideline.version", guideline["version"], 200)
    if event["training"] is not None:
        _training(event["training"])


def _training(policy: Mapping[str, Any]) -> None:
    _text("training.trainer", policy["trainer"], 200)
    _share("training.max_regressions", policy["max_regressions"])
    for name in ("after_corrections", "after_class_corrections", "after_hours", "quiet_s", "max_per_day"):
        if not policy[name] >= 0:
            raise Poison("invalid", f"training.{name} is {policy[name]}: give a number from 0")
    for name in ("receipts_per_day", "max_seconds", "max_memory_mb"):
        if not policy[name] > 0:
            raise Poison("invalid", f"training.{name} is {policy[name]}: give a number above 0")


def _model(event: Event) -> None:
    _one_of("stage", event["stage"], STAGES)
    if event["model_version"] is not None:
        _text("model_version", event["model_version"], 200)
    elif event["stage"] not in ("requested", "failed"):
        raise Poison("invalid", f"model_version is missing: a model was {event['stage']}")


_CHECKS: dict[str, Callable[[Event], None]] = {
    "labels": _label,
    "flags": _flag,
    "comments": _comment,
    "corrections": _correction,
    "predictions": _prediction,
    "gold": _gold,
    "claims": _claim,
    "projects": _project,
    "models": _model,
}
