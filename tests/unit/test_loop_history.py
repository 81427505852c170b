"""What comes next in a project follows from the facts of its loop alone, in whatever order the two topics are read."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams import codec, contract
from workers.history import History, Loop, Step
from workers.registry import About, fact

PROJECT = "birds"


def snapshot(name: str, caused_by: str | None = None, kind: str = "system") -> tuple[str, dict[str, Any]]:
    event = contract.examples()["snapshots"]["full"] | {
        "event_id": f"made-{name}",
        "project": PROJECT,
        "occurred_at": None,
        "snapshot": name,
        "caused_by": caused_by,
        "actor": {"id": "retrain", "kind": kind},
    }
    return "snapshots", event


def model(stage: Any, version: str | None = None, snapshot: str | None = None, **more: Any) -> tuple[str, Any]:
    about = {name: more.pop(name) for name in ("items", "after") if name in more}
    return "models", fact(PROJECT, stage, About(version, snapshot, **about), **more)


def history(*said: tuple[str, dict[str, Any]]) -> Loop:
    found = History()
    for n, (topic, event) in enumerate(said):
        found.learn(codec.encode(topic, event), 1_000 * n)
    return found.loop(PROJECT)


def whole_loop() -> list[tuple[str, dict[str, Any]]]:
    request = model("requested", by="lead-1", salt=[1])
    promoted = model("promoted", "m1", "s1")
    return [
        request,
        snapshot("s1", request[1]["event_id"]),
        model("trained", "m1", "s1"),
        promoted,
        model("scored", "m1", caused_by=promoted[1]["event_id"], items=2, after="b", salt=["b"]),
        model("scored", "m1", caused_by=promoted[1]["event_id"], items=3, salt=[""]),
        model("told", "m1", caused_by=promoted[1]["event_id"]),
    ]


def test_each_fact_leads_to_the_next_step() -> None:
    said = whole_loop()
    promotion = said[3][1]["event_id"]
    steps = [history(*said[: n + 1]).next_step() for n in range(len(said))]
    assert steps == [
        Step("snapshot", cause="by_hand", caused_by=said[0][1]["event_id"]),
        Step("train", snapshot="s1", caused_by="made-s1"),
        None,  # trained and judged is one transaction
        Step("score", version="m1", caused_by=promotion),
        Step("score", version="m1", caused_by=promotion, after="b", done=2),
        Step("tell", version="m1", caused_by=promotion),
        None,
    ]


@given(st.data())
def test_the_order_in_which_the_topics_are_read_does_not_matter(data: st.DataObject) -> None:
    said = whole_loop()
    snapshots = [one for one in said if one[0] == "snapshots"]
    mixed = [one for one in said if one[0] == "models"]
    for one in snapshots:
        mixed.insert(data.draw(st.integers(0, len(mixed))), one)
    copies = [*mixed, *data.draw(st.lists(st.sampled_from(said)))]
    loop = history(*copies)
    assert loop.next_step() is None
    assert (loop.champion, loop.told, loop.answered) == ("m1", {"m1"}, history(*said).answered)


def test_a_snapshot_by_hand_is_trained_on_only_when_somebody_asks() -> None:
    mine = snapshot("s1", kind="lead")
    assert history(mine).next_step() is None
    asked = model("requested", snapshot="s1", by="lead-1", salt=[1])
    assert history(mine, asked).next_step() == Step("train", snapshot="s1", caused_by=asked[1]["event_id"])


def test_who_asks_again_with_nothing_new_is_given_the_model_there_is() -> None:
    said = whole_loop()
    again = model("requested", by="lead-1", salt=[2])
    same = snapshot("s1", again[1]["event_id"])
    same[1]["event_id"] = "made-again"
    loop = history(*said, again, same)
    assert loop.next_step() is None
    outcome = loop.outcome(again[1]["event_id"])
    assert outcome is not None
    assert (outcome["stage"], outcome["model_version"]) == ("promoted", "m1")


def test_a_snapshot_that_somebody_took_before_is_trained_on_when_the_worker_takes_the_same() -> None:
    theirs, own = snapshot("s1", kind="lead"), snapshot("s1")
    own[1]["event_id"] = "made-by-worker"
    step = history(theirs, own).next_step()
    assert step == Step("train", snapshot="s1", caused_by="made-by-worker")


def test_a_failure_ends_a_snapshot_and_answers_the_request() -> None:
    request = model("requested", by="lead-1", salt=[1])
    made = snapshot("s1", request[1]["event_id"])
    loop = history(request, made, model("failed", snapshot="s1", caused_by="made-s1"))
    assert loop.next_step() is None
    outcome = loop.outcome(request[1]["event_id"])
    assert outcome is not None
    assert outcome["stage"] == "failed"


def test_a_promotion_by_hand_scores_the_items_again_but_tells_nobody_twice() -> None:
    said = whole_loop()
    s2 = [snapshot("s2"), model("trained", "m2", "s2"), promoted := model("promoted", "m2", "s2")]
    done = [model("scored", "m2", caused_by=promoted[1]["event_id"]), model("told", "m2")]
    back = model("promoted", "m1", "s1", by="lead-1", occurred_at=5, salt=[5])
    loop = history(*said, *s2, *done, back)
    assert loop.champion == "m1"
    assert loop.next_step() == Step("score", version="m1", caused_by=back[1]["event_id"])
    assert loop.learnt() == ["m1", "m2"]


def test_nobody_is_promoted_who_was_not_trained() -> None:
    assert history(model("promoted", "m9", "s9", by="lead-1", salt=[1])).champion is None
