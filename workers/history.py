"""What has happened in the loop of each project: a pure fold over the facts `snapshots` and `models`.

It alone says what comes next, so a worker that was killed, or another one, goes on where the log ends.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from streams import codec, events
from streams.errors import Poison
from streams.events import Event

WORKER = "retrain"
"""Actor of what the worker does on its own, of kind `system`."""


class Made(NamedTuple):
    """A snapshot as it was made, and the log time of that, ms."""

    event: Event
    log_time: int


class Promotion(NamedTuple):
    """A model that was made champion: the fact's event id and the model's version."""

    event_id: str
    version: str


class Step(NamedTuple):
    """What comes next in a project.

    Args:
        stage: `snapshot`: make one; `train` on a snapshot; `score` the items by the champion; `tell` the receipts.
        snapshot: Snapshot to train on.
        version: Model to score or tell by.
        cause: What led to it.
        caused_by: event_id of what led to it.
        after: Last item that is scored already; None: none is.
        done: How many are.
    """

    stage: Literal["snapshot", "train", "score", "tell"]
    snapshot: str = ""
    version: str = ""
    cause: str = ""
    caused_by: str | None = None
    after: str | None = None
    done: int = 0


@dataclass(slots=True)
class Loop:
    """What has happened in one project.

    Args:
        snapshots: Snapshots by name, oldest first.
        mine: Those among them that the worker made, to train on.
        answers: Snapshot by the event id of what asked for it.
        trained: The fact `trained` of each model by version, oldest first.
        models: Version by snapshot.
        failures: The fact `failed` of each snapshot that no model could be made of.
        judged: The last fact `promoted` or `refused` of each model.
        unmade: The fact `failed` of each request that came to no snapshot.
        promotions: All promotions, oldest first; the last one is the champion's.
        scored: Last fact `scored` of each promotion.
        left_out: Why items have no prediction of a model, the last word on it, by version.
        told: Models whose receipts are told.
        requests: What people asked for, by event id, oldest first.
        answered: Requests that were.
    """

    snapshots: dict[str, Made] = field(default_factory=dict)
    mine: dict[str, Made] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    trained: dict[str, Event] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Event] = field(default_factory=dict)
    judged: dict[str, Event] = field(default_factory=dict)
    unmade: dict[str, Event] = field(default_factory=dict)
    promotions: list[Promotion] = field(default_factory=list)
    scored: dict[str, Event] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    requests: dict[str, Event] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)

    @property
    def champion(self) -> str | None:
        """Version of the champion, None before the first."""
        return self.promotions[-1].version if self.promotions else None

    @property
    def last(self) -> Made | None:
        """The worker's last snapshot, None before the first."""
        return [*self.mine.values()][-1] if self.mine else None

    def snapshot_of(self, version: str) -> Event:
        """Return the snapshot that a model was trained on.

        Raises:
            KeyError: there is no such model.
        """
        return self.snapshots[self.trained[version]["snapshot"]].event

    def is_ended(self, snapshot: str) -> bool:
        """Return whether a model was made of a snapshot, or none could be made."""
        return snapshot in self.models or snapshot in self.failures

    def outcome(self, request: str) -> Event | None:
        """Return the last word on a request: the fact `failed`, `promoted` or `refused`; None before it is spoken."""
        asked = self.requests.get(request)
        if asked is None:
            return None
        name = asked["snapshot"] or self.answers.get(request)
        if name is None:
            return self.unmade.get(request)
        version = self.models.get(name)
        return self.failures.get(name) if version is None else self.judged.get(version)

    def learnt(self) -> list[str]:
        """Return the models that were ever promoted, in order of their first promotion."""
        return list(dict.fromkeys(promotion.version for promotion in self.promotions))

    def next_step(self) -> Step | None:
        """Return what was begun and is to be ended, else what somebody waits for; None: nothing."""
        if self.promotions:
            promotion = self.promotions[-1]
            scored = self.scored.get(promotion.event_id)
            if scored is None or scored["after"] is not None:
                after, done = (None, 0) if scored is None else (scored["after"], scored["items"])
                return Step("score", version=promotion.version, caused_by=promotion.event_id, after=after, done=done)
        for promotion in self.promotions:
            if promotion.version not in self.told:
                return Step("tell", version=promotion.version, caused_by=promotion.event_id)
        for name, made in self.mine.items():
            if not self.is_ended(name):
                return Step("train", snapshot=name, caused_by=made.event["event_id"])
        for event_id, request in self.requests.items():
            if event_id in self.answered:
                continue
            name = request["snapshot"]
            if name is None:
                return Step("snapshot", cause="by_hand", caused_by=event_id)
            if name in self.snapshots and not self.is_ended(name):
                return Step("train", snapshot=name, caused_by=event_id)
        return None


class History:
    """The loops of all projects; the first copy of a fact counts."""

    def __init__(self) -> None:
        self._loops: dict[str, Loop] = {}
        self._seen: set[str] = set()

    def learn(self, value: bytes | None, log_time: int) -> None:
        """Take the next record of `snapshots` or `models`; one that is poison is passed over."""
        try:
            name, event = codec.decode(value)
            if name not in ("snapshots", "models"):
                return
            events.validate(name, event, log_time)
        except (Poison, KeyError):  # who reports it is the sink
            return
        if event["event_id"] in self._seen:
            return
        self._seen.add(event["event_id"])
        loop = self._loops.setdefault(event["project"], Loop())
        if name == "snapshots":
            made = Made(event, log_time)
            loop.snapshots.setdefault(event["snapshot"], made)  # the same facts give the same name, whoever asks
            if event["actor"]["kind"] == "system":
                loop.mine.setdefault(event["snapshot"], made)
            if event["caused_by"] is not None:
                loop.answers[event["caused_by"]] = event["snapshot"]
                loop.answered.add(event["caused_by"])
        else:
            _apply(loop, event)

    def loop(self, project: str) -> Loop:
        """Return what has happened in a project."""
        return self._loops.get(project) or Loop()

    def projects(self) -> list[str]:
        """Return the projects in which something has happened, sorted."""
        return sorted(self._loops)


def _apply(loop: Loop, event: Event) -> None:
    stage, version = event["stage"], event["model_version"]
    if stage == "requested":
        loop.requests[event["event_id"]] = event
    elif stage == "failed":
        if event["snapshot"] is not None:
            loop.failures[event["snapshot"]] = event
        else:
            loop.unmade[event["caused_by"]] = event
        loop.answered.add(event["caused_by"])
    elif stage == "trained":  # its snapshot may be read later: that is another topic
        loop.trained.setdefault(version, event)
        loop.models[event["snapshot"]] = version
        loop.answered.add(event["caused_by"])
    elif version not in loop.trained:
        return  # of a model that nobody trained here
    elif stage == "promoted":
        loop.judged[version] = event
        loop.promotions.append(Promotion(event["event_id"], version))
    elif stage == "refused":
        loop.judged[version] = event
    elif stage == "scored":
        loop.scored[event["caused_by"]] = event
        if event["reason"] is not None:
            loop.left_out[version] = event["reason"]
    elif stage == "told":
        loop.told.add(version)
