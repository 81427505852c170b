"""What a newer labelloop wrote for its own kind stops this one in one line; of others' records it is a dead letter."""

from collections.abc import Callable

import pytest

from streams import codec, contract
from streams.errors import LabelloopError, Poison
from streams.keys import make_key
from streams.processors.fits import Skills
from streams.processors.items import Items
from streams.processors.quality import Quality
from streams.projects import Projects
from streams.sinks.rows import Raw, build
from streams.transport.batch import Batch, MemoryRows
from tests.unit.test_items import Fetched

NEWEST = contract.read_lock()[-1]["id"]


def written(id_: int) -> bytes:
    return b"\0" + id_.to_bytes(4, "big") + b"\x02p"


def batch(topic: str, value: bytes) -> Batch:
    return Batch(f"x.{topic}", 0, [Fetched(value, make_key("p"))], 0, 1)


READERS: dict[str, Callable[[bytes], object]] = {
    "rescores": lambda raw: Items("x", 4, Projects()).handle(batch("rescores", raw), MemoryRows()),
    "fits": lambda raw: Quality("x", 4).handle(batch("fits", raw), MemoryRows()),
    "annotators": lambda raw: Skills().learn(raw, 0),
    "review.state, by the sink": lambda raw: build("review.state", "x.review.state", 0, 1, [Raw(0, 0, b"k", raw)]),
}


@pytest.mark.parametrize("name", READERS)
def test_a_record_of_a_newer_labelloop_stops_who_would_lose_it(name: str) -> None:
    with pytest.raises(LabelloopError, match=f"under schema {NEWEST + 1}, and this one knows up to {NEWEST}: upgrade"):
        READERS[name](written(NEWEST + 1))


@pytest.mark.parametrize("raw", [written(NEWEST + 1001), written(2**31 - 1), b"", b"\1\0\0\0\1", None])
def test_what_no_labelloop_wrote_is_poison_as_ever(raw: bytes | None) -> None:
    with pytest.raises(Poison):
        codec.decode_own(raw)


def test_a_newer_fact_is_a_dead_letter_that_names_the_remedy() -> None:
    for dead in (
        build("labels", "x.labels", 0, 1, [Raw(0, 0, b"k", written(NEWEST + 1))]).dead,
        Items("x", 4, Projects()).handle(batch("labels", written(NEWEST + 1)), MemoryRows()).dead,
    ):
        assert [letter.reason for letter in dead] == ["unknown_schema"]
        assert "upgrade this worker and give the record back with `labelloop dlq redrive`" in dead[0].detail
