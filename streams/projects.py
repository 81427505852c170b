"""The settings of every project at every time: a pure fold over the `projects` facts.

A change is in force from its log time on. What a fact leaves null stays as it was.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from streams import codec, events
from streams.errors import Poison
from streams.events import Event


@dataclass(frozen=True, slots=True)
class Policy:
    """How the review queue is made; units and meanings are in `schemas/projects.avsc`."""

    shown: str = "posterior"
    p0: float = 0.5
    p1: float = 0.3
    p2: float = 0.15
    annotator_accuracy: float = 0.8
    ageing_per_day: float = 0.01
    resolve_confidence: float = 0.95
    lease_ms: int = 900_000
    doubt_stale_guideline: float = 0.2
    doubt_comment: float = 0.1
    weight_model_conflict: float = 1.0
    weight_frequent_mistake: float = 1.0
    weight_edge_case: float = 1.1
    weight_drifting_annotator: float = 1.1
    weight_new_annotator: float = 1.0
    budget_per_day: int = 0


@dataclass(frozen=True, slots=True)
class Training:
    """When models are trained and what they must reach; units and meanings are in `schemas/projects.avsc`."""

    trainer: str = "lightgbm"
    columns: tuple[str, ...] = ()
    after_corrections: int = 50
    after_class_corrections: int = 0
    after_hours: float = 0.0
    on_drift: bool = False
    on_guideline: bool = True
    quiet_s: float = 5.0
    max_per_day: int = 24
    max_regressions: float = 0.2
    receipts_per_day: int = 20
    max_seconds: float = 600.0
    max_memory_mb: int = 4096


TRAINING_FIELDS = tuple(f.name for f in fields(Training))
POLICY_FIELDS = tuple(f.name for f in fields(Policy))


@dataclass(frozen=True, slots=True)
class Guideline:
    """A guideline version, the classes it changes (none: all), and the log time it came in, ms."""

    version: str
    classes: tuple[str, ...]
    log_time: int


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project's settings at one time.

    Args:
        classes: Declared classes in order; None while none are declared.
        class_order: Index of each declared class.
        policy: The review policy.
        members: Role by actor id; None while nobody is named.
        guidelines: Guideline versions, oldest first.
        training: The training policy.
    """

    classes: tuple[str, ...] | None = None
    class_order: Mapping[str, int] = field(default_factory=dict)
    policy: Policy = Policy()
    members: Mapping[str, str] | None = None
    guidelines: tuple[Guideline, ...] = ()
    training: Training = Training()


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that changed a project's settings, and its log time, ms."""

    log_time: int
    event: Event


DEFAULTS = ProjectView()
"""The settings of a project of which no fact speaks."""


class Projects:
    """Settings of all projects, with their history."""

    def __init__(self) -> None:
        self._times: dict[str, list[int]] = {}
        self._views: dict[str, list[ProjectView]] = {}
        self._changes: dict[str, list[Change]] = {}
        self._seen: set[str] = set()

    def apply(self, event: Event, log_time: int) -> None:
        """Add the next fact of the log; a further copy of one changes nothing.

        Args:
            event: A valid `projects` fact.
            log_time: Its log time, ms. The broker's clock may have been set back: a change is in force no earlier
                than the one before it.
        """
        if event["event_id"] in self._seen:
            return
        self._seen.add(event["event_id"])
        project = event["project"]
        times, views = self._times.setdefault(project, []), self._views.setdefault(project, [])
        if times:
            log_time = max(log_time, times[-1])
        times.append(log_time)
        views.append(changed(views[-1] if views else DEFAULTS, event, log_time))
        self._changes.setdefault(project, []).append(Change(log_time, event))

    def learn(self, value: bytes | None, log_time: int) -> None:
        """Add the next record of the topic; one that is poison is passed over: the last good settings stay in force.

        Args:
            value: The record's bytes.
            log_time: Its log time, ms.
        """
        try:
            name, event = codec.decode(value)
            events.validate("projects", event, log_time)
        except (Poison, KeyError):  # who reports it is the sink; a record of another schema lacks fields
            return
        if name == "projects":
            self.apply(event, log_time)

    def at(self, project: str, log_time: int) -> ProjectView:
        """Return a project's settings in force at `log_time`, ms."""
        times = self._times.get(project)
        if times is None:
            return DEFAULTS
        if log_time >= times[-1]:
            return self._views[project][-1]
        n = bisect_right(times, log_time)
        return self._views[project][n - 1] if n else DEFAULTS

    def latest(self, project: str) -> ProjectView:
        """Return a project's newest settings."""
        views = self._views.get(project)
        return views[-1] if views else DEFAULTS

    def history(self, project: str) -> list[Change]:
        """Return what was changed in a project, oldest first."""
        return [*self._changes.get(project, ())]

    def names(self) -> list[str]:
        """Return the projects there are facts of, sorted."""
        return sorted(self._times)


def changed(view: ProjectView, event: Event, log_time: int) -> ProjectView:
    """Return `view` after one `projects` fact."""
    if event["classes"] is not None:
        classes = tuple(event["classes"])
        view = replace(view, classes=classes, class_order={label: n for n, label in enumerate(classes)})
    if event["policy"] is not None:
        view = replace(view, policy=Policy(**{name: event["policy"][name] for name in POLICY_FIELDS}))
    if event["members"] is not None:
        view = replace(view, members=dict(event["members"]))
    if event["guideline"] is not None:
        new = Guideline(event["guideline"]["version"], tuple(event["guideline"]["classes"]), log_time)
        view = replace(view, guidelines=(*view.guidelines, new))
    if event["training"] is not None:
        given = {name: event["training"][name] for name in TRAINING_FIELDS}
        view = replace(view, training=Training(**{**given, "columns": tuple(given["columns"])}))
    return view
