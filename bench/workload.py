"""The measured work: the labels of sentiment_polarity, copied under new project names, as raw records."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Producer

from streams import codec
from streams.errors import LabelloopError
from streams.keys import item_key
from streams.producers import facts
from streams.settings import Settings

_ROOT = Path(__file__).parent.parent


def labels(count: int) -> list[tuple[bytes, bytes]]:
    """Return key and value of `count` distinct label facts.

    Raises:
        LabelloopError: the data set is not there.
    """
    folder = Path(os.environ.get("LABELLOOP_TEST_DATA", _ROOT.parent / "shared" / "data"))
    file = folder / "sentiment_polarity" / "labels.jsonl"
    if not file.is_file():
        raise LabelloopError(f"{file} is not there: set LABELLOOP_TEST_DATA to the folder of the data sets")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [record for _, record in zip(range(count), _copies(rows), strict=False)]


def _copies(rows: list[dict[str, object]]) -> Iterator[tuple[bytes, bytes]]:
    copy = 0
    while True:
        project = f"sentiment-{copy}"
        for n, row in enumerate(rows):
            item, who = str(row["item_id"]), str(row["annotator_id"])
            fact = facts.label(project, item, who, str(row["label"]), source="bench", source_seq=n)
            yield item_key(project, item), codec.encode("labels", fact.event)
        copy += 1


def publish(settings: Settings, records: list[tuple[bytes, bytes]]) -> None:
    """Send records to the topic of labels.

    Raises:
        LabelloopError: they are not delivered within two minutes.
    """
    send(settings.kafka, settings.topic("labels"), records)


def send(kafka: str, topic: str, records: list[tuple[bytes, bytes]]) -> None:
    """Send keys and values to a topic.

    Raises:
        LabelloopError: they are not delivered within two minutes.
    """
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "enable.idempotence": True,
            "linger.ms": 20,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": len(records) + 1000,
        }
    )
    for n, (key, value) in enumerate(records):
        producer.produce(topic, value, key)
        if n % 10_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise LabelloopError("the records were not delivered: look at the broker's log")
