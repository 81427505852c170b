"""Trains a model on a snapshot's rows and compares it with the champion: the same rows, the same model."""

import hashlib
import json
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from streams import events
from streams.quality.labels import Floats, Ints
from streams.quality.truth import LEAST_SHARE
from workers.artifact import Artifact, Model, Novelty, libraries, tempered
from workers.dataset import Item, Row, Value, files_of
from workers.features import Featuriser, Files, Refused
from workers.gate import (
    MAX_REGRESSED,
    Check,
    Example,
    Foretold,
    Part,
    agreement,
    check,
    flip_text,
    is_right,
    outcome,
    reason,
    regressed,
    tolerance_of,
)
from workers.trainers import Learner, Trainer, trainer

FOLDS = 5
TOGETHER_ROUNDS = 2
"""How often models help to decide open rows: at first those that the votes alone have taught."""

CONSENSUS_WEIGHT = 1 / 3
"""Weight of a row that nobody decided, beside one that a person did, times the probability of its class: what many say
is also what many get wrong in the same way, and only a person's word sets that right."""

LEAST_ROWS = 20
MAX_FLIPS = 10_000
KINDS = ("choice", "choices", "number")


@dataclass(frozen=True, slots=True)
class Spec:
    """What makes a model besides the rows.

    Args:
        trainer: Name of the trainer.
        columns: Attributes that are features.
        seed: Seed of all that is random.
    """

    trainer: str = "lightgbm"
    columns: tuple[str, ...] = ()
    seed: int = 0

    def json(self) -> str:
        """Return it as JSON, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Return what `json` wrote."""
        told = json.loads(text)
        return cls(**{**told, "columns": tuple(told["columns"])})


def model_version(snapshot: str, spec: Spec) -> str:
    """Return the version of the model that a snapshot and a spec give."""
    return "m-" + hashlib.sha256(f"{snapshot} {spec.json()}".encode()).hexdigest()[:12]


class Judged(NamedTuple):
    """A new model beside the champion.

    Args:
        checks: The parts of the gate.
        reason: Why it is refused; None: it is not.
        regressed: Items that the champion has right and it has wrong.
        flips: Records of the schema `flips`.
    """

    checks: list[Check]
    reason: str | None
    regressed: list[str]
    flips: list[dict[str, Any]]


def train(snapshot: str, rows: Sequence[Row], spec: Spec, files: Files) -> tuple[Artifact, dict[str, float]]:
    """Return the model of a snapshot's rows, and its measurements.

    Args:
        snapshot: Name of the snapshot.
        rows: Its rows, sorted by item.
        spec: What else makes the model.
        files: Files that features come from.

    Raises:
        Refused: there are too few rows, one class only, nothing to learn from, or labels of a kind that no model is
            trained on.
    """
    kinds = Counter(row.value["kind"] for row in rows)
    kind = min(kinds, key=lambda one: (-kinds[one], one)) if kinds else "choice"
    if kind not in KINDS:
        raise Refused(f"the labels are {kind}: models are trained on {', '.join(KINDS)}")
    used = [row for row in rows if row.value["kind"] == kind]
    if len(used) < LEAST_ROWS:
        raise Refused(f"{len(used)} rows: at least {LEAST_ROWS} are needed; review more items, or lower the policy's "
                      "resolve_confidence")  # fmt: skip
    classes = tuple(sorted({label for row in used for label in events.classes_in(row.value)}))
    if kind == "choice" and len(classes) < 2:
        raise Refused(f"all {len(used)} rows are {classes[0]!r}: a model needs two classes")
    if kind == "choices" and not classes:
        raise Refused(f"all {len(used)} rows are without a class: a model needs one")
    items = [row.item for row in used]
    featuriser = Featuriser(spec.columns)
    featuriser.fit(items, files)
    matrix = featuriser.matrix(items, files)
    weight = np.array(
        [max(row.weight_ppm, 1) / 1e6 * (CONSENSUS_WEIGHT if row.source == "consensus" else 1) for row in used]
    )
    target = targets(used, kind, classes)
    fold = folds(items)
    trainers = [trainer(spec.trainer, spec.seed) for _ in range(target.shape[1])]
    for n, one in enumerate(trainers):
        number = {"choice": len(classes), "choices": 2, "number": 0}[kind]
        one.prepare(matrix, target[:, n], weight, number, featuriser.categories, fold == 0)
    if kind == "choice":
        target, weight = decided_together(used, classes, trainers, matrix, target, weight, fold)
    raw = cross_fitted(trainers, kind, classes, matrix, target, weight, fold)
    temperature = 1.0 if kind == "number" else temperature_of(raw, target, weight, kind)
    model = Model(kind, classes, _learners(trainers, matrix, target, weight), temperature)
    scores = raw if kind == "number" else tempered(raw, temperature, kind)
    ids = [item.item_id for item in items]
    artifact = Artifact(
        model_version(snapshot, spec),
        snapshot,
        spec.json(),
        featuriser,
        model,
        Novelty.learnt(matrix, featuriser.categories, ids, spec.seed),
        dict(zip(ids, scores.round(6).tolist(), strict=True)),
        files.hashes(files_of(items)),
        libraries(),
    )
    return artifact, measured(used, model, scores, target, weight) | {"temperature": round(temperature, 6)}


def decided_together(
    rows: Sequence[Row],
    classes: tuple[str, ...],
    trainers: Sequence[Trainer],
    matrix: Any,
    target: Any,
    weight: Floats,
    fold: Ints,
) -> tuple[Any, Floats]:
    """Return classes and weights in which votes and models together decide the rows that nobody decided.

    A row's class is the likeliest by the votes and by a calibrated model that was not trained on the row. What a model
    says counts over its mean, as in `quality.truth.voice_evidence`. From the second round on the models were taught
    other rows' classes, on which this row's votes had a faint say: what leaks by that was not seen to do harm.

    Args:
        rows: The rows, N of them.
        classes: Classes in order, K of them.
        trainers: What the models are made by.
        matrix: Features of the rows.
        target: Class of each row by the votes alone, shape (N, 1).
        weight: Its weight, shape (N,).
        fold: Fold of each row.
    """
    place = {label: k for k, label in enumerate(classes)}
    open_ = np.array([bool(row.posterior) for row in rows])
    votes = np.full((len(rows), len(classes)), LEAST_SHARE / len(classes))
    for n in np.flatnonzero(open_).tolist():
        for label, ppm in rows[n].posterior:
            if label in place:
                votes[n, place[label]] = max(ppm / 1e6, LEAST_SHARE / len(classes))
    for _ in range(TOGETHER_ROUNDS if open_.any() else 0):
        raw = cross_fitted(trainers, "choice", classes, matrix, target, weight, fold)
        model = tempered(raw, temperature_of(raw, target, weight, "choice"), "choice")
        both = votes * model / np.maximum(model.mean(axis=0), LEAST_SHARE / len(classes))
        both /= both.sum(axis=1, keepdims=True)
        target, weight = target.copy(), weight.copy()
        target[open_, 0] = both[open_].argmax(axis=1)
        weight[open_] = CONSENSUS_WEIGHT * both[open_].max(axis=1)
    return target, weight


def folds(items: Sequence[Item]) -> Ints:
    """Return each item's fold, 0 to `FOLDS` - 1: by its group, so that alike items are in one, else by its id."""
    names = [item.item_id if item.group is None else f"group {item.group}" for item in items]
    hashes = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    found = np.array([int.from_bytes(digest, "big") % FOLDS for digest in hashes])
    if len({*found.tolist()}) < 2:  # all in one group: then each item is alone
        found = np.arange(len(items)) % FOLDS
    return found


def targets(rows: Sequence[Row], kind: str, classes: Sequence[str]) -> Any:
    """Return what is to be learnt, shape (N, 1): class or number; of choices shape (N, K): 1 where a class is in."""
    if kind == "number":
        return np.array([[float(row.value["number"])] for row in rows])
    place = {label: k for k, label in enumerate(classes)}
    if kind == "choice":
        return np.array([[place[row.value["choice"]]] for row in rows])
    return np.array([[int(label in row.value["choices"]) for label in classes] for row in rows])


def cross_fitted(
    trainers: Sequence[Trainer],
    kind: str,
    classes: tuple[str, ...],
    matrix: Any,
    target: Any,
    weight: Floats,
    fold: Ints,
) -> Floats:
    """Return what models say of the fold that each was not trained on, shape (N, K), or (N, 1) of numbers."""
    said = np.zeros((matrix.shape[0], len(classes) or 1))
    for number in np.unique(fold):
        out = fold == number
        learners = _learners(trainers, matrix[~out], target[~out], weight[~out])
        said[out] = Model(kind, classes, learners).raw(matrix[out])
    return said


def _learners(trainers: Sequence[Trainer], matrix: Any, target: Any, weight: Floats) -> list[Learner]:
    return [one.fit(matrix, target[:, n], weight) for n, one in enumerate(trainers)]


def temperature_of(raw: Floats, target: Any, weight: Floats, kind: str) -> float:
    """Return the temperature at which cross-fitted probabilities tell the labels best (least weighted log loss)."""
    found = minimize_scalar(
        lambda power: log_loss(tempered(raw, float(np.exp(power)), kind), target, weight, kind),
        bounds=(-2.0, 2.0),
        method="bounded",
    )
    return round(float(np.exp(found.x)), 6)


def log_loss(scores: Floats, target: Any, weight: Floats, kind: str) -> float:
    """Return the weighted mean negative log probability of the labels, nats; of choices the sum over the classes."""
    sure = np.clip(scores, 1e-6, 1 - 1e-6)
    if kind == "choices":
        losses = -np.where(target == 1, np.log(sure), np.log1p(-sure)).sum(axis=1)
    else:
        losses = -np.log(sure[np.arange(len(sure)), target[:, 0]])
    return float(np.average(losses, weights=weight))


def measured(rows: Sequence[Row], model: Model, scores: Floats, target: Any, weight: Floats) -> dict[str, float]:
    """Return what cross-fitting says of a model, by name."""
    truths = [row.value for row in rows]
    tolerance = tolerance_of(truths)
    examples = [
        Example(row.item_id, row.value, one, None, model.value(its))
        for row, one, its in zip(rows, weight, scores, strict=True)
    ]
    found = {"rows": float(len(rows)), "accuracy": check("held_out", examples, tolerance, 0.0, 0).challenger}
    judged = [one for one, row in zip(examples, rows, strict=True) if row.source != "consensus"]
    if judged:
        found["judged"] = float(len(judged))
        found["accuracy_judged"] = check("held_out", judged, tolerance, 0.0, 0).challenger
    if model.kind == "number":
        found["mean_absolute_error"] = float(np.average(np.abs(scores[:, 0] - target[:, 0]), weights=weight))
    else:
        found["log_loss"] = log_loss(scores, target, weight, model.kind)
    return {name: round(number, 6) for name, number in found.items()}


def judge(
    project: str,
    artifact: Artifact,
    champion: Artifact | None,
    rows: Sequence[Row],
    items: Mapping[str, Item],
    fixed: Mapping[str, Value],
    votes: Mapping[str, Mapping[str, float]],
    files: Files,
    max_regressions: float,
    as_of: int,
) -> Judged:
    """Compare a new model with the champion, or with always saying the most frequent value where there is none.

    Args:
        project: The project.
        artifact: The new model.
        champion: The champion; None: there is none.
        rows: The snapshot's rows.
        items: The project's items by id.
        fixed: Right value of each fixed example, by item.
        votes: Of each item with a class for a verdict that no promoted model has learnt from: share of its annotators
            by class.
        files: Files that features come from.
        max_regressions: Share of the corrected examples that may regress.
        as_of: Log time of the snapshot, ms.

    Raises:
        Refused: the features of the examples are of another kind than the champion's.
    """
    wanted = sorted({*fixed, *(row.item_id for row in rows)} & items.keys())
    asked = [items[item] for item in wanted]
    after = {one.item_id: one.value for one in artifact.predict(asked, files)}
    before: Mapping[str, Value]
    beliefs = artifact if champion is None else champion
    said = {one.item_id: one.probabilities for one in beliefs.predict([items[item] for item in sorted(votes)], files)}
    if champion is None:
        common = Counter(flip_text(row.value) or "" for row in rows)
        most = min(common, key=lambda text: (-common[text], text))
        usual = next(row.value for row in rows if flip_text(row.value) == most)
        before = dict.fromkeys(wanted, usual)
    else:
        before = {one.item_id: one.value for one in champion.predict(asked, files)}
    of_row = {row.item_id: row for row in rows}

    def example(item: str, truth: Value, weight: float) -> Example:
        return Example(item, truth, weight, before.get(item), after[item])

    def new(item: str, shares: Mapping[str, float]) -> Example:
        truth = of_row[item].value
        label = truth["choice"]
        return replace(example(item, truth, 1.0), support=max(shares.get(label, 0.0), said[item].get(label, 0.0)))

    parts: dict[Part, list[Example]] = {
        "new": [new(item, shares) for item, shares in sorted(votes.items())],
        "fixed": [example(item, truth, 1.0) for item, truth in sorted(fixed.items()) if item in after],
        "corrected": [
            example(item, row.value, 1.0) for item, row in of_row.items() if row.source == "verdict" and item in after
        ],
        "held_out": [
            replace(
                example(item, row.value, 1.0 if row.posterior else max(row.weight_ppm, 1) / 1e6),
                shares={label: ppm / 1e6 for label, ppm in row.posterior} or None,
            )
            for item, row in of_row.items()
            if item in after
        ],
    }
    tolerance = tolerance_of([row.value for row in rows])
    limit = None if champion is None else max_regressions
    checks = [check(part, found, tolerance, limit, 0) for part, found in parts.items() if found]
    if (agreed := agreement(*_foretold(artifact, rows, votes), 0)) is not None:
        learnt = agreed.high >= 0  # then what nobody believed before is no reason to refuse
        checks = [replace(one, passed=one.passed or learnt) if one.part == "new" else one for one in checks] + [agreed]
    old = None if champion is None else champion.version
    flips = [
        {
            "event_id": events.event_id("flips", project, artifact.version, old, part, one.item_id),
            "project": project,
            "item_id": one.item_id,
            "model_version": artifact.version,
            "champion": old,
            "snapshot": artifact.snapshot,
            "part": part,
            "truth": flip_text(one.truth),
            "before": None if champion is None else flip_text(one.champion),
            "after": flip_text(one.challenger),
            "outcome": became,
            "at": as_of,
        }
        for part, found in parts.items()
        for one in found
        if part != "new" and (became := outcome(one, tolerance)) is not None
    ]
    flips.sort(key=lambda flip: (flip["outcome"] == "still_wrong", flip["part"], flip["item_id"]))
    doubted = any(one.part in ("new", "agreement") and not one.passed for one in checks)
    lost = regressed(parts, tolerance, doubted)
    return Judged(checks, reason(checks, champion is None, lost), lost[:MAX_REGRESSED], flips[:MAX_FLIPS])


def _foretold(artifact: Artifact, rows: Sequence[Row], new: Container[str]) -> tuple[list[Foretold], list[Foretold]]:
    """Return what cross-fitting says of the verdicts, those that are new and the older ones."""
    fresh: list[Foretold] = []
    known: list[Foretold] = []
    for row in rows:
        scores = artifact.cross_fitted.get(row.item_id)
        if row.source == "verdict" and row.value["kind"] == artifact.model.kind == "choice" and scores is not None:
            told = artifact.model.value(np.array(scores))
            one = Foretold(is_right(told, row.value, 0.0), max(scores))
            (fresh if row.item_id in new else known).append(one)
    return fresh, known
