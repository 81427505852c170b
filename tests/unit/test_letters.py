"""What became of a dead letter depends on what was said of it, not on the order in which that is read."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams import codec
from streams.dead_letters import Original
from streams.keys import item_key, partition_of
from streams.producers import facts
from streams.projects import Projects
from streams.query.letters import Filter, Group, Letters, grouped
from streams.query.redriving import way

SAMPLE = {"consumer": "items", "topic": "x.labels", "partition": 1, "offset": 5, "log_time": 7, "reason": "bug"}


def letter(attempt: int = 0, **changes: Any) -> dict[str, Any]:
    return SAMPLE | {"key": b"birds/i", "attempt": attempt} | changes


def action(attempt: int, kind: str = "redrive", by: str = "ops", **changes: Any) -> dict[str, Any]:
    return SAMPLE | {"attempt": attempt, "action": kind, "by": by, "text": None} | changes


def states(letters: Letters) -> list[str]:
    return [one.state for one in letters]


def test_a_letter_is_open_until_something_is_done_and_again_when_it_is_refused_again() -> None:
    letters = Letters("x")
    letters.learn(letter(), 0, 10)
    letters.learn(letter(), 1, 11)  # the same refusal, told twice
    assert states(letters) == ["open"]
    letters.settle(action(1), 12)
    assert states(letters) == ["redriven"]
    letters.learn(letter(1, reason="refused"), 2, 13)
    assert [(one.state, one.reason, one.next_attempt) for one in letters] == [("open", "refused", 2)]
    letters.settle(action(2, "drop"), 14)
    assert states(letters) == ["dropped"]
    found = letters.get("items:labels:1:5")
    assert found is not None
    assert found.done is not None
    assert (found.project, found.done.by) == ("birds", "ops")
    assert letters.get("items:labels:1:6") is None
    assert letters.get("nonsense") is None


@given(st.data())
def test_the_order_of_reading_does_not_matter(data: st.DataObject) -> None:
    attempts = st.integers(0, 3)
    said = data.draw(
        st.lists(
            st.one_of(
                st.builds(lambda n, place: (letter(n), place), attempts, st.integers(0, 9)),
                st.builds(
                    lambda n, kind, by, at: (action(n + 1, kind, by), at),
                    attempts,
                    st.sampled_from(["redrive", "republish", "drop"]),
                    st.sampled_from("ab"),
                    st.integers(0, 9),
                ),
            )
        )
    )

    def told(order: list[Any]) -> list[Any]:
        letters = Letters("x")
        for record, number in order:
            if "action" in record:
                letters.settle(record, number)
            else:
                letters.learn(record, number, number)
        return [*letters]

    assert told(said) == told(data.draw(st.permutations(said)))


def test_groups_and_filters() -> None:
    letters = Letters("x")
    letters.learn(letter(), 0, 10)
    letters.learn(letter(offset=6, key=b"\xff"), 1, 20)
    letters.learn(letter(topic="x.gold", consumer="sink", key=None), 2, 30)
    letters.settle(action(1), 40)
    groups = grouped(letters)
    assert groups == [Group("bug", "items", "x.labels", 2, 1, 10, 20), Group("bug", "sink", "x.gold", 1, 1, 30, 30)]
    assert letters.open_by() == {("items", "bug"): 1, ("sink", "bug"): 1}

    def places(wanted: Filter) -> list[int]:
        return [one.place for one in letters if wanted.takes(one)]

    assert places(Filter()) == [1, 2]
    assert places(Filter(everything=True)) == [0, 1, 2]
    assert places(Filter(project="birds", everything=True)) == [0]
    assert places(Filter(since=30)) == [2]
    assert (
        places(Filter(reason="refused")) == places(Filter(consumer="quality")) == places(Filter(topic="x.tips")) == []
    )


KEY = item_key("birds", "i")
HOME = partition_of(KEY, 4)


def settings(*changes: tuple[int, list[str]]) -> Projects:
    projects = Projects()
    for at, classes in changes:
        projects.apply(facts.project("birds", "lea", classes=classes).event, at)
    return projects


def refused(choice: str = "wren", **changes: Any) -> Original:
    value = codec.encode("labels", facts.label("birds", "i", "a", choice, occurred_at=1, source="t").event)
    fields: dict[str, Any] = {"consumer": "items", "topic": "x.labels", "partition": HOME, "offset": 3}
    fields |= {"timestamp": 100, "key": KEY, "value": value, "attempt": 1}
    return Original(**fields | changes)


def test_how_a_record_is_taken_after_all() -> None:
    def chosen(record: Original, reason: str = "bug", topic: str = "labels", *, now: int = 300) -> str | None:
        return way(topic, reason, record, settings((50, ["wren"]), (200, ["wren", "robin"])), 4, now).action

    assert chosen(refused()) == "redrive"
    assert chosen(refused("robin")) == "republish"  # declared after the log got it
    assert chosen(refused("crow")) is None
    assert chosen(refused(partition=(HOME + 1) % 4)) == "republish"
    assert chosen(refused(value=b"junk")) is None
    assert chosen(refused(), "id_conflict") is None
    assert chosen(refused(), topic="claims") is None
    assert chosen(refused(consumer="sink")) == "redrive"
    assert chosen(refused("crow", consumer="sink")) == "redrive"  # tables take what items does not
    ahead = codec.encode("labels", facts.label("birds", "i", "a", "wren", occurred_at=10**9, source="t").event)
    assert chosen(refused(value=ahead)) is None
    assert chosen(refused(value=ahead), now=10**9) == "republish"
    home = way("labels", "foreign_partitioner", refused(partition=(HOME + 1) % 4), settings((50, ["wren"])), 4, 300)
    assert (home.partition, home.key) == (HOME, KEY)
