"""What a fit says: whole or not at all, in records of bounded size, and nobody's but the owner's."""

import random
from collections.abc import Iterable

import pytest

from streams import codec
from streams.keys import make_key
from streams.processors.fits import PART_CELLS, Proposal, Skills, proposals
from streams.processors.quality import Quality
from streams.processors.refits import PAUSE_S, QUARTER, QUIET_S, Schedule
from streams.projects import ProjectView
from streams.quality.project import Project
from streams.transport.batch import Batch, MemoryRows
from tests.unit.test_items import Fetched
from tests.unit.test_project import judgement, project_of

VIEW = ProjectView()


def fitted(project: Project, refit: int = 7, request: str | None = None) -> list[Proposal]:
    return [*proposals("p", project, project.fit(), VIEW, refit, request)]


def crowd(items: int = 40, classes: int = 3, annotators: int = 6, seed: int = 1) -> Project:
    draw = random.Random(seed)
    rows = []
    for n in range(items):
        truth = f"c{n % classes}"
        for w in range(annotators):
            label = truth if draw.random() < 0.8 else f"c{draw.randrange(classes)}"
            rows.append(judgement(f"i{n}", f"w{w}", label))
        told = {f"c{k}": 0.7 if k == n % classes else 0.3 / max(1, classes - 1) for k in range(classes)}
        rows.append(judgement(f"i{n}", "m", truth, actor_kind="model", probabilities=told))
    return project_of(*rows)


def learn(records: Iterable[Proposal]) -> Skills:
    skills = Skills()
    for record in records:
        if record.topic == "annotators":
            skills.learn(record.value, 0)
    return skills


@pytest.mark.parametrize("classes", [3, 50])
def test_the_workers_score_as_the_fit_did(classes: int) -> None:
    project = crowd(classes=classes)
    truth = project.fit()
    assert truth is not None
    scorer = learn(fitted(project)).scorer("p")
    assert scorer is not None
    for n in range(40):
        votes = sorted(
            (who, label) for _, who, given in project.answers() for _, item, label in given if item == f"i{n}"
        )
        told = {f"c{k}": 0.7 if k == n % classes else 0.3 / (classes - 1) for k in range(classes)}
        mine = [vote for vote in votes if vote[0] != "m"]
        assert scorer.posterior(mine, told) == pytest.approx(truth.of(f"i{n}"), abs=1e-9)


def test_a_fit_from_before_there_were_votes_scores_by_its_models() -> None:
    project = crowd()
    truth = project.fit()
    assert truth is not None
    skills = Skills()
    for proposal in fitted(project):
        if proposal.topic == "annotators":
            _, part = codec.decode(proposal.value)
            skills.learn(codec.encode("annotators", part | {"vote_prior": []}), 0)
    scorer = skills.scorer("p")
    assert scorer is not None
    span = slice(*truth.labels.starts[:2])
    models = sum(truth.weights[name] * fit.posterior[span] for name, fit in truth.models.items())
    told = {"c0": 0.7, "c1": 0.15, "c2": 0.15}
    votes = sorted(
        (who, label)
        for kind, who, given in project.answers()
        for _, item, label in given
        if item == "i0" and kind == "annotator"
    )
    assert [*scorer.posterior(votes, told).values()] == pytest.approx(models, abs=1e-9)


def test_a_fit_of_a_program_that_told_no_counts_is_known_and_scores_nothing() -> None:
    told = codec.decode(next(one.value for one in fitted(crowd()) if one.topic == "annotators"))[1]
    for annotator in told["annotators"]:
        annotator["count"] = []
    skills = Skills()
    skills.learn(codec.encode("annotators", told), 0)
    assert (skills.refit("p"), skills.scorer("p"), skills.signals("p")) == (7, None, None)


def test_a_large_fit_comes_in_parts_and_counts_when_it_is_whole() -> None:
    rows = [judgement(f"i{n}", f"w{w}", f"c{(n * 7 + w * n) % 1999}") for n in range(2500) for w in range(4)]
    records = [record for record in fitted(project_of(*rows)) if record.topic == "annotators"]
    assert len(records) > 1
    assert max(len(record.value) for record in records) < 30 * PART_CELLS
    assert len({record.key for record in records}) == len(records)
    assert learn(records[:-1]).scorer("p") is None
    assert learn(records[::-1]).refit("p") == 7
    mixed = learn([*records[:-1], *fitted(crowd(), refit=8), records[-1]])
    assert mixed.refit("p") == 8, "a part of another refit is no part of this one"
    whole, cut = learn(records).scorer("p"), learn([*records[:1], *records]).scorer("p")
    assert whole is not None
    assert cut is not None
    assert whole.posterior([("w1", "c5")]) == cut.posterior([("w1", "c5")])


def test_a_project_without_choices_is_told_of_agreement_alone() -> None:
    topics = [record.topic for record in fitted(Project(), request="r")]
    assert topics == ["agreement", "rescores"]
    assert codec.decode(fitted(Project(), request="r")[-1].value)[1]["all"]


def proposed(records: Iterable[Proposal]) -> Batch:
    return Batch("x.fits", 0, [Fetched(r.value, make_key("p")) for r in records], 0, 1)


def test_the_owner_takes_over_and_asks_every_partition_to_score_again() -> None:
    rows = MemoryRows()
    effects = Quality("x", 4).handle(proposed(fitted(crowd())), rows)
    rows.update(effects.rows)
    by_topic: dict[str, list[int]] = {}
    for record in effects.records:
        by_topic.setdefault(record.topic, []).append(record.partition)
    assert by_topic["x.rescores"] == [0, 1, 2, 3]
    assert by_topic["x.annotators"] == [-1]
    assert len({*by_topic["x.skill"]}) == 1
    assert len(by_topic["x.skill"]) == 7
    assert effects.records[-1].topic == "x.rescores", "skill comes before who needs it"
    late = Quality("x", 4).handle(proposed(fitted(crowd(seed=2), refit=6)), rows)
    assert not late.records, "a fitter that has lost the partition is not listened to"
    junk = Batch("x.fits", 0, [Fetched(b"junk"), Fetched(None)], 0, 2)
    assert not Quality("x", 4).handle(junk, rows).records


def test_agreement_is_told_for_numbers_and_for_ordered_classes() -> None:
    number = [
        judgement(f"i{n}", w, None) | {"value": {"kind": "number", "number": n + k}}
        for n in range(5)
        for k, w in enumerate("vw")
    ]
    told = codec.decode(next(r.value for r in fitted(project_of(*number)) if r.topic == "agreement"))[1]
    assert told["alpha_interval"] > 0.5 > told["alpha"]
    assert told["alpha_ratio"] is not None
    ordered = ProjectView(classes=("c0", "c1", "c2"), class_order={"c0": 0, "c1": 1, "c2": 2})
    project = crowd()
    records = proposals("p", project, project.fit(), ordered, 1, None)
    whole = next(codec.decode(r.value)[1] for r in records if r.key == make_key("p", "project", ""))
    assert whole["alpha_ordinal"] is not None
    assert whole["alpha_interval"] is None


def test_a_project_is_due_after_a_hundredth_of_new_labels_and_when_it_is_quiet() -> None:
    schedule = Schedule()
    schedule.changed_at = 100.0
    assert not schedule.due(100.5, 0, 1000)
    assert schedule.due(100.5, 10, 1000)
    assert not schedule.due(100.5, 9, 1000)
    assert schedule.due(100.0 + QUIET_S, 1, 1000), "the last label counts too"
    schedule.fitted(101.0, 103.0)
    schedule.changed_at = 109.9
    assert not schedule.due(103.0 + 2 * QUARTER - 0.1, 500, 1000), "a quarter of a core is all it takes"
    schedule.changed_at = 200.0
    schedule.fitted(196.0, 196.1)
    assert not schedule.due(200.0, 500, 1000)
    assert schedule.due(196.1 + PAUSE_S, 500, 1000)
