"""Time travel on a real stack: what is computed from the log is what was there, at every instant."""

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from streams import codec
from streams.cli.replay import history, state, whatif
from streams.origins import Cut
from streams.producers.producer import Producer
from streams.query.projects import read_projects
from streams.query.settle import settle
from streams.replay.reading import ends_at, listed, read_past
from streams.replay.settled import settled
from streams.settings import Settings
from tests.crash.cluster import read
from tests.crash.real import running
from tests.integration.sinking import prepare

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

TOPICS = ("review.state", "judgements", "disagreement", "labels.corrected", "skill", "agreement")
ITEMS = 40


class Instant(NamedTuple):
    """What a stack said when it had settled: how far the log went, and the newest record of each key by topic."""

    ends: Cut
    said: dict[str, dict[bytes, Any]]


@pytest.fixture
def stack(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Run the workers that make queue, agreement and skill; commands find the servers."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    prepare(settings)
    with ExitStack() as workers:
        for words in (("items", "--slot", "0"), ("quality", "--slot", "0"), ("sink",)):
            workers.enter_context(running(settings, *words))
        yield settings


def act(producer: Producer, draw: random.Random, n: int) -> None:
    """Publish what may happen between two instants."""
    for _ in range(25):
        item = f"i{draw.randrange(ITEMS)}"
        said = ("cat", "dog")[int(item[1:]) % 2] if draw.random() < 0.8 else draw.choice(("cat", "dog", "bird"))
        producer.label("p", item, draw.choice(("anna", "ben", "cleo", "dora")), said)
    item = f"i{draw.randrange(ITEMS)}"
    producer.correction("p", item, "rita", "corrected", ("cat", "dog")[int(item[1:]) % 2], reason="looked twice")
    producer.flag("p", f"i{draw.randrange(ITEMS)}", "anna", "unclear", severity=0.5)
    producer.claim("p", f"i{draw.randrange(ITEMS)}", "rob")
    producer.gold("p", f"i{draw.randrange(ITEMS)}", "cat", by="lea", use=draw.choice(("evaluation", "truth")))
    producer.label("p", item, "eve", "unicorn")  # is no class: it never counts
    match n % 4:
        case 1:
            producer.project("p", "lea", guideline={"version": f"v{n}", "classes": ["cat"]})
        case 2:
            policy = {"p0": round(0.3 + draw.random() / 3, 2), "ageing_per_day": 0.02, "lease_ms": 3_600_000}
            producer.project("p", "lea", policy=policy)


def newest(settings: Settings, topic: str) -> dict[bytes, Any]:
    """Return the newest record of each key, of a fit without its number."""
    found = {}
    for record in read(settings.kafka, settings.topic(topic)):
        content = codec.decode(record.value)[1]
        found[record.key or b""] = {name: value for name, value in content.items() if name != "refit"}
    return found


def look(settings: Settings) -> Instant:
    settle(settings, "p", 120)
    return Instant(ends_at(settings), {topic: newest(settings, topic) for topic in TOPICS})


def computed(settings: Settings, ends: Cut) -> dict[str, dict[bytes, Any]]:
    past, projects = read_past(settings, "p", ends)
    records = settled("p", past.states.values(), projects.latest("p")).records
    found = {topic: {key: codec.decode(value)[1] for key, value in records[topic].items()} for topic in TOPICS}
    for of_topic in found.values():
        for record in of_topic.values():
            record.pop("refit", None)
    return found


@pytest.mark.parametrize("instants", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_the_state_at_an_instant_is_what_was_recorded_then(stack: Settings, instants: int, tmp_path: Path) -> None:
    draw, seen = random.Random(instants), list[Instant]()
    with Producer(stack) as producer:
        members = {"lea": "lead", "rita": "reviewer", "rob": "reviewer"}
        producer.project("p", "lea", classes=["cat", "dog", "bird"], members=members)
        producer.flush()
        for n in range(instants):
            act(producer, draw, n)
            producer.flush()
            seen.append(look(stack))
    for instant in seen:
        then = computed(stack, instant.ends)
        for topic in TOPICS:
            assert then[topic] == instant.said[topic], topic

    told = ran(state, "--offsets", str(saved(tmp_path, stack, seen[1])))
    assert {task["item_id"]: task for task in told["review.state"]} == {
        task["item_id"]: json.loads(json.dumps(task)) for task in seen[1].said["review.state"].values()
    }
    by_time = ran(state, "--at", iso(told["as_of"]), "--item", told["review.state"][0]["item_id"])
    assert by_time["review.state"] == told["review.state"][:1]

    assert ran(whatif, "--set", f"p0={policy_of(stack).p0}")["tiers"] == []
    strict = ran(whatif, "--set", "p0=0.001", "--set", "p1=0.0005")
    assert {moved["to"] for moved in strict["tiers"]} == {"p0"}

    item = told["review.state"][0]["item_id"]
    result = CliRunner().invoke(history, [item, "-p", "p", "--format", "jsonl"])
    entries = [json.loads(line) for line in result.output.splitlines()]
    facts = [
        record for topic in ("labels", "corrections", "flags", "claims", "gold") for record in of(stack, topic, item)
    ]
    moved_by = [one["topic"] for one in entries if one["offset"] is None]
    assert moved_by == ["projects"] * (len(entries) - len(facts))

    for command, words, why in (
        (state, ["--at", "1970-01-01"], "no fact about an item of 'p' up to there"),
        (state, ["--item", "nobody"], "no fact about item 'nobody'"),
        (whatif, ["--set", "p9=1"], "a policy has no 'p9'"),
        (history, ["nobody"], "no item 'nobody'"),
    ):
        failed = CliRunner().invoke(command, [*words, "-p", "p"])
        assert why in str(failed.exception), failed.output


def ran(command: Any, *words: str) -> Any:
    result = CliRunner().invoke(command, [*words, "-p", "p", "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def saved(folder: Path, settings: Settings, instant: Instant) -> Path:
    """Return a file with the offsets of an instant."""
    file = folder / "then.json"
    file.write_text(json.dumps(listed(settings, instant.ends)))
    return file


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def policy_of(settings: Settings) -> Any:
    return read_projects(settings).latest("p").policy


def of(settings: Settings, topic: str, item: str) -> list[Any]:
    found = []
    for record in read(settings.kafka, settings.topic(topic)):
        if codec.decode(record.value)[1]["item_id"] == item:
            found.append(record)
    return found
