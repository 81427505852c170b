"""Training and what is kept of it: the same rows give the same model, which never marks its own homework."""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from streams.errors import LabelloopError
from workers.artifact import Artifact, load, tempered
from workers.dataset import Item, Row, Value
from workers.features import Files, Refused
from workers.trainers import TRAINERS, given, trainer
from workers.training import (
    Judged,
    Spec,
    decided_together,
    folds,
    judge,
    log_loss,
    model_version,
    temperature_of,
    train,
)

ROOT = Path(__file__).parent.parent.parent
NO_FILES = Files(Path("none"))

regularised = LogisticRegression(C=0.01, max_iter=1000)
linear = LinearRegression()
no_probabilities = LinearSVC


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):  # as the worker's child
        yield


@pytest.fixture(autouse=True)
def _trainers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("regularised", "linear", "no_probabilities", "LogisticRegression", "NO_FILES")
    monkeypatch.setenv(TRAINERS, ",".join(f"{name}={__name__}:{name}" for name in names))


def choice(label: str) -> Value:
    return {"kind": "choice", "choice": label}


def row(item: Item, value: Value, weight_ppm: int = 1_000_000, source: str = "verdict") -> Row:
    return Row(item, value, source, weight_ppm, ())


def points(number: int, seed: int = 0, classes: int = 2) -> list[Row]:
    """Return rows of well separated classes."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(number):
        label = n % classes
        vector = rng.normal(size=3) + 3 * np.eye(3)[label]
        rows.append(row(Item(f"i{n:04}", features=tuple(vector.tolist())), choice("abc"[label])))
    return rows


def test_votes_and_a_model_that_had_not_seen_the_row_decide_it_together() -> None:
    rows = points(120)
    unsure = {5: (("a", 550_000), ("b", 450_000)), 7: (("a", 999_999), ("b", 1))}  # both are in the cloud of b
    for n, posterior in unsure.items():
        rows[n] = Row(rows[n].item, choice("a"), "consensus", posterior[0][1], (), posterior=posterior)
    rows[9] = replace(rows[9], value=choice("a"))  # a verdict stands, whatever the model says
    matrix = np.array([one.item.features for one in rows])
    target = np.array([["ab".index(one.value["choice"])] for one in rows])
    weight = np.array([one.weight_ppm / 1e6 for one in rows])
    trainers = [trainer("regularised", 0)]
    trainers[0].prepare(matrix, target[:, 0], weight, 2, [], np.zeros(len(rows), dtype=bool))
    decided, sure = decided_together(rows, ("a", "b"), trainers, matrix, target, weight, folds([r.item for r in rows]))
    assert decided[[5, 7, 9], 0].tolist() == [1, 0, 0]
    assert [*np.flatnonzero(decided[:, 0] != target[:, 0])] == [5]
    assert sure[5] > 0.55 / 3
    assert sure[7] > 0.99 / 3
    assert sure[9] == 1.0


@pytest.mark.parametrize("name", ["lightgbm", "regularised"])
def test_the_same_rows_give_the_same_bytes_here_and_when_loaded(name: str, tmp_path: Path) -> None:
    rows, new = points(80, classes=3), [one.item for one in points(30, seed=1)]
    new = [replace(item, item_id=f"new-{item.item_id}") for item in new]
    one, metrics = train("s", rows, Spec(name), NO_FILES)
    two, again = train("s", rows, Spec(name), NO_FILES)
    assert metrics == again
    assert one.predictions_hash == two.predictions_hash
    one.save(tmp_path / one.version)
    loaded = load(tmp_path / one.version)
    asked = [*new, *(one.item for one in rows)]
    said = one.predict(asked, NO_FILES)
    assert repr(said) == repr(two.predict(asked, NO_FILES)) == repr(loaded.predict(asked, NO_FILES))
    assert np.mean([told.value == r.value for told, r in zip(said[30:], rows, strict=True)]) > 0.8
    assert [told.value["choice"] for told in said] == [
        max(t.probabilities, key=t.probabilities.__getitem__) for t in said
    ]


def test_a_model_does_not_mark_its_own_homework() -> None:
    rows = points(60)
    wrong = replace(rows[0], value=choice("b"))  # it lies amid the others
    artifact, _ = train("s", [wrong, *rows[1:]], Spec("regularised"), NO_FILES)
    (told,) = artifact.predict([wrong.item], NO_FILES)
    assert told.value == choice("a")


def test_items_of_a_group_are_in_one_fold() -> None:
    items = [Item(f"i{n}", group=f"g{n % 9}") for n in range(90)]
    found = folds(items)
    assert all(len({*found[n::9].tolist()}) == 1 for n in range(9))
    assert len({*found.tolist()}) > 1
    assert len({*folds([Item(f"i{n}", group="g") for n in range(10)]).tolist()}) == 5  # one group only


def test_several_classes_are_a_model_each() -> None:
    rows = [
        replace(r, value={"kind": "choices", "choices": ["x", "y"] if n % 2 else ["x"]})
        for n, r in enumerate(points(60))
    ]
    for name in ("lightgbm", "LogisticRegression"):
        artifact, metrics = train("s", rows, Spec(name), NO_FILES)
        assert artifact.model.classes == ("x", "y")
        assert metrics["accuracy"] > 0.85


def test_numbers_are_learnt_and_have_no_probabilities() -> None:
    rows = [replace(r, value={"kind": "number", "number": 10 * r.item.features[0]}) for r in points(120)]
    for name in ("lightgbm", "linear"):
        artifact, metrics = train("s", rows, Spec(name), NO_FILES)
        assert metrics["mean_absolute_error"] < 5
        assert artifact.predict([rows[0].item], NO_FILES)[0].probabilities == {}


@pytest.mark.parametrize("name", ["lightgbm", "LogisticRegression"])
def test_categories_are_told_apart_whatever_their_order(name: str) -> None:
    kinds = ["p", "q", "r", "s"]
    rows = [
        row(Item(f"i{n:03}", attributes=(("kind", kinds[n % 4]),)), choice("a" if n % 4 in (0, 2) else "b"))
        for n in range(160)
    ]
    artifact, metrics = train("s", rows, Spec(name, ("kind",)), NO_FILES)
    assert metrics["accuracy"] == 1.0
    assert artifact.predict([Item("new", attributes=(("kind", "t"),))], NO_FILES)[0].value["kind"] == "choice"


@pytest.mark.parametrize("name", ["lightgbm", "regularised"])
def test_rows_of_no_weight_teach_nothing(name: str) -> None:
    rows = points(80)
    wrong = [
        replace(
            r,
            item=replace(r.item, item_id=f"w{r.item_id}"),
            value=choice("ba"["ab".index(r.value["choice"])]),
            weight_ppm=1,
        )
        for r in rows
    ]
    artifact, _ = train("s", [*rows, *wrong], Spec(name), NO_FILES)
    new = [replace(one, item=replace(one.item, item_id=f"n{one.item_id}")) for one in points(40, seed=3)]
    told = artifact.predict([one.item for one in new], NO_FILES)
    assert np.mean([t.value == one.value for t, one in zip(told, new, strict=True)]) > 0.9


@pytest.mark.parametrize(
    ("rows", "spec", "why"),
    [
        (points(19), Spec(), "19 rows"),
        ([], Spec(), "0 rows"),
        ([replace(one, value=choice("a")) for one in points(30)], Spec(), "all 30 rows are 'a'"),
        ([replace(one, value={"kind": "text", "text": "t"}) for one in points(30)], Spec(), "the labels are text"),
        ([replace(one, item=Item(one.item_id)) for one in points(30)], Spec(), "neither features nor text"),
        (points(30), Spec("unknown"), "no trainer is called 'unknown'"),
        (points(30), Spec("no_probabilities"), "wrap it in CalibratedClassifierCV"),
        (points(30), Spec("NO_FILES"), "is no estimator"),
        (
            [replace(one, value={"kind": "number", "number": 0.5}) for one in points(30)],
            Spec("regularised"),
            "not take",
        ),
    ],
)
def test_what_no_model_can_be_made_of_is_refused(rows: Sequence[Row], spec: Spec, why: str) -> None:
    with pytest.raises(Refused, match=why):
        train("s", rows, spec, NO_FILES)


def test_a_trainer_is_named_in_one_form() -> None:
    assert given("a=m:x, b=n:y") == {"a": "m:x", "b": "n:y"}
    with pytest.raises(LabelloopError, match="NAME=module:attribute"):
        given("m:x")
    with pytest.raises(Refused, match="cannot be loaded"):
        trainer("a", 0, {TRAINERS: "a=no_such_module:x"})


def test_a_class_that_one_fold_alone_has_is_no_error() -> None:
    rows = points(60)
    rows[0] = replace(rows[0], value=choice("c"))
    for name in ("lightgbm", "LogisticRegression"):
        assert train("s", rows, Spec(name), NO_FILES)[0].model.classes == ("a", "b", "c")


def test_the_temperature_undoes_what_was_too_sure() -> None:
    rng = np.random.default_rng(0)
    honest = rng.dirichlet(np.ones(3), size=4000)
    target = np.array([[rng.choice(3, p=p)] for p in honest])
    weight = np.ones(len(target))
    sure = tempered(honest, 1 / 3, "choice")
    assert temperature_of(sure, target, weight, "choice") == pytest.approx(3, rel=0.1)
    assert log_loss(tempered(sure, 3.0, "choice"), target, weight, "choice") < log_loss(sure, target, weight, "choice")


def test_what_is_far_from_the_training_items_is_novel() -> None:
    artifact, _ = train("s", points(80), Spec("regularised"), NO_FILES)
    near, far = artifact.predict(
        [Item("n", features=(2.9, 0.1, 0.0)), Item("f", features=(90.0, -90.0, 0.0))], NO_FILES
    )
    assert near.novelty < 0.5 < far.novelty == 1


def test_a_model_that_was_changed_is_not_unpickled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    artifact, _ = train("s", points(40), Spec("regularised"), NO_FILES)
    folder = tmp_path / "m"
    with pytest.raises(LabelloopError, match="no model lies in"):
        load(folder)
    artifact.save(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["libraries"]["numpy"] = "1.0"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with caplog.at_level(logging.WARNING):
        load(folder)
    assert "was trained with numpy 1.0, now" in caplog.text
    (folder / "model.pickle").write_bytes(b"cos\nabort\n(tR.")  # would end the process
    with pytest.raises(LabelloopError, match="not as it was written"):
        load(folder)
    artifact.save(folder)  # it is written again
    assert load(folder).predictions_hash == artifact.predictions_hash
    (folder / "manifest.json").write_text("{")
    with pytest.raises(LabelloopError, match="not as it was written"):
        load(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_version_is_of_snapshot_and_spec() -> None:
    versions = {model_version("s", Spec()), model_version("t", Spec()), model_version("s", Spec(seed=1))}
    assert len(versions) == 3
    assert all(re.fullmatch(r"m-[0-9a-f]{12}", version) for version in versions)


def test_the_documented_trainer_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "trainers.md").read_text()
    (code,) = re.findall(r"```python\n# mytrainers.py\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mytrainers.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    (names,) = re.findall(TRAINERS + r"=(\S+)", text)
    monkeypatch.setenv(TRAINERS, names)
    _, metrics = train("s", points(60), Spec("regularised"), NO_FILES)
    assert metrics["accuracy"] > 0.8


LABELME = ROOT.parent / "shared" / "data" / "labelme"


class LabelMe:
    """Its 1,000 training items with gold."""

    def __init__(self) -> None:
        lines = [json.loads(line) for line in (LABELME / "items.jsonl").read_text().splitlines()]
        self.files = Files(LABELME)
        self.items = {
            one["item_id"]: Item(one["item_id"], features_file=one["features_file"], features_row=one["row"])
            for one in lines
            if one["split"] == "train"
        }
        gold = [json.loads(line) for line in (LABELME / "gold.jsonl").read_text().splitlines()]
        self.gold = {one["item_id"]: one["label"] for one in gold}
        self.classes = sorted({*self.gold.values()})

    def rows(self, labels: Mapping[str, str]) -> list[Row]:
        return [row(self.items[item], choice(label)) for item, label in sorted(labels.items())]


@pytest.fixture(scope="module")
def labelme() -> LabelMe:
    if not LABELME.exists():
        pytest.skip(f"{LABELME} is not there")
    return LabelMe()


def test_a_plugged_in_regression_reaches_what_it_reaches_alone(labelme: LabelMe) -> None:
    votes: dict[str, list[str]] = {}
    for line in (LABELME / "labels.jsonl").read_text().splitlines():
        one = json.loads(line)
        votes.setdefault(one["item_id"], []).append(one["label"])
    majority = {item: min(labels, key=lambda label: (-labels.count(label), label)) for item, labels in votes.items()}
    artifact, _ = train("s", labelme.rows(majority), Spec("regularised"), labelme.files)
    told = artifact.predict([labelme.items[item] for item in majority], labelme.files)
    assert np.mean([one.value["choice"] == labelme.gold[one.item_id] for one in told]) >= 0.805  # .812 +- .006


@pytest.mark.parametrize("seed", [0, 1])
def test_a_poisoned_batch_is_refused_and_a_good_one_promoted(labelme: LabelMe, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = [sorted(labelme.items)[n] for n in rng.permutation(1000)]
    old, new = order[:150], order[150:300]
    good = {item: labelme.gold[item] for item in (*old, *new)}
    flipped = {item for item in new if rng.random() < 0.3}
    others = {item: [label for label in labelme.classes if label != good[item]] for item in flipped}
    poisoned = {**good, **{item: others[item][rng.integers(7)] for item in sorted(flipped)}}
    champion, _ = train("old", labelme.rows({item: good[item] for item in old}), Spec("regularised"), labelme.files)

    def judged(labels: Mapping[str, str]) -> Judged:
        challenger, _ = train("new", labelme.rows(labels), Spec("regularised"), labelme.files)
        fixed = {item: choice(good[item]) for item in sorted(old)[:100]}
        no_votes: dict[str, Any] = {item: {} for item in new}
        return judge(
            "p", challenger, champion, labelme.rows(labels), labelme.items, fixed, no_votes, labelme.files, 0.05, 0
        )

    assert judged(good).reason is None
    refused = judged(poisoned)
    assert {check.part for check in refused.checks if not check.passed} >= {"new", "agreement"}
    assert refused.reason is not None
    assert refused.regressed[0] in refused.reason
    named = set(refused.regressed)
    assert len(named & flipped) > 0.7 * min(len(named), len(flipped))


def test_a_new_class_that_nobody_believed_is_learnt(labelme: LabelMe) -> None:
    unknown = labelme.classes[0]
    known = [item for item in sorted(labelme.items) if labelme.gold[item] != unknown]
    old, new = (
        known[:150],
        [item for item in sorted(labelme.items) if labelme.gold[item] == unknown][:40] + known[150:230],
    )
    labels = {item: labelme.gold[item] for item in (*old, *new)}
    champion, _ = train("old", labelme.rows({item: labels[item] for item in old}), Spec("regularised"), labelme.files)
    challenger, _ = train("new", labelme.rows(labels), Spec("regularised"), labelme.files)
    found = judge(
        "p", challenger, champion, labelme.rows(labels), labelme.items, {}, {i: {} for i in new}, labelme.files, 0.1, 0
    )
    (part,) = [check for check in found.checks if check.part == "new"]
    assert part.regressions > part.allowed
    assert found.reason is None


def test_the_first_model_is_compared_with_the_most_frequent_value() -> None:
    artifact, _ = train("s", points(90, classes=3), Spec("regularised"), NO_FILES)
    rows = points(90, classes=3)
    found = _first(artifact, rows)
    (held,) = [check for check in found.checks if check.part == "held_out"]
    assert held.champion == pytest.approx(1 / 3)
    assert found.reason is None
    backwards = [replace(one, value=choice("bca"["abc".index(one.value["choice"])])) for one in rows]
    assert "the most frequent value" in (_first(artifact, backwards).reason or "")


def _first(artifact: Artifact, rows: Sequence[Row]) -> Judged:
    items = {one.item_id: one.item for one in rows}
    return judge("p", artifact, None, rows, items, {}, {}, NO_FILES, 0.05, 0)
