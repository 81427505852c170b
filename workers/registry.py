"""What is told of models: facts of the topic `models`, with ids derived from what they are about.

A step that is done again after a crash gives the same ids; whoever reads counts the first copy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from streams import codec, events
from streams.events import Event
from streams.keys import make_key
from workers.history import WORKER
from workers.outbox import Message

Stage = Literal["requested", "trained", "failed", "refused", "promoted", "scored", "told"]

SOURCE = "retrain"


@dataclass(frozen=True, slots=True)
class About:
    """What a fact about a model says besides its stage; meanings are in `schemas/models.avsc`."""

    model_version: str | None = None
    snapshot: str | None = None
    champion: str | None = None
    reason: str | None = None
    trainer: str | None = None
    spec: str = ""
    metrics: Mapping[str, float] | None = None
    checks: Sequence[Mapping[str, Any]] = ()
    regressed: Sequence[str] = ()
    libraries: Mapping[str, str] | None = None
    predictions_hash: str | None = None
    items: int = 0
    after: str | None = None


def fact(
    project: str,
    stage: Stage,
    about: About,
    *,
    caused_by: str | None = None,
    by: str | None = None,
    occurred_at: int | None = None,
    salt: Sequence[object] = (),
) -> Event:
    """Return a fact about a model.

    Args:
        project: Project.
        stage: What happened.
        about: What is said of it.
        caused_by: event_id of what led to it.
        by: Who did it by hand; None: the worker.
        occurred_at: When a person did it, ms since 1970 UTC.
        salt: What else tells two facts of one stage and model apart.
    """
    actor = {"id": WORKER, "kind": "system"} if by is None else {"id": by, "kind": "lead"}
    id_ = events.event_id("models", project, stage, about.model_version, about.snapshot, caused_by, actor, *salt)
    return {
        "event_id": id_,
        "project": project,
        "item_id": "",
        "actor": actor,
        "occurred_at": occurred_at,
        "source": SOURCE if by is None else "cli",
        "source_ref": None,
        "source_seq": None,
        "schema_version": None,
        "guideline_version": None,
        "caused_by": caused_by,
        "attributes": {},
        "stage": stage,
        **asdict(about),
        "metrics": dict(about.metrics or {}),
        "checks": [dict(check) for check in about.checks],
        "regressed": [*about.regressed],
        "libraries": dict(about.libraries or {}),
    }


def message(topic: str, event: Event) -> Message:
    """Return a fact about a whole project as a record."""
    return Message(topic, make_key(event["project"]), codec.encode(topic, event))


def no_snapshot(project: str, why: str, caused_by: str | None) -> Message:
    """Return the record that says that what was asked for came to no snapshot."""
    return message("models", fact(project, "failed", About(reason=why), caused_by=caused_by))


def failed(project: str, snapshot: Event, why: str, caused_by: str | None = None) -> Message:
    """Return the record that says that no model could be made of a snapshot."""
    about = About(snapshot=snapshot["snapshot"], reason=why)
    return message("models", fact(project, "failed", about, caused_by=caused_by or snapshot["event_id"]))
