"""What a project's derived topics settle on: fit and snapshots of its items' states, in one go. Pure."""

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streams import codec
from streams.processors.fits import Skills, proposals
from streams.processors.item_state import ItemState, Sent
from streams.processors.snapshots import snapshots
from streams.projects import ProjectView
from streams.quality.project import Project


@dataclass(frozen=True, slots=True)
class Settled:
    """Newest value of each key of the derived topics, by topic and key.

    There are no tier topics: what was put there depends on what was there before.
    """

    records: Mapping[str, dict[bytes, bytes]] = field(default_factory=lambda: defaultdict(dict))


def settled(project: str, states: Iterable[ItemState], view: ProjectView, refit: int = 1) -> Settled:
    """Return what the derived topics of a project settle on.

    Args:
        project: The project.
        states: Its items, sorted by their keys; they stay as they are.
        view: Its settings.
        refit: Number that the records of the fit are to bear.
    """
    found, labels, skills, mine = Settled(), Project(), Skills(), [*states]
    for state in mine:
        for snapshot in snapshots(_unsent(state), view):
            if snapshot.topic == "judgements":
                labels.apply(codec.decode(snapshot.value)[1])
    truth = labels.fit(view.classes or ())
    for proposal in proposals(project, labels, truth, view, refit, "settle"):
        if proposal.topic == "annotators":
            skills.learn(proposal.value, 0)
        if proposal.topic != "rescores":
            found.records[proposal.topic][proposal.key] = proposal.value
    scorer, signals = skills.scorer(project), skills.signals(project)
    for state in mine:
        for snapshot in snapshots(_unsent(state), view, scorer, signals):
            if not snapshot.topic.startswith("review.p"):
                found.records[snapshot.topic][snapshot.key] = snapshot.value
    return found


def _unsent(state: ItemState) -> ItemState:
    fresh = copy.copy(state)
    fresh["sent"] = Sent(state="", task="", disagreement="", corrected="", judgements={})
    return fresh
