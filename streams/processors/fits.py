"""What a fit says to the world, as records; and the other way: what the workers have heard of the last fit.

A fit is published in parts, so that no record grows with the project; only a whole one counts.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from streams import codec
from streams.errors import Poison
from streams.keys import make_key
from streams.projects import ProjectView
from streams.quality.agreement import Agreement
from streams.quality.fitted import CONFUSION, ONE_COIN, Fitted, Known, VoteRule, learnt, together
from streams.quality.label_models import pooled_accuracy
from streams.quality.project import Project, Scope
from streams.quality.reliability import BASELINE, drift, reliability
from streams.quality.signals import Signals
from streams.quality.skill import Scorer
from streams.quality.truth import Truth, Voice

PART_CELLS = 20_000
"""Entries of confusion matrices in one record: below 600 kB."""

MAX_ENTRIES = 1000
"""Entries of a confusion matrix told for people to read."""


class Proposal(NamedTuple):
    """A record that a fit proposes: topic (catalogue name), key in that topic, value."""

    topic: str
    key: bytes
    value: bytes


def _proposal(topic: str, record: dict[str, Any]) -> Proposal:
    return Proposal(topic, key_of(topic, record), codec.encode(topic, record))


def key_of(topic: str, record: Mapping[str, Any]) -> bytes:
    """Return the key of a proposed record in its own topic."""
    if topic == "annotators":
        return make_key(record["project"], str(record["part"]))
    if topic == "rescores":
        return make_key(record["project"])
    if topic == "skill":
        return make_key(record["project"], record["annotator"], record["actor_kind"])
    return make_key(record["project"], record["scope"], record["name"])


def proposals(
    name: str, project: Project, truth: Truth | None, view: ProjectView, refit: int, request: str | None
) -> Iterator[Proposal]:
    """Yield what a fit has to say, the order to score items again last.

    Args:
        name: The project's name.
        project: Its labels.
        truth: The fit; None: there are no labels to fit.
        view: The project's settings.
        refit: The fit's number.
        request: What asked for all items to be scored again; None: open ones that moved suffice.
    """
    if truth is not None:
        skills = [*_skills(name, project, truth, refit)]
        drifting = {one["annotator"]: one["drifting"] for one in skills if one["actor_kind"] == "annotator"}
        for part in _parts(name, learnt(truth), drifting, refit):
            yield _proposal("annotators", part)
        for skill in skills:
            yield _proposal("skill", skill)
    for scope, agreement in project.agreement():
        record = coefficients(scope, agreement, view)
        record |= {"project": name, "scope": scope[0], "name": scope[1], "refit": refit}
        yield _proposal("agreement", record)
    rescore = {"project": name, "refit": refit if truth is not None else 0, "all": request is not None}
    yield _proposal("rescores", {**rescore, "request": request})


def _parts(project: str, fitted: Fitted, drifting: Mapping[str, bool], refit: int) -> list[dict[str, Any]]:
    """Return what a fit has learnt as records of the schema `annotators`."""
    chunks: list[list[dict[str, Any]]] = [[]]
    room = PART_CELLS
    for name, known in fitted.annotators.items():
        cells, first = [*known.cells.items()], True
        while cells or first:
            if room <= 0:
                chunks.append([])
                room = PART_CELLS
            now, cells = cells[:room], cells[room:]
            chunks[-1].append(
                {
                    "annotator": name,
                    "right": known.right,
                    "given": known.given,
                    "able_right": known.able_right,
                    "able": known.able,
                    "drifting": drifting.get(name, False),
                    "vote": 0.0 if fitted.vote is None else fitted.vote.weights[name],
                    "truth": [truth for (truth, _), _ in now],
                    "answer": [answer for (_, answer), _ in now],
                    "count": [count for _, count in now],
                }
            )
            room, first = room - len(now) - 8, False
    voice, vote = fitted.voice or Voice(0.0, ()), fitted.vote or VoteRule({}, 0.0, 0.0, (), 0.0)
    return [
        {
            "project": project,
            "refit": refit,
            "part": n,
            "parts": len(chunks),
            "classes": fitted.classes,
            "prior": fitted.priors[CONFUSION],
            "coin_prior": fitted.priors[ONE_COIN],
            "weight": fitted.weights[CONFUSION],
            "model_scale": voice.scale,
            "model_mean": voice.mean,
            "vote_prior": vote.prior,
            "vote_scale": vote.scale,
            "vote_right": vote.right,
            "vote_of_others": vote.of_others,
            "annotators": annotators,
        }
        for n, annotators in enumerate(chunks)
    ]


def _skills(name: str, project: Project, truth: Truth, refit: int) -> Iterator[dict[str, Any]]:
    """Yield each annotator's and model's accuracy, a record of the schema `skill`."""
    labels = truth.labels
    pooled = pooled_accuracy(truth.models[ONE_COIN].counts)
    posterior = {item: truth.of(item) for item in labels.items}
    cells = truth.models[CONFUSION].counts.cells
    confusions: dict[str, list[tuple[float, int, int]]] = {}
    if cells is not None:
        for who, true, said, count in zip(*(array.tolist() for array in cells), strict=True):
            confusions.setdefault(labels.annotators[who], []).append((count, true, said))
    for kind, who, answers in project.answers():
        known = [(at, item, label) for at, item, label in answers if item in posterior]
        correct = [posterior[item].get(label, 0.0) for _, item, label in known]
        result, alarm = reliability(correct, pooled), drift(correct)
        largest = sorted(confusions.get(who, ()), key=lambda cell: (-cell[0], *cell[1:]))[:MAX_ENTRIES]
        yield {
            "project": name,
            "annotator": who,
            "actor_kind": kind,
            "refit": refit,
            "n_labels": len(known),
            "judged": sum(project.is_judged(item) for _, item, _ in known),
            **result._asdict(),
            "drift_at": None if alarm is None else known[alarm][0],
            "drifting": alarm is not None and len(known) - alarm <= BASELINE,
            "confusion": [
                {"truth": labels.classes[true], "answer": labels.classes[said], "count": count}
                for count, true, said in (largest if kind == "annotator" else ())
                if count >= 0.01
            ],
        }


def coefficients(scope: Scope, agreement: Agreement, view: ProjectView) -> dict[str, Any]:
    """Return what is told of the agreement of a part of a project, as fields of the schema `agreement`."""
    labels = agreement.labels
    classes = 2 if scope[0] == "class" else len(view.classes or ())
    ordered = order_of(labels, view)
    numbers = scope[0] != "class" and _are_numbers(labels)
    return {
        "items": agreement.items,
        "labels": labels.total(),
        "raw": agreement.raw(),
        "alpha": agreement.alpha(),
        "alpha_ordinal": agreement.alpha("ordinal", ordered) if ordered or numbers else None,
        "alpha_interval": agreement.alpha("interval") if numbers else None,
        "alpha_ratio": agreement.alpha("ratio") if numbers and all(float(label) >= 0 for label in labels) else None,
        "fleiss": agreement.fleiss(),
        "ac1": agreement.ac1(classes),
    }


def order_of(labels: Collection[str], view: ProjectView) -> Sequence[str]:
    """Return the classes in the order in which labels are ranked; none: they are no declared classes."""
    return view.classes if view.classes and {*labels} <= view.class_order.keys() else ()


def _are_numbers(labels: Mapping[str, int]) -> bool:
    try:
        return bool(labels) and all(float("-inf") < float(label) < float("inf") for label in labels)
    except ValueError:
        return False


class Skills:
    """The newest whole fit of every project, read from the topic `annotators`."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[int, dict[str, Any]]] = {}
        self._fits: dict[str, tuple[int, Scorer | None, Signals | None]] = {}

    def learn(self, value: bytes | None, log_time: int) -> None:
        """Take the next record of the topic; one that is none is passed over.

        Raises:
            LabelloopError: a newer labelloop wrote it.
        """
        try:
            name, part = codec.decode_own(value)
        except Poison:
            return
        if name != "annotators":
            return
        parts = self._parts.setdefault(part["project"], {})
        if any(other["refit"] != part["refit"] for other in parts.values()):
            parts.clear()
        parts[part["part"]] = part
        if len(parts) == part["parts"]:
            del self._parts[part["project"]]
            whole = [parts[n] for n in sorted(parts)]
            people = [one for part in whole for one in part["annotators"]]
            if any(one["answer"] and not one["count"] for one in people):
                # of an early program, which told no counts: as before the first fit, until the next one comes
                self._fits[part["project"]] = part["refit"], None, None
                return
            fitted = _together(whole)
            drifting = {one["annotator"] for one in people if one["drifting"]}
            self._fits[part["project"]] = part["refit"], Scorer(fitted), Signals(fitted, drifting)

    def scorer(self, project: str) -> Scorer | None:
        """Return what scores a project's items, None before its first fit."""
        found = self._fits.get(project)
        return None if found is None else found[1]

    def signals(self, project: str) -> Signals | None:
        """Return what weighs a project's tasks, None before its first fit."""
        found = self._fits.get(project)
        return None if found is None else found[2]

    def refit(self, project: str) -> int:
        """Return the number of a project's newest whole fit, 0 before the first."""
        found = self._fits.get(project)
        return 0 if found is None else found[0]


def _together(parts: list[dict[str, Any]]) -> Fitted:
    """Return the parts of a fit as it was."""
    annotators: dict[str, Known] = {}
    weights: dict[str, float] = {}
    for part in parts:
        for record in part["annotators"]:
            cells = dict(zip(zip(record["truth"], record["answer"], strict=True), record["count"], strict=True))
            before = annotators.get(record["annotator"])
            if before is not None:
                cells = {**before.cells, **cells}
            weights[record["annotator"]] = record["vote"]
            annotators[record["annotator"]] = Known(
                record["right"], record["given"], record["able_right"], record["able"], cells
            )
    head = parts[0]
    return Fitted(
        classes=tuple(head["classes"]),
        weights={CONFUSION: head["weight"], ONE_COIN: 1 - head["weight"]},
        priors={CONFUSION: tuple(head["prior"]), ONE_COIN: tuple(head["coin_prior"])},
        pooled=together(annotators.values()),
        annotators=annotators,
        voice=Voice(head["model_scale"], tuple(head["model_mean"])) if head["model_mean"] else None,
        vote=VoteRule(
            weights, head["vote_of_others"], head["vote_right"], tuple(head["vote_prior"]), head["vote_scale"]
        )
        if head["vote_prior"]
        else None,
    )
