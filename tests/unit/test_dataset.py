"""What a model is trained on follows from the set of facts alone, and from no prediction and no evaluation gold."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codec, events
from streams.events import Event
from streams.keys import item_key
from streams.origins import Origin
from streams.processors.item_state import MAX_ITEM_BYTES
from streams.processors.items import Items
from streams.projects import Projects
from streams.transport.batch import Batch, MemoryRows
from tests.unit.facts import PROJECT, fact, label, verdict
from tests.unit.logs import PARTITIONS, log_of, logged
from tests.unit.test_items import Fetched, members
from workers.dataset import Dataset, Item, Logged, Place, build

Facts = list[tuple[str, Event]]


def dataset(*facts: tuple[str, Event], projects: Projects | None = None) -> Dataset:
    return build(PROJECT, log_of(facts), projects or Projects(), PARTITIONS)


def votes(item_id: str, choice: str, count: int, who: str = "ann") -> Facts:
    return [("labels", label(f"{who}-{n}", choice, item_id=item_id)) for n in range(count)]


UNANIMOUS = [vote for n in range(16) for vote in votes(f"u{n}", ("cat", "dog")[n % 2], 4)]
"""Labels by which the annotators are known to be good ones."""


def correct(item_id: str, choice: str | None, kind: str = "corrected", **fields: Any) -> tuple[str, Event]:
    return "corrections", verdict("rev", kind, choice, item_id=item_id, **fields)


def gold(item_id: str, choice: str, use: str, **fields: Any) -> tuple[str, Event]:
    return "gold", fact("gold", "lead", kind="lead", item_id=item_id, value=events.choice(choice), use=use, **fields)


def described(item_id: str, **fields: Any) -> tuple[str, Event]:
    return "items", fact("items", "importer", kind="system", item_id=item_id, **fields)


def predicted(item_id: str, choice: str, kind: str = "model") -> tuple[str, Event]:
    return "predictions", fact(
        "predictions", "m", kind=kind, item_id=item_id, probabilities={choice: 0.99}, value=events.choice(choice)
    )


def told(found: Dataset) -> dict[str, tuple[Any, str]]:
    return {row.item_id: (row.value[row.value["kind"]], row.source) for row in found.rows}


def test_a_verdict_comes_before_truth_and_truth_before_the_votes() -> None:
    facts = [*votes("c", "cat", 4), *votes("v", "cat", 1), *votes("t", "cat", 1), *UNANIMOUS]
    facts += [gold("v", "cow", "truth"), gold("t", "dog", "truth")]
    facts += [correct("v", "dog", schema_version="s1", guideline_version="g1")]
    found = dataset(*facts)
    decided = {"c": ("cat", "consensus"), "t": ("dog", "truth"), "v": ("dog", "verdict")}
    assert {item_id: one for item_id, one in told(found).items() if item_id[0] != "u"} == decided
    consensus, *_, row = found.rows
    assert row.evidence == (facts[-1][1]["event_id"],)
    assert (row.weight_ppm, row.schema_version, row.guideline_version) == (1_000_000, "s1", "g1")
    assert consensus.evidence == tuple(sorted(event["event_id"] for _, event in facts[:4]))
    assert 950_000 <= consensus.weight_ppm < 1_000_000
    assert found.class_counts == {"cat": 9, "dog": 10}
    assert found.source_counts == {"consensus": 17, "truth": 1, "verdict": 1}
    assert (found.schema_versions, found.guideline_versions) == (("s1",), ("g1",))
    assert found.as_of == 1_000_000 + 1000 * (len(facts) - 1)


def test_a_doubtful_consensus_has_no_row_but_is_an_item() -> None:
    found = dataset(*votes("i", "cat", 1), ("labels", label("ben", "dog", item_id="i")), described("j", text="t"))
    assert found.rows == ()
    assert found.items == {"i": Item("i"), "j": Item("j", text="t")}


def test_no_prediction_and_no_evaluation_gold_has_a_part() -> None:
    facts = [*votes("i", "cat", 4), *votes("j", "cat", 1), correct("k", "dog")]
    plain = dataset(*facts)
    also = [predicted("i", "dog"), predicted("j", "cat"), predicted("j", "dog", "system"), predicted("new", "dog")]
    also += [gold(item_id, "cow", "evaluation") for item_id in ("i", "j", "k", "new")]
    found = dataset(*facts, *also)
    assert replace(found, items=plain.items, states=plain.states) == plain
    assert "cow" not in repr(found)
    assert "0.99" not in repr(found)


def test_the_last_description_counts_and_a_removed_item_is_gone_until_it_is_described_again() -> None:
    rich = described("i", text="x" * 3000, features=[1.5, 2.0], group="g", attributes={"b": "2", "a": "1"})
    facts = [*votes("i", "cat", 4), described("i", text="old"), rich]
    row = dataset(*facts).rows[0]
    assert row.item == Item("i", "g", "x" * 3000, (1.5, 2.0), None, None, (("a", "1"), ("b", "2")))
    removed = dataset(*facts, described("i", removed=True))
    assert (removed.rows, removed.items) == ((), {})
    assert "i" in removed.states
    again = dataset(*facts, described("i", removed=True), described("i", features_file="f.npy", features_row=3))
    assert again.rows[0].item == Item("i", features_file="f.npy", features_row=3)
    assert again.files == ["f.npy"]


def test_an_undone_verdict_leaves_what_there_was_and_a_rejection_leaves_nothing() -> None:
    facts = [*votes("i", "cat", 4), correct("i", "dog")]
    undone = correct("i", None, "undone", undoes=facts[-1][1]["event_id"])
    assert told(dataset(*facts)) == {"i": ("dog", "verdict")}
    assert told(dataset(*facts, undone)) == {"i": ("cat", "consensus")}
    assert told(dataset(*facts, correct("i", None, "rejected"))) == {}


def test_places_are_those_of_first_copies() -> None:
    facts = [*votes("i", "cat", 1), correct("i", "dog"), ("flags", fact("flags", "ann-0", item_id="i"))]
    log = log_of(facts)
    again = [one._replace(offset=one.offset + 50) for one in log]
    found = build(PROJECT, [*again, *log], Projects(), PARTITIONS)
    home = log[0].partition
    assert found.places == {
        facts[1][1]["event_id"]: Place("corrections", home, 1),
        facts[2][1]["event_id"]: Place("flags", home, 2),
    }


def test_places_tell_where_a_fact_lay_before_the_log_was_moved() -> None:
    log = log_of([correct("i", "dog")])
    before = (Origin(1, 0, 41),)
    found = build(PROJECT, [one._replace(earlier=before) for one in log], Projects(), PARTITIONS)
    assert [place.earlier for place in found.places.values()] == [before]


def test_other_kinds_are_resolved_by_their_own_consensus() -> None:
    several = [
        ("labels", fact("labels", f"ann-{n}", item_id="i", value=events.value_of("choices", ["cat", "dog"])))
        for n in range(4)
    ]
    numbers = [
        ("labels", fact("labels", f"ann-{n}", item_id="n", value=events.value_of("number", 2.0 + n))) for n in range(3)
    ]
    found = dataset(*several, *numbers)
    assert told(found) == {"i": (["cat", "dog"], "consensus")}  # numbers that differ are not sure enough
    assert found.class_counts == {"cat": 1, "dog": 1}
    assert len(found.rows[0].evidence) == 4


def test_facts_of_other_projects_are_passed_over() -> None:
    other = [(topic, {**event, "project": "q"}) for topic, event in votes("i", "dog", 6)]
    assert dataset(*votes("i", "cat", 4), *other) == dataset(*votes("i", "cat", 4))


REFUSED: dict[str, tuple[str, Event]] = {
    "unknown class": ("labels", label("a", "cow")),
    "no reviewer": ("corrections", verdict("anna", "corrected", "cat")),
    "no lead": gold("i", "cat", "truth", event_id="g"),
    "from the future": ("labels", label("a", "cat", occurred_at=10_000_000)),
    "no value": ("labels", fact("labels", "a", value=None)),
    "too many bytes": ("items", fact("items", "x", text="y" * (MAX_ITEM_BYTES + 1))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_items_refuses_is_refused(name: str) -> None:
    topic, bad = REFUSED[name]
    projects = members(rev="reviewer")
    good = label("good", "cat")
    found = build(PROJECT, [logged("labels", good), logged(topic, bad, 1)], projects, PARTITIONS)
    kept = {event_id for of_topic in found.states["i"]["facts"].values() for event_id in of_topic}
    assert kept == {good["event_id"]}
    if name != "too many bytes":  # of one fact the processor says so first
        record = Fetched(codec.encode(topic, bad), item_key(PROJECT, bad["item_id"]))
        batch = Batch(f"x.{topic}", logged(topic, bad).partition, [record], 0, 1)
        (letter,) = Items("x", PARTITIONS, projects).handle(batch, MemoryRows()).dead
        assert found.refused == {letter.reason: 1}
    else:
        assert found.refused == {"item_too_large": 1}


def test_a_foreign_partition_is_refused() -> None:
    one = logged("labels", label("a", "cat"))
    found = build(PROJECT, [one._replace(partition=(one.partition + 1) % PARTITIONS)], Projects(), PARTITIONS)
    assert (found.states, found.refused) == ({}, {"foreign_partitioner": 1})


def test_of_one_id_with_two_contents_the_first_in_the_log_counts() -> None:
    first, second = label("a", "cat", event_id="1"), label("a", "dog", event_id="1")
    log = [logged("labels", first, 3), logged("labels", second, 5), logged("labels", first, 7)]
    for order in (log, log[::-1], [log[1], log[0], log[2]]):
        found = build(PROJECT, order, Projects(), PARTITIONS)
        assert found.states["i"]["facts"]["labels"]["1"]["value"] == {"kind": "choice", "choice": "cat"}
        assert found.refused == {"id_conflict": 1}


def test_a_fact_sent_again_after_its_class_was_declared_counts() -> None:
    projects = Projects()
    projects.apply(fact("projects", "lead", kind="lead", item_id="", classes=["cat"]), 0)
    projects.apply(fact("projects", "lead", kind="lead", item_id="", classes=["cat", "cow"]), 2_000_000)
    log = [logged("corrections", verdict("rev", "corrected", "cow"), n, 1_000_000 * n) for n in (1, 3)]
    found = build(PROJECT, log, projects, PARTITIONS)
    assert told(found) == {"i": ("cow", "verdict")}
    assert found.refused == {"unknown_class": 1}


def test_an_item_that_grows_too_large_keeps_its_first_facts() -> None:
    step = MAX_ITEM_BYTES // 3
    facts = [("items", fact("items", "x", text=f"{n}" * step)) for n in range(4)]
    log = log_of(facts)
    found = build(PROJECT, log[::-1], Projects(), PARTITIONS)
    assert found.refused == {"item_too_large": 2}
    assert (found.items["i"].text or "")[0] == "1"
    assert found.states["i"]["bytes"] <= MAX_ITEM_BYTES


def test_rows_are_what_the_processor_tells_once_it_knows_the_fit() -> None:
    """Without predictions: the same rule resolves labels here and there."""
    from streams.processors.answer import answer
    from streams.processors.snapshots import resolved
    from streams.processors.task import consensus
    from streams.quality.fitted import learnt
    from streams.quality.project import Project
    from streams.quality.skill import Scorer

    draw = random.Random(5)
    facts: Facts = []
    for n in range(60):
        right = draw.choice(["cat", "dog", "cow"])
        for a in range(4):
            says = right if draw.random() < 0.5 + 0.12 * a else draw.choice(["cat", "dog", "cow"])
            facts.append(("labels", label(f"ann-{a}", says, item_id=f"i{n}")))
        if n % 9 == 0:
            facts.append(correct(f"i{n}", right))
    found = dataset(*facts)
    project = Project()
    for item_id, state in found.states.items():
        known = answer(state, found.view)
        reference = known.verdict and known.verdict[1]["value"]
        for annotator, (_, given_) in known.labels.items():
            project.apply(
                {
                    "item_id": item_id,
                    "annotator": annotator,
                    "actor_kind": "annotator",
                    "value": given_["value"],
                    "labelled_at": 0,
                    "guideline_version": None,
                    "reference": reference,
                    "group": None,
                }
            )
    truth = project.fit()
    assert truth is not None
    scorer = Scorer(learnt(truth))
    expected = {}
    for item_id, state in found.states.items():
        known = answer(state, found.view, scorer)
        one = resolved(known, consensus(known, found.view), found.view)
        if one.value is not None:
            expected[item_id] = (one.value, one.source, one.weight_ppm, tuple(sorted(one.evidence)))
    assert {row.item_id: (row.value, row.source, row.weight_ppm, row.evidence) for row in found.rows} == expected
    assert 7 < len(expected) < 60


CHOICES, NAMES, ITEMS = st.sampled_from(["cat", "dog"]), st.sampled_from(["a", "b", "c"]), st.sampled_from(["i", "j"])
IDS = st.sampled_from(["1", "2", "3", "4", "5"])


@st.composite
def any_fact(draw: st.DrawFn) -> tuple[str, Event]:
    """A fact of few ids, so that copies and conflicts are common."""
    topic = draw(st.sampled_from(["labels", "labels", "corrections", "gold", "items"]))
    who, choice, item_id, event_id = draw(NAMES), draw(CHOICES), draw(ITEMS), draw(IDS)
    if topic == "labels":
        return topic, label(who, choice, item_id=item_id, event_id=event_id)
    if topic == "gold":
        use = draw(st.sampled_from(events.GOLD_USES))
        return gold(item_id, choice, use, event_id=event_id)
    if topic == "items":
        return described(item_id, text=choice, removed=draw(st.booleans()), event_id=event_id)
    kind = draw(st.sampled_from(events.VERDICTS))
    undoes = draw(IDS) if kind == "undone" else None
    return correct(
        item_id, choice if kind in ("corrected", "confirmed") else None, kind, undoes=undoes, event_id=event_id
    )


@given(st.lists(any_fact(), max_size=25), st.randoms(use_true_random=False))
def test_order_and_copies_do_not_matter(facts: Facts, shuffle: random.Random) -> None:
    log = log_of(facts)
    expected = build(PROJECT, log, Projects(), PARTITIONS)
    again: list[Logged] = [one._replace(offset=one.offset + 100, log_time=one.log_time + 10**6) for one in log[::2]]
    mixed = [*log, *again, *log[::3]]  # sent again, and read again
    shuffle.shuffle(mixed)
    found = build(PROJECT, mixed, Projects(), PARTITIONS)
    assert found == expected
    assert found.content_hash == expected.content_hash
