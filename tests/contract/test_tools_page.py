"""What docs/tools.md promises to other languages is what the code does."""

import json
import re
from pathlib import Path
from typing import get_args

from streams import codec, contract
from streams.catalogue import MAX_FACT_BYTES, TOPICS
from streams.errors import Reason
from streams.events import VALUE_KINDS
from streams.keys import item_key, murmur2, partition_of
from streams.processors.item_state import MAX_ITEM_BYTES

PAGE = (Path(__file__).parent.parent.parent / "docs" / "tools.md").read_text()


def section(title: str) -> str:
    found = re.search(rf"^#+ {title}$(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def first_cells(title: str) -> list[str]:
    """Return what stands in code quotes in the first column of a section's table."""
    return re.findall(r"^\| `([^`]+)` \|", section(title), re.MULTILINE)


def test_the_worked_example_is_what_the_codec_writes() -> None:
    record = json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1])  # type: ignore[index]
    assert record == contract.examples()["labels"]["minimal"]
    raw = bytes.fromhex("".join(first_cells("One record, byte by byte")))
    assert raw == codec.encode("labels", record)
    assert f"schema id {codec.schema_id('labels')}" in PAGE


def test_every_fact_topic_is_listed_with_its_key() -> None:
    listed = dict(re.findall(r"^\| `labelloop\.(\w+)` \| (\S+) \|", section("Topics"), re.MULTILINE))
    assert listed == {topic.name: topic.key for topic in TOPICS.values() if topic.kind == "fact"}


def test_the_keys_and_the_partition_are_right() -> None:
    for project, item in (("birds", "img-7"), ("a/b", "Zaunkönig 1%")):
        assert f"`{item_key(project, item).decode()}`" in section("Key")
    key = item_key("birds", "img-7")
    said = re.search(r"hash (\d+) .*?of (\d+) partitions it belongs in number (\d+)", section("Partition"), re.DOTALL)
    assert said is not None
    assert [int(number) for number in said.groups()] == [murmur2(key), 4, partition_of(key, 4)]


def test_every_reason_has_a_remedy_and_every_kind_its_units() -> None:
    assert first_cells("Dead letters") == [*get_args(Reason)]
    assert first_cells("Values and units") == [*VALUE_KINDS]


def test_the_limits_are_those_of_the_code() -> None:
    assert f"at most {MAX_FACT_BYTES:,} bytes" in section("Size")
    assert f"{MAX_ITEM_BYTES:,}" in section("Size")
