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


def rows(count: int) -> Iterator[dict[str, str]]:
    """Yield `count` labels of different items and annotators, as lines of a file to import.

    Raises:
        LabelloopError: the data set is not there.
    """
    return ({**row, "item_id": f"{copy}-{row['item_id']}"} for copy, _, row in _copies(count))


def labels(count: int) -> list[tuple[bytes, bytes]]:
    """Return key and value of `count` distinct label facts.

    Raises:
        LabelloopError: the data set is not there.
    """
    found = []
    for copy, number, row in _copies(count):
        project, item = f"sentiment-{copy}", row["item_id"]
        fact = facts.label(project, item, row["annotator_id"], row["label"], source="bench", source_seq=number)
        found.append((item_key(project, item), codec.encode("labels", fact.event)))
    return found


def _copies(count: int) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Yield the labels of the data set again and again: number of the copy, number in it, item, annotator and label."""
    folder = Path(os.environ.get("LABELLOOP_TEST_DATA", _ROOT.parent / "shared" / "data"))
    file = folder / "sentiment_polarity" / "labels.jsonl"
    if not file.is_file():
        raise LabelloopError(f"{file} is not there: set LABELLOOP_TEST_DATA to the folder of the data sets")
    read = [{name: str(value) for name, value in json.loads(line).items()} for line in file.read_text().splitlines()]
    for number in range(count):
        yield *divmod(number, len(read)), read[number % len(read)]


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
