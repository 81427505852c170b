"""The stages of one project's loop, as batches to publish: snapshot, training and gate, predictions, receipts.

Each begins from the log alone and gives the same result when it is done again, so a process that was killed loses
nothing but time.
"""

import json
import logging
import resource
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version

from streams import codec, events
from streams.errors import LabelloopError, Poison
from streams.events import Actor, Event
from streams.files import folder_name
from streams.keys import item_key
from streams.origins import Origin, counts
from streams.processors.answer import last_by_actor
from streams.producers import facts
from streams.settings import Settings
from streams.transport.plain import Follower
from streams.transport.topics import builds
from workers.artifact import Artifact, model_folder
from workers.artifact import load as load_model
from workers.child import Begun, Publish
from workers.dataset import Dataset, Item, Value
from workers.facts import files_directory, positions
from workers.facts import load as load_facts
from workers.features import Files, Refused
from workers.history import WORKER, History, Loop, Step
from workers.log import HistoryReader
from workers.outbox import Message
from workers.receipts import Lesson, receipts
from workers.registry import About, fact, failed, message
from workers.snapshot import fixed_of, frozen, positions_of, snapshot_event
from workers.training import Spec, judge, train
from workers.triggers import DAY_MS

SLICE_ITEMS = 2_000
"""Predictions in one transaction."""

LIMIT_S = 3_600.0
"""Longest that a stage may take that no policy limits."""

log = logging.getLogger("labelloop.retrain")


def stages(settings: Settings, project: str, cause: str) -> Iterator[Begun | Publish]:
    """Yield what is to be published, until nothing is left to do; whoever publishes it asks for more afterwards.

    Args:
        settings: Where the servers are.
        project: The project.
        cause: What asks for a snapshot; empty: go on with what was begun.

    Raises:
        LabelloopError: the log does not answer.
    """
    with HistoryReader(settings) as reader:
        work = _Work(settings, project, reader.read())
        while True:
            step = work.loop.next_step()
            if step is None and cause:
                step, cause = Step("snapshot", cause=cause), ""
            if step is None:
                return
            yield from work.do(step)
            reader.read()


class _Work:
    """What the stages of one project share: the facts of the last snapshot, and models that were loaded.

    Args:
        settings: Where the servers are.
        project: The project.
        history: What has happened; whoever made it keeps it up to date.
    """

    def __init__(self, settings: Settings, project: str, history: History) -> None:
        self._settings, self._project, self._history = settings, project, history
        self._datasets: dict[str, Dataset] = {}
        self._artifacts: dict[str, Artifact] = {}
        self._folder = settings.home / "models" / folder_name(project)
        self._files = Files(files_directory(settings))

    @property
    def loop(self) -> Loop:
        """What has happened in the project."""
        return self._history.loop(self._project)

    def do(self, step: Step) -> Iterator[Begun | Publish]:
        """Yield what a step has to publish."""
        match step.stage:
            case "snapshot":
                yield Begun("snapshot", "", LIMIT_S)
                yield self._snapshot(step)
            case "train":
                snapshot = self.loop.snapshots[step.snapshot].event
                yield Begun("train", step.snapshot, json.loads(snapshot["settings"])["training"]["max_seconds"])
                yield self._train(step, snapshot)
            case "score":
                yield Begun("score", self.loop.trained[step.version]["snapshot"], LIMIT_S)
                yield from self._score(step)
            case "tell":
                yield Begun("tell", self.loop.trained[step.version]["snapshot"], LIMIT_S)
                yield self._tell(step)

    def _snapshot(self, step: Step) -> Publish:
        """Return the snapshot of all that the log holds now."""
        upto = positions(self._settings)
        earlier = frozen(made.event for made in self.loop.snapshots.values())
        dataset = load_facts(self._settings, self._project, upto, earlier)
        try:
            files = self._files.hashes(dataset.files)
        except Refused:  # the training says so
            files = {}
        made = snapshot_event(
            dataset,
            upto,
            step.cause,
            actor=Actor(id=WORKER, kind="system"),
            code_version=version("labelloop"),
            files=files,
            caused_by=step.caused_by,
        )
        self._datasets = {made.event["snapshot"]: dataset}
        return Publish([message("snapshots", made.event)])

    def _dataset(self, snapshot: Event) -> Dataset:
        """Return the facts of a snapshot, read again unless that was just done.

        Raises:
            Refused: they give other rows than the snapshot says.
        """
        name = snapshot["snapshot"]
        if name not in self._datasets:
            found = load_facts(self._settings, self._project, positions_of(snapshot), fixed_of(snapshot))
            if found.content_hash != snapshot["content_hash"]:
                raise Refused(
                    f"the facts of snapshot {name} give {len(found.rows)} rows with hash {found.content_hash}, not "
                    f"{snapshot['rows']} with {snapshot['content_hash']}: see `labelloop snapshot verify`"
                )
            self._datasets = {name: found}
        return self._datasets[name]

    def _artifact(self, model: str) -> Artifact:
        """Return a model, trained again if it does not lie here: the same snapshot gives the same model."""
        if model not in self._artifacts:
            try:
                self._artifacts[model] = load_model(model_folder(self._folder, model))
            except LabelloopError as error:
                log.warning("%s: %s; it is trained again", self._project, error)
                event = self.loop.trained[model]
                dataset = self._dataset(self.loop.snapshot_of(model))
                artifact, _ = train(event["snapshot"], dataset.rows, Spec.parse(event["spec"]), self._files)
                if artifact.predictions_hash != event["predictions_hash"]:
                    log.warning("%s: %s does not say what it said before", self._project, model)
                artifact.save(model_folder(self._folder, model))
                self._artifacts[model] = artifact
        return self._artifacts[model]

    def _train(self, step: Step, snapshot: Event) -> Publish:
        """Return a model and what the gate says of it, or why there is none."""
        policy, name, began = json.loads(snapshot["settings"])["training"], snapshot["snapshot"], time.monotonic()
        spec, champion = Spec(policy["trainer"], tuple(policy["columns"])), self.loop.champion
        try:
            dataset = self._dataset(snapshot)
            self._check_files(snapshot, dataset)
            artifact, metrics = train(name, dataset.rows, spec, self._files)
            judged = judge(
                self._project,
                artifact,
                None if champion is None else self._artifact(champion),
                dataset.rows,
                dataset.items,
                fixed_of(snapshot),
                self._votes(dataset),
                self._files,
                policy["max_regressions"],
                snapshot["as_of"],
            )
        except Refused as why:
            return Publish([failed(self._project, snapshot, str(why), step.caused_by)])
        except MemoryError:
            why_not = f"it took more than {policy['max_memory_mb']} MB: see max_memory_mb of the training policy"
            return Publish([failed(self._project, snapshot, why_not, step.caused_by)])
        artifact.save(model_folder(self._folder, artifact.version))
        self._artifacts[artifact.version] = artifact
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        metrics |= {"seconds": round(time.monotonic() - began, 3), "peak_mb": round(peak_mb, 1)}
        about = About(
            artifact.version,
            name,
            champion,
            trainer=spec.trainer,
            spec=artifact.spec,
            metrics=metrics,
            libraries=artifact.libraries,
            predictions_hash=artifact.predictions_hash,
        )
        checks = [asdict(check) for check in judged.checks]
        verdict = About(artifact.version, name, champion, judged.reason, checks=checks, regressed=judged.regressed)
        trained = fact(self._project, "trained", about, caused_by=step.caused_by)
        stage = fact(
            self._project, "promoted" if judged.reason is None else "refused", verdict, caused_by=trained["event_id"]
        )
        flips = [Message("flips", self._key(flip), codec.encode("flips", flip)) for flip in judged.flips]
        return Publish([message("models", trained), message("models", stage), *flips])

    def _check_files(self, snapshot: Event, dataset: Dataset) -> None:
        """Check that the files of features are those of the snapshot.

        Raises:
            Refused: one is missing, has changed, or was not there.
        """
        for name, now in self._files.hashes(dataset.files).items():
            if snapshot["files"].get(name) != now:
                raise Refused(f"features_file {name!r} is not what it was in the snapshot: take a new one")

    def _score(self, step: Step) -> Iterator[Publish]:
        """Yield what the champion says of all items, in slices; each says how far it is."""
        artifact = self._artifact(step.version)
        snapshot = self.loop.trained[step.version]["snapshot"]
        dataset = self._datasets.get(snapshot)
        if dataset is None:
            dataset = load_facts(self._settings, self._project, positions(self._settings))
        todo = [item for item_id, item in sorted(dataset.items.items()) if step.after is None or item_id > step.after]
        done = step.done
        for start in range(0, max(1, len(todo)), SLICE_ITEMS):
            items = todo[start : start + SLICE_ITEMS]
            known, troubles = artifact.readable(items, self._files)
            messages = []
            for one in artifact.predict(known, self._files):
                event = facts.prediction(
                    self._project,
                    one.item_id,
                    step.version,
                    one.value if artifact.model.kind != "choice" else None,
                    probabilities=one.probabilities,
                    novelty=one.novelty,
                    out_of_sample=True,
                    caused_by=step.caused_by,
                    source="retrain",
                    event_id=events.event_id("predictions", step.caused_by, one.item_id),
                ).event
                messages.append(Message("predictions", self._key(event), codec.encode("predictions", event)))
            done += len(known)
            after = items[-1].item_id if start + SLICE_ITEMS < len(todo) else None
            reason = f"{len(troubles):,} items have no prediction: {troubles[0]}" if troubles else None
            about = About(step.version, snapshot, reason=reason, items=done, after=after)
            scored = fact(self._project, "scored", about, caused_by=step.caused_by, salt=[after])
            yield Publish([*messages, message("models", scored)])

    def _tell(self, step: Step) -> Publish:
        """Return the receipts of a promoted model, all of them at once."""
        trained = self.loop.trained[step.version]
        snapshot = self.loop.snapshot_of(step.version)
        dataset, policy = self._dataset(snapshot), json.loads(snapshot["settings"])["training"]
        asked = [row.item for row in dataset.rows]
        after = self._said(step.version, asked)
        champion = trained["champion"]
        before = None if champion is None else self._said(champion, asked)
        lesson = Lesson(step.version, snapshot["snapshot"], before, after)
        already = self._told_on(snapshot["as_of"] // DAY_MS)
        found = receipts(dataset, lesson, self._new(dataset, step.version), already, policy["receipts_per_day"])
        about = About(step.version, snapshot["snapshot"], items=len(found))
        told = fact(self._project, "told", about, caused_by=step.caused_by)
        messages = [Message("feedback", self._key(one), codec.encode("feedback", one)) for one in found]
        return Publish([*messages, message("models", told)])

    def _said(self, model: str, items: Sequence[Item]) -> dict[str, Value]:
        """Return what a model says of the items that it can say something of."""
        artifact = self._artifact(model)
        known, _ = artifact.readable(items, self._files)
        return {one.item_id: one.value for one in artifact.predict(known, self._files)}

    def _new(self, dataset: Dataset, model: str | None = None) -> set[str]:
        """Return the corrections and flags that no model learnt from that was promoted, or was before this one."""
        learnt = self.loop.learnt()
        learnt = learnt if model is None else learnt[: learnt.index(model)]
        passed: dict[tuple[str, int, int], int] = {}
        for one in learnt:
            for topic, partition, offset, build in positions_of(self.loop.snapshot_of(one)):
                passed[topic, build, partition] = max(offset, passed.get((topic, build, partition), 0))
        now = builds(self._settings)
        return {
            event_id
            for event_id, (topic, partition, offset, earlier) in dataset.places.items()
            if not counts(topic, (*earlier, Origin(now[topic], partition, offset)), passed)
        }

    def _votes(self, dataset: Dataset) -> dict[str, dict[str, float]]:
        """Return the share of the annotators behind each class, of items with a verdict that is new to all models.

        A verdict under a guideline that came after the champion's snapshot may contradict all that was said before: it
        is left out.
        """
        new, champion = self._new(dataset), self.loop.champion
        known = 0 if champion is None else self.loop.snapshot_of(champion)["as_of"]
        if any(guideline.log_time > known for guideline in dataset.view.guidelines) and champion is not None:
            return {}
        found: dict[str, dict[str, float]] = {}
        for row in dataset.rows:
            if row.source == "verdict" and row.value["kind"] == "choice" and not new.isdisjoint(row.evidence):
                labels = last_by_actor(dataset.states[row.item_id]["facts"].get("labels", {})).values()
                given = Counter(fact["value"]["choice"] for _, fact in labels if (fact["value"] or {}).get("choice"))
                found[row.item_id] = {label: count / given.total() for label, count in given.items()}
        return found

    def _told_on(self, day: int) -> Counter[str]:
        """Return how many receipts each person was told of on a UTC day, in days since 1970."""
        name, found = self._settings.topic("feedback"), Counter[str]()
        follower = Follower(self._settings, [name])
        ends = {(name, n): follower.end(name, n) for n in range(self._settings.partitions)}
        follower.assign(ends)
        while any(follower.position(*at) < end for at, end in ends.items()):
            for read in follower.read(0.05):
                try:
                    _, receipt = codec.decode_own(read.value)
                except Poison:
                    continue
                if receipt["project"] == self._project and receipt["told"] and receipt["at"] // DAY_MS == day:
                    found[receipt["recipient"]] += 1
        return found

    def _key(self, event: Event) -> bytes:
        return item_key(self._project, event["item_id"])
