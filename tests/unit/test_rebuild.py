"""What a topic holds beside what the facts give: each difference is found, what is right is left alone."""

from typing import Any

import numpy as np
import pytest

from streams import codec, contract
from streams.catalogue import TIERS, TOPICS
from streams.errors import LabelloopError
from streams.keys import make_key, partition_of, project_partition
from streams.quality.project import Project
from streams.query.audit import Stored, TopicLog, hash_of
from streams.query.audit import compare as compare_stored
from streams.query.tasks import Tasks
from streams.rebuild.compare import BUILT, Place, Write, compare, compare_tier, home, told
from streams.rebuild.targets import KEPT, chosen, targets
from streams.sinks.rows import Raw, build
from streams.sinks.tables import TABLES
from tests.unit.test_project import judgement
from tests.unit.test_queue import task

PARTITIONS = 4
Records = dict[bytes, bytes]


def example(schema: str, **fields: Any) -> dict[str, Any]:
    return {**next(iter(contract.examples()[schema].values())), **fields}


def disagreement(item: str, n_labels: int = 2) -> tuple[bytes, bytes]:
    record = example("disagreement", project="p", item_id=item, n_labels=n_labels)
    return make_key("p", item), codec.encode("disagreement", record)


def lying(topic: str, records: Records) -> dict[Place, bytes]:
    """Return records as they lie in a topic, each where its key belongs."""
    return {(home(topic, key, PARTITIONS), key): value for key, value in records.items()}


def test_what_is_equal_is_left_alone() -> None:
    records = dict(disagreement(f"i{n}") for n in range(20))
    found = compare("disagreement", records, lying("disagreement", records), PARTITIONS)
    assert (found.equal, found.is_equal, found.writes, [*told(found)]) == (20, True, (), [])


def test_each_difference_is_found_and_put_right() -> None:
    expected = dict(disagreement(f"i{n}") for n in range(4))
    live = lying("disagreement", dict([*expected.items(), disagreement("i1", 9), disagreement("nobody")]))
    gone, damaged, broken, extra = (make_key("p", name) for name in ("i0", "i1", "i2", "nobody"))
    del live[home("disagreement", gone, PARTITIONS), gone]
    live[home("disagreement", broken, PARTITIONS), broken] = b"not ours"
    found = compare("disagreement", expected, live, PARTITIONS)
    assert (found.equal, found.differing, found.missing, found.extra) == (1, 2, 1, 1)
    assert {(write.key, write.value) for write in found.writes} == {
        *((key, expected[key]) for key in (gone, damaged, broken)),
        (extra, None),
    }
    assert all(write.partition == partition_of(write.key, PARTITIONS) for write in found.writes)
    assert [*told(found)] == ["2 differ", "1 are missing", "1 should not be there"]


def test_a_record_in_a_foreign_partition_is_missing_in_its_own() -> None:
    key, value = disagreement("i1")
    right = home("disagreement", key, PARTITIONS)
    wrong = (right + 1) % PARTITIONS
    found = compare("disagreement", {key: value}, {(wrong, key): value}, PARTITIONS)
    assert found.writes == (Write(right, key, value), Write(wrong, key, None))


def test_what_a_project_says_lies_with_the_project() -> None:
    for topic, key in (("judgements", make_key("p q", "i", "a")), ("skill", make_key("p q", "a", "annotator"))):
        assert home(topic, key, 7) == project_partition("p q", 7)
    assert home("annotators", make_key("p", "0"), 7) == 0
    assert home("review.state", make_key("p", "i"), 7) == partition_of(make_key("p", "i"), 7)


def test_what_an_earlier_fit_said_of_what_is_no_more_may_stay() -> None:
    def skill(who: str, refit: int, accuracy: float = 0.5) -> tuple[bytes, bytes]:
        record = example("skill", project="p", annotator=who, actor_kind="annotator", refit=refit, accuracy=accuracy)
        return make_key("p", who, "annotator"), codec.encode("skill", record)

    expected = dict([skill("anna", 9), skill("ben", 9)])
    live = lying("skill", dict([skill("anna", 9), skill("ben", 8), skill("old", 8)]))
    found = compare("skill", expected, live, PARTITIONS, {"p": 9})
    assert [write.key for write in found.writes] == [skill("ben", 9)[0]], "a reader passes over what is not of this fit"
    live = lying("skill", dict([*expected.items(), skill("nobody", 9)]))
    assert compare("skill", expected, live, PARTITIONS, {"p": 9}).extra == 1


def test_that_a_model_is_silent_may_stay() -> None:
    silent = {"annotator": "m-1", "actor_kind": "model", "value": None, "project": "p", "item_id": "i"}
    record = example("judgements", **silent, probabilities={}, reference=None)
    key = make_key("p", "i", "m-1", "model")
    live = lying("judgements", {key: codec.encode("judgements", record)})
    assert compare("judgements", {}, live, PARTITIONS).is_equal
    spoke = codec.encode("judgements", record | {"value": {"kind": "choice", "choice": "cat"}})
    assert compare("judgements", {}, lying("judgements", {key: spoke}), PARTITIONS).extra == 1


def test_a_task_stands_in_its_tier_by_its_revision() -> None:
    def review(item: str, revision: str, status: str = "open", tier: str | None = "p1", **fields: Any) -> Any:
        names = {"project": "p", "item_id": item, "revision": revision, "status": status, "tier": tier}
        return make_key("p", item), codec.encode("review_task", example("review_task", **names, **fields))

    expected = dict([review("a", "1"), review("b", "2"), review("c", "3"), review("d", "4", "closed", None)])
    expected |= dict([review("e", "5", tier="p2")])
    live = lying("review.p1", dict([review("a", "1", priority=0.0), review("b", "old"), review("e", "was here")]))
    found = compare_tier("p1", expected, live, PARTITIONS)
    assert (found.equal, found.differing, found.missing, found.extra) == (1, 1, 1, 0)
    assert {write.key for write in found.writes} == {make_key("p", "b"), make_key("p", "c")}


def test_every_derived_topic_and_every_table_can_be_built_or_says_why_not() -> None:
    orders = {"rescores"}
    derived = {name for name, topic in TOPICS.items() if topic.kind == "derived"}
    kept = {name.removeprefix("topic ") for name in KEPT if name.startswith("topic ")}
    assert derived == {*BUILT} | kept | orders
    assert {one.name for one in targets() if one.kind == "table"} == {*TABLES.values()}
    assert {f"review.{tier}" for tier in TIERS} < {*BUILT}


def test_a_name_is_a_topic_and_its_table_and_a_view_its_tables() -> None:
    def kinds(*names: str) -> set[tuple[str, str]]:
        return {(one.kind, one.name) for one in chosen(names)}

    assert kinds("skill") == {("topic", "skill"), ("table", "skill")}
    assert kinds("skill_now") == {("table", "skill"), ("view", "skill_now")}
    assert kinds("annotator_accuracy_daily") >= {("view", "judged_labels"), ("table", "judgements"), ("table", "gold")}
    assert chosen(["all"]) == targets()
    for name, why in (("skil", "did you mean skill"), ("zzz", "lists them"), ("review_history", "compaction")):
        with pytest.raises(LabelloopError, match=why):
            chosen([name])


def test_readers_forget_what_a_rebuild_has_ended() -> None:
    tasks = Tasks("p", ["p1"], "ria")
    for item in ("i", "j"):
        tasks.apply(task(item, 1.0, groups=["g"]))
    tasks.forget(["other", "j"])
    tasks.forget(["p", "i"])
    tasks.forget(["p", "i"])
    assert [one["item_id"] for one in tasks.queue(0)] == [one["item_id"] for one in tasks.group("g")] == ["j"]

    project, other = Project(), Project()
    for one in (judgement("i", "anna", "cat"), judgement("i", "ben", "dog")):
        project.apply(one)
    project.apply(judgement("i", "m-1", "dog", actor_kind="model", probabilities={"dog": 0.9}))
    other.apply(judgement("i", "anna", "cat"))
    project.forget("i", "ben", "annotator")
    project.forget("i", "m-1", "model")
    project.forget("nowhere", "ben", "annotator")
    assert project.n_labels == other.n_labels == 1
    shares = [{scope: (sums.items, +sums.labels) for scope, sums in one.agreement()} for one in (project, other)]
    assert shares[0] == shares[1]
    assert [*project.answers()] == [*other.answers()]


def test_a_record_that_ends_a_key_is_neither_row_nor_dead_letter() -> None:
    key, value = disagreement("i")
    rows = build("disagreement", "x.disagreement", 0, 1, [Raw(0, 1, key, value), Raw(1, 1, key, None)])
    assert ([one.offset for one in rows.records], rows.dead) == ([0], [])
    assert build("labels", "x.labels", 0, 1, [Raw(0, 1, b"p/i", None)]).dead, "a fact says something"


def test_the_audit_misses_no_row_of_what_a_rebuild_has_ended() -> None:
    log = TopicLog("disagreement", keeps_first=False, compact=True)
    for offset, name in enumerate(("kept", "ended")):
        log.add(0, offset, hash_of(name), storable=True)
    log.end(hash_of("ended"))
    table = Stored({0: np.array([0])}, {0: 3}, {0: 3})
    assert compare_stored(log, table)[1] == []
