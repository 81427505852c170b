"""The typed calls: what they send, the ids they derive, and what they refuse. The broker is a fake."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams import codec, events
from streams.catalogue import MAX_FACT_BYTES, TOPICS
from streams.clock import ManualClock
from streams.errors import LabelloopError
from streams.producers.producer import DeliveryError, Producer
from streams.producers.values import InvalidFact, as_time, as_value
from streams.settings import ClickHouseAddress, Settings

ADDRESS = ClickHouseAddress("nowhere", 9000, "u", "p")
SETTINGS = Settings(Path("/nowhere"), "nowhere:9092", ADDRESS, ADDRESS, prefix="t")
NOW = 1_777_888_800_000


class FakeKafka:
    """Keeps what is produced; refuses, or is full, when told to."""

    def __init__(self, config: dict[str, Any], **_: Any) -> None:
        self.config = config
        self.sent: list[tuple[str, bytes, bytes | None, int]] = []
        self.full = 0
        self.refuses = False
        self.topics = {SETTINGS.topic(name): 3 for name in TOPICS}

    def list_topics(self, timeout: float) -> Any:
        if not self.topics:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return SimpleNamespace(topics={n: SimpleNamespace(partitions=range(c)) for n, c in self.topics.items()})

    def produce(self, topic: str, value: bytes, key: bytes | None, partition: int) -> None:
        if self.full:
            self.full -= 1
            raise BufferError
        self.sent.append((topic, value, key, partition))
        if self.refuses:
            message = SimpleNamespace(topic=lambda: topic, value=lambda: value)
            self.config["on_delivery"](KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), message)

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float = -1) -> int:
        return 0


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> Producer:
    monkeypatch.setattr("confluent_kafka.Producer", FakeKafka)
    return Producer(SETTINGS, clock=ManualClock(NOW))


def kafka(producer: Producer) -> FakeKafka:
    return cast(FakeKafka, producer._rd)


def sent(producer: Producer) -> events.Event:
    return codec.decode(kafka(producer).sent[-1][1])[1]


CALLS: dict[str, Callable[[Producer], str]] = {
    "labels": lambda p: p.label("birds", "img-7", "anna", "wren", duration_ms=4200),
    "flags": lambda p: p.flag("birds", "img-7", "anna", "unclear", severity=1),
    "comments": lambda p: p.comment("birds", "img-7", "anna", "beak", "why?"),
    "corrections": lambda p: p.correction("birds", "img-7", "rev-1", "corrected", "robin", reason="red"),
    "predictions": lambda p: p.prediction("birds", "img-7", "m1", probabilities={"wren": 1}),
    "items": lambda p: p.item("birds", "img-7", text="a bird", features=[1, 2.5]),
    "gold": lambda p: p.gold("birds", "img-7", "robin", by="lead-1", use="truth"),
    "claims": lambda p: p.claim("birds", "img-7", "rev-1"),
    "projects": lambda p: p.project("birds", "lead-1", classes=["wren"], members={"rev-1": "reviewer"}),
}


@pytest.mark.parametrize("topic", CALLS)
def test_a_call_sends_a_valid_fact_by_its_key(producer: Producer, topic: str) -> None:
    event_id = CALLS[topic](producer)
    full_name, raw, key, partition = kafka(producer).sent[0]
    name, event = codec.decode(raw)
    assert (full_name, name, partition) == (f"t.{topic}", topic, -1)
    assert key == (b"birds" if topic == "projects" else b"birds/img-7")
    assert (event["event_id"], event["occurred_at"], event["source"]) == (event_id, NOW, "sdk")


@pytest.mark.parametrize("topic", CALLS)
def test_the_same_call_has_the_same_id_and_at_another_time_another(producer: Producer, topic: str) -> None:
    again = Producer(SETTINGS, clock=ManualClock(NOW))
    ids = [CALLS[topic](producer), CALLS[topic](again)]
    assert ids[0] == ids[1]
    clock = producer._clock
    assert isinstance(clock, ManualClock)
    clock.ms += 1
    assert CALLS[topic](producer) != ids[0]


def test_calls_within_a_millisecond_keep_their_order_and_are_different_facts(producer: Producer) -> None:
    for value in ("wren", "robin", "wren"):
        producer.label("birds", "img-7", "anna", value)
    facts = [codec.decode(raw)[1] for _, raw, _, _ in kafka(producer).sent]
    assert [(fact["occurred_at"], fact["source_seq"]) for fact in facts] == [(NOW, 0), (NOW, 1), (NOW, 2)]
    assert len({fact["event_id"] for fact in facts}) == 3
    clock = producer._clock
    assert isinstance(clock, ManualClock)
    clock.ms += 1
    producer.label("birds", "img-7", "anna", "robin")
    assert sent(producer)["source_seq"] == 0


def test_seconds_are_not_taken_for_milliseconds(producer: Producer) -> None:
    with pytest.raises(InvalidFact, match="give milliseconds"):
        producer.label("birds", "img-7", "anna", "wren", occurred_at=1_714_824_000)
    assert kafka(producer).sent == []


def test_everything_that_makes_the_fact_is_in_its_id(producer: Producer) -> None:
    base: dict[str, Any] = {"project": "p", "item_id": "i", "annotator": "a", "value": "x", "occurred_at": NOW}
    variants: list[dict[str, Any]] = [
        {"project": "q"},
        {"item_id": "j"},
        {"annotator": "b"},
        {"value": "y"},
        {"occurred_at": NOW + 5},
        {"duration_ms": 5},
        {"retracted": True, "value": None},
        {"source_ref": "r"},
        {"attributes": {"k": "v"}},
    ]
    ids = [producer.label(**base), *[producer.label(**{**base, **variant}) for variant in variants]]
    assert len({*ids}) == len(ids)


def test_an_id_of_the_tool_is_kept(producer: Producer) -> None:
    assert producer.label("p", "i", "a", "x", event_id="tool-1") == "tool-1"
    assert sent(producer)["event_id"] == "tool-1"


def test_the_order_in_which_a_mapping_was_written_does_not_change_the_id(producer: Producer) -> None:
    first = {"kind": "spans", "spans": [{"label": "x", "start": 0, "end": 2}]}
    second = {"spans": [{"end": 2, "start": 0, "label": "x"}], "kind": "spans"}
    one, other = (producer.label("p", "i", "a", value, occurred_at=NOW) for value in (first, second))
    assert one == other


def test_a_tick_goes_to_every_partition(producer: Producer) -> None:
    producer.tick()
    assert [(key, partition) for _, _, key, partition in kafka(producer).sent] == [(None, 0), (None, 1), (None, 2)]
    assert sent(producer)["at"] == NOW


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: p.label("p", "", "a", "x"), "item_id has 0 characters: give 1 to 500"),
        (lambda p: p.label("p", "i", "a", None), "value is missing: give a value, or retracted=true"),
        (lambda p: p.label("p", 5, "a", "x"), "must be string on field item_id"),
        (lambda p: p.label("p", "i", "a", object()), "is no label value"),
        (lambda p: p.label("p", "i", "a", {"kind": "number", "number": "x"}), "'x' .* does not fit number"),
        (lambda p: p.label("p", "i", "a", "x", attributes={"n": 1}), "must be string on field attributes"),
        (lambda p: p.label("p", "i", "a", "x", occurred_at=NOW + 3_600_000), "set the tool's clock"),
        (lambda p: p.label("p", "i", "a", "x", colour="red"), "unknown argument colour"),
        (lambda p: p.label("p", "\ud800", "a", "x"), "surrogates"),
        (lambda p: p.flag("p", "i", "a", "wrong", severity=2), "severity is 2"),
        (lambda p: p.item("p", "i", text="x" * MAX_FACT_BYTES), "a fact has at most 262144; send a reference"),
        (lambda p: p.project("p", "l", policy={"p0": 0.1}), "thresholds"),
        (lambda p: p.project("p", "l", policy={"lease_ms": 10**15}), "policy.lease_ms is .* 7 days"),
        (lambda p: p.project("p", "l", classes="wren"), "give a list of classes"),
        (lambda p: p.project("p", "l", classes=[]), "or none"),
        (lambda p: p.project("p", "l", members={}), "keep one reviewer"),
        (lambda p: p.project("p", "l", guideline={"classes": ["a"]}), "a guideline has a version"),
        (lambda p: p.label("p", "i", "a", "x", retracted=True), "carries no value"),
        (lambda p: p.flag("p", "i", "a", "x", severity=10**400), "too large"),
    ],
)
def test_a_fact_that_breaks_the_contract_is_refused_with_a_remedy(
    producer: Producer, call: Callable[[Any], str], said: str
) -> None:
    with pytest.raises(InvalidFact, match=said) as caught:
        call(producer)
    assert isinstance(caught.value, LabelloopError)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 400
    assert kafka(producer).sent == []


def test_what_the_broker_refused_is_raised_at_flush_once(producer: Producer) -> None:
    kafka(producer).refuses = True
    event_id = CALLS["labels"](producer)
    with pytest.raises(DeliveryError, match=f"not delivered: 1 .t.labels {event_id}") as caught:
        producer.flush()
    assert [failed[:2] for failed in caught.value.failed] == [("t.labels", event_id)]
    producer.flush()


def test_a_broker_that_takes_nothing_ends_a_long_work_early(producer: Producer) -> None:
    kafka(producer).refuses = True
    for _ in range(999):
        CALLS["labels"](producer)
    with pytest.raises(DeliveryError, match="not delivered: 1000 "):
        CALLS["labels"](producer)


def test_the_end_of_a_with_block_flushes(producer: Producer) -> None:
    kafka(producer).refuses = True
    with pytest.raises(DeliveryError), producer:
        CALLS["labels"](producer)


def test_an_error_in_a_with_block_is_not_hidden(producer: Producer) -> None:
    kafka(producer).refuses = True
    CALLS["labels"](producer)
    with pytest.raises(KeyError), producer:
        raise KeyError


def test_a_full_queue_waits(producer: Producer) -> None:
    kafka(producer).full = 3
    CALLS["labels"](producer)
    assert len(kafka(producer).sent) == 1


def test_a_missing_topic_and_a_missing_broker_say_what_to_do(producer: Producer) -> None:
    del kafka(producer).topics["t.labels"]
    with pytest.raises(LabelloopError, match=r"topic t.labels does not exist .* run `labelloop up`"):
        CALLS["labels"](producer)
    kafka(producer).topics.clear()
    with pytest.raises(LabelloopError, match="no broker answers at nowhere:9092"):
        CALLS["labels"](producer)


def test_the_methods_show_the_arguments_they_take() -> None:
    parameters = [*inspect.signature(Producer.label).parameters]
    assert parameters == ["self", "project", "item_id", "annotator", "value", "duration_ms", "retracted", "envelope"]
    assert "pseudonym" in (inspect.getdoc(Producer.label) or "")


@pytest.mark.parametrize(
    ("answer", "kind", "content"),
    [
        ("wren", "choice", "wren"),
        (3, "choice", "3"),
        (True, "choice", "true"),
        (3.0, "number", 3.0),
        (["b", "a"], "choices", ["a", "b"]),
        ([10, 9], "choices", ["10", "9"]),
        ({"a", "b"}, "choices", ["a", "b"]),
        ([], "choices", []),
        ({"kind": "text", "text": "hm"}, "text", "hm"),
        (events.value_of("number", 2.5), "number", 2.5),
    ],
)
def test_what_an_answer_means(answer: Any, kind: str, content: object) -> None:
    assert as_value(answer) == events.value_of(kind, content)


@pytest.mark.parametrize(
    "answer", [None, [1.5], [["a"]], {"kind": "mood"}, {"kind": "text", "text": "", "number": 1}, {}]
)
def test_what_is_no_answer(answer: Any) -> None:
    with pytest.raises(InvalidFact):
        as_value(answer)


@pytest.mark.parametrize(
    ("moment", "ms"),
    [
        ("2014-06-27T14:49:50", 1_403_880_590_000),
        ("2014-06-27 14:49:50.5", 1_403_880_590_500),
        ("2014-06-27T16:49:50+02:00", 1_403_880_590_000),
        ("2014-06-27T14:49:50Z", 1_403_880_590_000),
        ("2014-06-27", 1_403_827_200_000),
        (1_403_880_590, 1_403_880_590_000),
        (1_403_880_590.25, 1_403_880_590_250),
        (1_403_880_590_123, 1_403_880_590_123),
        ("1403880590", 1_403_880_590_000),
        ("20140627", None),
        (1_403_880_590_123_456, None),
        (0, None),
        (-5, None),
        (float("nan"), None),
        (True, None),
        ("yesterday", None),
        ("", None),
        (["2014"], None),
    ],
)
def test_what_a_time_means(moment: object, ms: int | None) -> None:
    assert as_time(moment) == ms
