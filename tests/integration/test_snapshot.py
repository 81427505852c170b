"""Snapshots of a real log and a real ClickHouse: the same rows from both, at any time, and the same bytes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer as Raw

from streams import codec
from streams.cli.snapshot import snapshot
from streams.keys import item_key
from streams.producers import facts
from streams.producers.producer import Producer
from streams.settings import Settings
from tests.integration.sinking import prepare, settled, sink
from tests.waiting import eventually
from workers.dataset import Dataset
from workers.facts import load, positions
from workers.snapshot import Position

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


@pytest.fixture
def stack(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings under which commands find the servers."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    return prepare(settings)


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(snapshot, [*arguments, "--project", "p"])


def output(*arguments: str) -> str:
    result = ran(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def publish_first(settings: Settings) -> None:
    """Publish facts of every kind, of which some are refused, and of another project."""
    with Producer(settings) as producer:
        producer.project("p", by="lead", classes=["cat", "dog"], members={"lead": "lead", "rev": "reviewer"})
        producer.flush()
        for n in range(30):
            right = ("cat", "dog")[n % 2]
            producer.item("p", f"i{n}", text=f"text {n} \N{SNOWMAN}", features=[n / 3, -0.0], attributes={"n": str(n)})
            for annotator in ("a", "b", "c", "d"):
                producer.label("p", f"i{n}", annotator, right, schema_version="s1")
        producer.label("p", "i1", "e", "cow")
        producer.label("q", "i1", "a", "dog")
        producer.correction("p", "i0", "anna", "corrected", "dog")
        producer.correction("p", "i2", "rev", "corrected", "dog", reason="ears")
        producer.gold("p", "i3", "cat", by="lead", use="truth")
        producer.gold("p", "i5", "cat", by="lead", use="evaluation")
        producer.gold("p", "i7", "dog", by="lead", use="fixed")
        producer.flag("p", "i4", "a", "unclear")
        producer.item("p", "i29", removed=True)


def loaded(settings: Settings, upto: list[Position], source: str = "log") -> Dataset:
    return load(settings, "p", upto, None, source)  # type: ignore[arg-type]


def test_a_snapshot_is_the_same_from_log_and_tables_at_any_time(stack: Settings, tmp_path: Path) -> None:
    publish_first(stack)
    first = positions(stack)
    told = output("create", "--by", "lead")
    assert "29 rows of 29 items" in told
    name = told.partition(":")[0]
    log_time = json.loads(output("show", "--json"))["as_of"]

    with Producer(stack) as producer:
        producer.correction("p", "i6", "rev", "corrected", "dog", reason="paws")
    second = output("create", "--by", "lead").partition(":")[0]
    assert second != name
    change = json.loads(output("diff", name, "--json"))
    assert (change["item_id"], change["actors"], change["why"]) == ("i6", ["rev"], ["corrected: paws"])

    past, then = loaded(stack, positions(stack, log_time)), loaded(stack, first)
    assert replace(past, refused={}) == replace(then, refused={})  # what is refused is no part of its time
    assert then.refused == {"unknown_class": 1, "not_allowed": 1}
    assert [*past.fixed] == ["i7"]
    assert output("create", "--by", "lead", "--at", "1970-01-01").startswith("s-")
    assert output("list").count("by_hand") == 3

    with sink(stack):
        eventually(lambda: settled(stack), "all is stored")
    assert output("verify", second, "--from", "clickhouse").startswith(f"{second}: the same 29 rows")
    for source in ("log", "clickhouse"):
        output("export", name, "--out", str(tmp_path / source), "--from", source)
    for file in ("rows.parquet", "rows.csv", "README.md", "manifest.json"):
        assert (tmp_path / "log" / file).read_bytes() == (tmp_path / "clickhouse" / file).read_bytes()
    manifest = tmp_path / "log" / "manifest.json"
    assert output("create", "--by", "lead", "--offsets", str(manifest)).startswith(f"{name}: 29 rows")

    manifest.write_text(manifest.read_text().replace('"rows": 29', '"rows": 28'))
    wrong = ran("verify", "--manifest", str(manifest))
    assert "rows: 28 was published, 29 comes out" in str(wrong.exception)


def test_tables_and_log_agree_on_every_fact_and_on_what_is_sent_again(stack: Settings) -> None:
    """A table holds the first copy alone: where that was refused, the log decides."""
    with Producer(stack) as producer:
        producer.project("p", by="lead", classes=["cat"])
        for annotator in ("a", "b", "c", "d"):
            producer.label("p", "i", annotator, "cat")
        producer.label("p", "i", "a", None, retracted=True)
        spans = [{"label": "cat", "start": 0, "end": 3}]
        producer.label("p", "j", "a", {"kind": "spans", "spans": spans})
        producer.flag("p", "i", "a", "unclear", resolves="x")
    upto = positions(stack)
    cow = facts.correction("p", "k", "rev", "corrected", "cow", occurred_at=1)
    with Producer(stack) as producer:
        producer.send(cow)
        producer.flush()
        producer.project("p", by="lead", classes=["cat", "cow"])
        producer.flush()
        producer.send(cow)
    later = positions(stack)
    with sink(stack):
        eventually(lambda: settled(stack), "all is stored")
    one, other = loaded(stack, upto), loaded(stack, upto, "clickhouse")
    assert not one.refused
    assert [*one.states] == ["i", "j"]
    assert other == one
    assert loaded(stack, later, "clickhouse") == loaded(stack, later)
    assert [row.item_id for row in loaded(stack, later).rows][-1] == "k"


def test_what_is_not_committed_yet_is_not_part_of_it(stack: Settings) -> None:
    with Producer(stack) as producer:
        producer.correction("p", "i", "rev", "corrected", "cat")
    before = positions(stack)
    config: dict[str, str | int | float | bool] = {
        "bootstrap.servers": stack.kafka,
        "transactional.id": f"{stack.prefix}.test",
        "partitioner": "murmur2_random",
    }
    open_ = Raw(config)
    open_.init_transactions(30)
    open_.begin_transaction()
    fact = facts.correction("p", "i", "rev", "corrected", "dog", occurred_at=1)
    open_.produce(stack.topic("corrections"), codec.encode(*fact), item_key("p", "i"))
    open_.flush(30)
    assert positions(stack) == before
    assert positions(stack, 10**15) == before
    assert [row.value["choice"] for row in loaded(stack, positions(stack)).rows] == ["cat"]
    open_.commit_transaction(30)
    eventually(lambda: positions(stack) != before, "the transaction counts")
    after = loaded(stack, positions(stack))
    assert after.places.keys() > loaded(stack, before).places.keys()
