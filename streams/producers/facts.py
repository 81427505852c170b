"""Builds facts from typed arguments: the envelope, the fields of its kind, and the id derived from all of them.

Pure: nothing is sent or checked here. An argument left out is null, or the default that the schema states.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, TypedDict, Unpack

from streams import events
from streams.events import Event, Value
from streams.producers.values import Answer, InvalidFact, as_value
from streams.projects import POLICY_FIELDS, TRAINING_FIELDS, Policy, Training


class Envelope(TypedDict, total=False):
    """What every fact may carry besides its own fields.

    Args:
        occurred_at: When it happened in the source, ms since 1970 UTC.
        source: Tool that sends it.
        source_ref: The tool's own id of the thing.
        source_seq: The tool's own order, such as a line number.
        schema_version: Label schema in force when the person acted.
        guideline_version: Guideline in force when the person acted.
        caused_by: event_id of what led to it.
        attributes: Whatever else the tool knows, as text.
        event_id: The tool's own id of the fact, instead of the derived one.
    """

    occurred_at: int | None
    source: str
    source_ref: str | None
    source_seq: int | None
    schema_version: str | None
    guideline_version: str | None
    caused_by: str | None
    attributes: Mapping[str, str]
    event_id: str | None


class Fact(NamedTuple):
    """An event and the topic of the catalogue it belongs to."""

    topic: str
    event: Event

    def identified(self, *salt: str) -> "Fact":
        """Return the fact with the id derived from all that it says, and from `salt`.

        Fields that are unset do not count, so that a later schema may add some.
        """
        content = events.said({**self.event, "event_id": None})
        return Fact(self.topic, {**self.event, "event_id": events.event_id(self.topic, *salt, content)})


def label(
    project: str,
    item_id: str,
    annotator: str,
    value: Answer | None,
    *,
    duration_ms: int | None = None,
    retracted: bool = False,
    **envelope: Unpack[Envelope],
) -> Fact:
    """An annotator's label of an item; it replaces their earlier one.

    Args:
        project: Project.
        item_id: Item.
        annotator: Who labelled, as a pseudonym.
        value: The label, see `as_value`; None only with `retracted`.
        duration_ms: Time spent on it.
        retracted: The label is taken back.
        **envelope: see `Envelope`.
    """
    if retracted and value is not None:
        raise InvalidFact("a label that is taken back carries no value: leave out the value, or retracted")
    fields = {"value": _optional(value), "retracted": retracted, "duration_ms": duration_ms}
    return _fact("labels", project, item_id, annotator, "annotator", fields, envelope)


def flag(
    project: str,
    item_id: str,
    actor: str,
    kind: str,
    *,
    severity: float = 0.5,
    text: str | None = None,
    resolves: str | None = None,
    **envelope: Unpack[Envelope],
) -> Fact:
    """Somebody doubts an item, or settles a doubt.

    Args:
        project: Project.
        item_id: Item.
        actor: Who doubts.
        kind: What is doubted, e.g. wrong, unclear; any word.
        severity: How sure the doubt is, 0 to 1.
        text: Explanation.
        resolves: event_id of the flag that is settled.
        **envelope: see `Envelope`.
    """
    fields = {"kind": kind, "severity": float(severity), "text": text, "resolves": resolves}
    return _fact("flags", project, item_id, actor, "annotator", fields, envelope)


def comment(
    project: str,
    item_id: str,
    actor: str,
    thread: str,
    text: str,
    *,
    parent: str | None = None,
    anchor: str | None = None,
    resolved: bool = False,
    **envelope: Unpack[Envelope],
) -> Fact:
    """A contribution to a thread about an item.

    Args:
        project: Project.
        item_id: Item.
        actor: Who speaks.
        thread: Thread within the item.
        text: What is said.
        parent: event_id of the comment that is answered.
        anchor: Id of the region or span that is meant.
        resolved: This contribution settles the thread.
        **envelope: see `Envelope`.
    """
    fields = {"thread": thread, "parent": parent, "anchor": anchor, "text": text, "resolved": resolved}
    return _fact("comments", project, item_id, actor, "annotator", fields, envelope)


def correction(
    project: str,
    item_id: str,
    reviewer: str,
    verdict: str,
    value: Answer | None = None,
    *,
    reason: str | None = None,
    judged_labels: Sequence[str] = (),
    judged_prediction: str | None = None,
    task_revision: str | None = None,
    undoes: str | None = None,
    **envelope: Unpack[Envelope],
) -> Fact:
    """A reviewer's verdict on an item; all are kept, the last standing one counts.

    Args:
        project: Project.
        item_id: Item.
        reviewer: Who judges.
        verdict: corrected, confirmed, rejected, unsure or undone.
        value: The right answer; for corrected and confirmed only.
        reason: Why.
        judged_labels: event_ids of the labels that were judged.
        judged_prediction: event_id of the prediction that was judged.
        task_revision: Revision of the review task that led to it.
        undoes: event_id of the verdict that undone takes back.
        **envelope: see `Envelope`.
    """
    fields = {
        "verdict": verdict,
        "value": _optional(value),
        "reason": reason,
        "judged_labels": [*judged_labels],
        "judged_prediction": judged_prediction,
        "task_revision": task_revision,
        "undoes": undoes,
    }
    return _fact("corrections", project, item_id, reviewer, "reviewer", fields, envelope)


def prediction(
    project: str,
    item_id: str,
    model_version: str,
    value: Answer | None = None,
    *,
    probabilities: Mapping[str, float] | None = None,
    novelty: float | None = None,
    out_of_sample: bool = False,
    imported: bool = False,
    **envelope: Unpack[Envelope],
) -> Fact:
    """What a model version says of an item, or a consensus that was computed elsewhere.

    Args:
        project: Project.
        item_id: Item.
        model_version: Model that predicts; it is the fact's actor too.
        value: The model's answer.
        probabilities: Probability by class, 0 to 1.
        novelty: How unlike the training data the item is, 0 to 1.
        out_of_sample: The model was not trained on this item.
        imported: It is no model's voice but the answer of a consensus elsewhere, which the policy may show.
        **envelope: see `Envelope`.
    """
    fields = {
        "model_version": model_version,
        "value": _optional(value),
        "probabilities": {name: float(share) for name, share in (probabilities or {}).items()},
        "novelty": novelty,
        "out_of_sample": out_of_sample,
    }
    return _fact("predictions", project, item_id, model_version, ("model", "system")[imported], fields, envelope)


def item(
    project: str,
    item_id: str,
    *,
    text: str | None = None,
    media: str | None = None,
    features: Sequence[float] | None = None,
    features_file: str | None = None,
    features_row: int | None = None,
    group: str | None = None,
    task_type: str | None = None,
    removed: bool = False,
    **envelope: Unpack[Envelope],
) -> Fact:
    """An item that is to be annotated, or what is now known of it; the last one counts.

    Args:
        project: Project.
        item_id: Item.
        text: The text to annotate.
        media: Address of the image, audio or video.
        features: Numeric features.
        features_file: File that holds the features.
        features_row: Row in that file, from 0.
        group: Items of one group are alike: similar tasks are reviewed together.
        task_type: What is asked for, e.g. choice or boxes.
        removed: The item is withdrawn.
        **envelope: see `Envelope`.
    """
    fields = {
        "text": text,
        "media": media,
        "features": None if features is None else [float(number) for number in features],
        "features_file": features_file,
        "features_row": features_row,
        "group": group,
        "task_type": task_type,
        "removed": removed,
    }
    return _fact("items", project, item_id, envelope.get("source", _SOURCE), "system", fields, envelope)


def gold(
    project: str,
    item_id: str,
    value: Answer,
    *,
    by: str,
    use: str = "evaluation",
    **envelope: Unpack[Envelope],
) -> Fact:
    """The known answer of an item.

    Args:
        project: Project.
        item_id: Item.
        value: The answer, see `as_value`.
        by: Who knows it; only reviewers and leads may fix the truth once members are named.
        use: evaluation (judges, touches nothing else), truth (fixes the answer), fixed (also a gate example).
        **envelope: see `Envelope`.
    """
    return _fact("gold", project, item_id, by, "lead", {"value": as_value(value), "use": use}, envelope)


def claim(
    project: str,
    item_id: str,
    reviewer: str,
    action: str = "claim",
    *,
    lease_ms: int | None = None,
    task_revision: str | None = None,
    **envelope: Unpack[Envelope],
) -> Fact:
    """A reviewer takes, keeps, gives back or skips an item.

    Args:
        project: Project.
        item_id: Item.
        reviewer: Who.
        action: claim, renew, release or skip.
        lease_ms: How long the claim holds; None: the policy's lease.
        task_revision: Revision of the review task that is claimed.
        **envelope: see `Envelope`.
    """
    fields = {"action": action, "lease_ms": lease_ms, "task_revision": task_revision}
    return _fact("claims", project, item_id, reviewer, "reviewer", fields, envelope)


def project(
    project: str,
    by: str,
    *,
    classes: Sequence[str] | None = None,
    policy: Policy | Mapping[str, Any] | None = None,
    members: Mapping[str, str] | None = None,
    guideline: str | Mapping[str, Any] | None = None,
    training: Training | Mapping[str, Any] | None = None,
    **envelope: Unpack[Envelope],
) -> Fact:
    """A change of a project's settings; what is left out stays as it was.

    Args:
        project: Project.
        by: Lead who changes it.
        classes: All classes in order.
        policy: The whole policy; fields left out of a mapping take the schema's defaults.
        members: Role by actor, whole.
        guideline: A new version's name, or `version`, `classes` (those it changes) and `text`.
        training: The whole training policy; fields left out of a mapping take the schema's defaults.
        **envelope: see `Envelope`.

    Raises:
        InvalidFact: a policy has no such field.
    """
    fields = {
        "classes": None if classes is None else _names(classes),
        "policy": None if policy is None else asdict(policy if isinstance(policy, Policy) else _policy(policy)),
        "members": None if members is None else dict(members),
        "guideline": None if guideline is None else _guideline(guideline),
        "training": None if training is None else _training(training),
    }
    return _fact("projects", project, "", by, "lead", fields, envelope)


def tick(at: int, **envelope: Unpack[Envelope]) -> Fact:
    """Time passes.

    Args:
        at: The time, ms since 1970 UTC.
        **envelope: see `Envelope`.
    """
    return _fact("ticks", "", "", envelope.get("source", _SOURCE), "system", {"at": at}, envelope)


_SOURCE = "sdk"


def _fact(
    topic: str, project: str, item_id: str, actor: str, kind: str, fields: Mapping[str, Any], envelope: Envelope
) -> Fact:
    unknown = envelope.keys() - Envelope.__annotations__.keys()
    if unknown:
        raise TypeError(f"unknown argument {', '.join(sorted(unknown))}")
    event_id = envelope.get("event_id")
    fact = Fact(
        topic,
        {
            "event_id": event_id,
            "project": project,
            "item_id": item_id,
            "actor": {"id": actor, "kind": kind},
            "occurred_at": envelope.get("occurred_at"),
            "source": envelope.get("source", _SOURCE),
            "source_ref": envelope.get("source_ref"),
            "source_seq": envelope.get("source_seq"),
            "schema_version": envelope.get("schema_version"),
            "guideline_version": envelope.get("guideline_version"),
            "caused_by": envelope.get("caused_by"),
            "attributes": dict(envelope.get("attributes", {})),
            **fields,
        },
    )
    return fact.identified() if event_id is None else fact


def _optional(answer: Answer | None) -> Value | None:
    return None if answer is None else as_value(answer)


def _policy(fields: Mapping[str, Any]) -> Policy:
    unknown = {*fields} - {*POLICY_FIELDS}
    if unknown:
        raise InvalidFact(f"a policy has no {', '.join(sorted(unknown))}: use {', '.join(POLICY_FIELDS)}")
    return Policy(**fields)


def _training(given: Training | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(given, Training):
        unknown = {*given} - {*TRAINING_FIELDS}
        if unknown:
            raise InvalidFact(
                f"a training policy has no {', '.join(sorted(unknown))}: use {', '.join(TRAINING_FIELDS)}"
            )
        given = Training(**given)
    return {**asdict(given), "columns": [*given.columns]}


def _names(classes: Sequence[str]) -> list[str]:
    if isinstance(classes, str):
        raise InvalidFact(f"classes is {classes!r}: give a list of classes")
    return [*classes]


def _guideline(guideline: str | Mapping[str, Any]) -> dict[str, Any]:
    given = {"version": guideline} if isinstance(guideline, str) else guideline
    if not given.get("version"):
        raise InvalidFact("a guideline has a version: name it")
    return {"version": given["version"], "classes": [*given.get("classes", ())], "text": given.get("text")}
