"""The fitter: a child of a "quality" worker that reads the judgements of the worker's partitions, fits, and proposes.

It is a process of its own so that a long fit delays no heartbeat, and of low priority. Its parent tells it which
partitions are its own, one line of numbers after each rebalance; when the parent ends, so does it.
"""

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Collection

from streams import codec
from streams.clients import MAX_RECORD_BYTES
from streams.errors import LabelloopError, NotNow, Poison
from streams.keys import make_key, split_key
from streams.processors.fits import proposals
from streams.processors.refits import QUARTER, Schedule
from streams.projects import Projects
from streams.quality.project import Project
from streams.settings import Settings
from streams.transport.broadcast import Broadcast
from streams.transport.guards import STOP, leave
from streams.transport.plain import Follower, Publisher

_WAIT_S = 0.1

log = logging.getLogger("labelloop.quality")


class _Fitted:
    """One project: its labels, when it is due, and who waits for it."""

    def __init__(self, name: str, partition: int) -> None:
        self.name, self.partition = name, partition
        self.labels, self.schedule = Project(), Schedule()
        self.requests: list[tuple[str, int]] = []  # request, and the offset up to which the judgements must be read
        self.settled = -1  # number of the last fit that somebody asked for
        self.answer = 0  # what its order to score items again said of it


class Fitter:
    """Fits the projects of some partitions.

    Args:
        settings: Where the broker is.
    """

    def __init__(self, settings: Settings) -> None:
        self._judgements, self._settles = settings.topic("judgements"), settings.topic("settles")
        self._fits = settings.topic("fits")
        self._follower = Follower(settings, [self._judgements], [self._settles])
        self._publisher = Publisher(settings)
        self._settings = Projects()
        self._changed = set[str]()
        self._broadcast = Broadcast(settings, settings.topic("projects"), self._learn)
        self._projects: dict[str, _Fitted] = {}
        self._ends: dict[int, int] = {}
        self._rest_until = float("-inf")

    def _learn(self, value: bytes | None, log_time: int) -> None:
        self._settings.learn(value, log_time)
        try:
            self._changed.add(codec.decode(value)[1]["project"])
        except (Poison, KeyError):  # it changes nothing; who reports it is the sink
            return

    def own(self, partitions: Collection[int]) -> None:
        """Forget what was read, and read these partitions from the beginning.

        Raises:
            NotNow: the broker does not answer.
        """
        self._projects = {}
        self._ends = {n: self._follower.end(self._judgements, n) for n in partitions}
        self._follower.assign((topic, n) for topic in (self._judgements, self._settles) for n in partitions)

    def step(self) -> None:
        """Read what is there and fit what is due.

        Raises:
            NotNow: the broker does not answer.
            LabelloopError: a newer labelloop wrote what is there.
        """
        for topic, partition, _, value, key, _ in self._follower.read(_WAIT_S):
            if value is None and topic == self._judgements:
                self._forget(key or b"")
                continue
            try:
                name, record = codec.decode_own(value)
            except Poison:
                continue
            if name not in ("judgements", "settles"):
                continue
            project = self._projects.setdefault(record["project"], _Fitted(record["project"], partition))
            if topic == self._settles:
                project.requests.append((record["request"], self._follower.end(self._judgements, partition)))
            else:
                project.labels.apply(record)
                project.schedule.changed_at = time.monotonic()
        self._broadcast.catch_up()
        while self._changed:  # other settings make another queue, and may make another fit
            if changed := self._projects.get(self._changed.pop()):
                changed.labels.changes += 1
                changed.schedule.changed_at = time.monotonic()
        self._fit_asked()
        self._fit_due()

    def _forget(self, key: bytes) -> None:
        """Take it that nobody judged this: a rebuild found that the facts do not say so."""
        project, item, who, *kind = split_key(key)
        if (found := self._projects.get(project)) is not None:
            found.labels.forget(item, who, kind[0] if kind else "annotator")
            found.schedule.changed_at = time.monotonic()

    def _fit_asked(self) -> None:
        """Fit what somebody waits for, once the judgements are read up to where they ended when it was asked."""
        for project in self._projects.values():
            ready = [
                request
                for request, end in project.requests
                if self._follower.position(self._judgements, project.partition) >= end
            ]
            if ready:
                project.requests = [one for one in project.requests if one[0] not in ready]
                if project.settled != self._number(project):
                    self._fit(project, ready.pop())
                for request in ready:
                    self._answer(project, request)

    def _fit_due(self) -> None:
        """Fit the project that has waited longest, of those that are due and read as far as they were at the start."""
        now = time.monotonic()
        if now < self._rest_until:
            return
        due = [
            project
            for project in self._projects.values()
            if project.schedule.due(now, project.labels.changes, project.labels.n_labels)
            and self._follower.position(self._judgements, project.partition) >= self._ends[project.partition]
        ]
        if due:
            project = min(due, key=lambda one: one.schedule.fitted_at)
            self._fit(project, None)
            self._rest_until = time.monotonic() + QUARTER * project.schedule.busy

    def _answer(self, project: _Fitted, request: str) -> None:
        """Tell one who asks again, or with others, that the fit before is also theirs."""
        record = {"project": project.name, "refit": project.answer, "all": False, "request": request}
        value = codec.encode("rescores", record)
        self._publisher.send(self._fits, [(make_key(project.name, request), value)], project.partition)

    def _number(self, project: _Fitted) -> int:
        """Return the number of a fit made now: another one for whatever can make another fit.

        It is made of the logs' own offsets, so that no restart makes it smaller.
        """
        return self._follower.position(self._judgements, project.partition) + self._broadcast.position

    def _fit(self, project: _Fitted, request: str | None) -> None:
        began = time.monotonic()
        view, refit = self._settings.latest(project.name), self._number(project)
        try:
            truth = project.labels.fit(view.classes or ())
            records = [
                (make_key(proposal.topic) + b"/" + proposal.key, proposal.value)
                for proposal in proposals(project.name, project.labels, truth, view, refit, request)
            ]
            if any(len(value) > MAX_RECORD_BYTES for _, value in records):
                raise LabelloopError(f"{project.labels.n_labels:,} labels have too many classes to tell: declare them")
        except Exception:
            # one project that cannot be fitted, by a bug, must not keep the others from it: its last fit stays
            log.exception("project %s cannot be fitted", project.name)
            records, request = [], None
        if request is not None:
            project.settled, project.answer = refit, refit if truth is not None else 0
        project.schedule.fitted(began, time.monotonic())
        self._publisher.send(self._fits, records, project.partition)


def main() -> None:
    """Fit until the parent ends."""
    os.nice(10)
    owned: queue.SimpleQueue[list[int]] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            owned.put([int(number) for number in line.split()])
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    fitter = Fitter(Settings.load())
    while True:
        try:
            while not owned.empty():
                fitter.own(owned.get())
            fitter.step()
        except NotNow as error:
            leave(f"the fitter cannot go on: {error}")
        except LabelloopError as error:
            leave(f"the fitter cannot go on: {error}", STOP)


if __name__ == "__main__":
    main()
