"""State rows of the processor "items" in any number: some thousand made by its own fold, the others copies of them.

A copy differs from what it copies by its item's name alone, which is as long. The same template comes again only after
thousands of rows, too far for a compressor to see.
"""

import random
from collections.abc import Iterator

from bench.peer import Record
from streams import codec
from streams.keys import item_key
from streams.processors.items import Items
from streams.producers import facts
from streams.producers.facts import Fact
from streams.projects import Projects
from streams.transport.batch import Batch, MemoryRows
from streams.transport.table import encode_rows

PROJECT = "recovery"
LABELS_PER_ITEM = 3
TEMPLATES = 2_000

_TEXT = "the film is a slow and clever story of two people who never quite find what they have been looking for"
_LOGGED_MS = 1_700_000_000_000
_PREFIX = "labelloop"


def item_id(number: int) -> str:
    """Return the name of an item: all are of one length."""
    return f"i{number:09d}"


def label(number: int, annotator: int) -> Fact:
    """Return an annotator's label of an item: one in ten errs."""
    answer = ("pos", "neg")[(number + ((number * 7 + annotator * 3) % 10 == 0)) % 2]
    who = f"annotator-{annotator:03d}"
    return facts.label(PROJECT, item_id(number), who, answer, source="bench", source_seq=annotator, duration_ms=4000)


def item_facts(number: int, random_: random.Random, labels: int = LABELS_PER_ITEM) -> Iterator[Fact]:
    """Yield the facts of an item: its text, a prediction, and labels of different annotators."""
    text = " ".join(random_.choices(_TEXT.split(), k=20))
    yield facts.item(PROJECT, item_id(number), text=text, source="bench")
    p = round(random_.uniform(0.5, 1.0), 6)
    yield facts.prediction(
        PROJECT, item_id(number), "model-1", probabilities={"pos": p, "neg": 1 - p}, out_of_sample=True, source="bench"
    )
    for annotator in random_.sample(range(100), labels):
        yield label(number, annotator)


def templates(count: int = TEMPLATES, seed: int = 0) -> list[bytes]:
    """Return the encoded rows of the items 0 to `count`: an item with its text, a prediction and three labels each."""
    random_, rows = random.Random(seed), MemoryRows()
    items = Items(_PREFIX, 1, Projects())
    for number in range(count):
        for fact in item_facts(number, random_):
            key = item_key(PROJECT, item_id(number))
            record = Record(key, codec.encode(fact.topic, fact.event), 0, _LOGGED_MS)
            effects = items.handle(Batch(f"{_PREFIX}.{fact.topic}", 0, [record], 0, 1), rows)
            assert not effects.dead, effects.dead
            rows.update(effects.rows)
    return [raw for _, raw in encode_rows(rows).values()]


def rows(count: int, made: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and encoded row of items 0 to `count`."""
    names = [item_id(n).encode() for n in range(len(made))]
    for number in range(count):
        of = number % len(made)
        name = item_id(number)
        yield item_key(PROJECT, name), made[of].replace(names[of], name.encode())
