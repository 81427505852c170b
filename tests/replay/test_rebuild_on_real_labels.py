"""Real labels, without servers: what the processors tell batch by batch is what a rebuild gives in one go."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams import codec
from streams.catalogue import ITEM_FACTS
from streams.keys import item_key, make_key, partition_of
from streams.processors.fits import Skills, proposals
from streams.processors.items import Items
from streams.producers.facts import Fact, label
from streams.producers.import_file import import_file
from streams.projects import Projects
from streams.quality.project import Project
from streams.rebuild.compare import BUILT, TIER_TOPICS, Place, compare, compare_tier, home
from streams.replay.past import Logged, past
from streams.replay.settled import settled
from streams.transport.batch import Batch, Effects, MemoryRows
from tests.replay.test_regions_on_real_labels import raters

PARTITIONS, REFIT = 4, 7
LOGGED = 1_700_000_000_000  # later than the labels say they were given
Topics = dict[str, dict[Place, bytes]]


def log_of(folder: Path) -> list[Logged]:
    """Return labels, and every seventh gold answer as truth."""
    facts: list[Fact] = []
    if folder.name == "lvis_double200":
        for n, image in enumerate(raters(folder)):
            for rater, boxes in zip(("r1", "r2"), image, strict=True):
                facts.append(label("p", f"{n}", rater, {"kind": "boxes", "boxes": boxes}))
    else:
        import_file(folder / "labels.jsonl", "labels", "p", facts.append)
        if folder.name != "crowdtruth_mre":  # its gold is of single relations
            import_file(folder / "gold.jsonl", "gold", "p", facts.append, use="truth")
    kept = [fact for n, fact in enumerate(facts) if fact.topic == "labels" or n % 7 == 0]
    log = []
    for n, fact in enumerate(kept):
        key = item_key("p", fact.event["item_id"])
        value = codec.encode(fact.topic, fact.event)
        log.append(Logged(fact.topic, partition_of(key, PARTITIONS), n, LOGGED + n, key, value))
    return log


class Live:
    """The processors with their topics in memory."""

    def __init__(self) -> None:
        self.skills = Skills()
        self.items = Items("x", PARTITIONS, Projects(), self.skills)
        self.rows = [MemoryRows() for _ in range(PARTITIONS)]
        self.topics: Topics = defaultdict(dict)

    def handle(self, topic: str, partition: int, records: list[Logged]) -> Effects:
        """Have "items" take a batch, and keep what it tells."""
        batch = Batch(f"x.{topic}", partition, records, records[0].offset, records[-1].offset + 1)
        effects = self.items.handle(batch, self.rows[partition])
        assert not effects.dead
        self.rows[partition].update(effects.rows)
        for out in effects.records:
            where = out.partition if out.partition >= 0 else partition_of(out.key, PARTITIONS)
            self.topics[out.topic.removeprefix("x.")][where, out.key] = out.value
        return effects

    def settle(self) -> None:
        """Fit what was judged, and have every item scored by it."""
        labels = Project()
        for value in self.topics["judgements"].values():
            labels.apply(codec.decode(value)[1])
        truth = labels.fit()
        for one in proposals("p", labels, truth, Projects().latest("p"), REFIT, "settle"):
            if one.topic == "rescores":
                for partition in range(PARTITIONS):
                    self._rescore(partition, one.value)
                continue
            self.topics[one.topic][home(one.topic, one.key, PARTITIONS), one.key] = one.value
            if one.topic == "annotators":
                self.skills.learn(one.value, 0)

    def _rescore(self, partition: int, value: bytes) -> None:
        asked = [value]
        while asked:
            order = Logged("rescores", partition, 0, 0, make_key("p"), asked[0])
            effects = self.handle("rescores", partition, [order])
            asked = [out.value for out in effects.records if out.topic == "x.rescores"]


@pytest.mark.parametrize(
    "name",
    [
        "bluebird",
        "lvis_double200",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("labelme", "zencrowd_us", "sentiment_polarity", "crowdtruth_mre")
        ),
    ],
)
@pytest.mark.timeout(900)
def test_every_topic_that_is_built_again_equals_the_live_one(name: str, data_dir: Callable[[str], Path]) -> None:
    log, live = log_of(data_dir(name)), Live()
    for start in range(0, len(log), 700):
        for topic in ITEM_FACTS:
            for partition in range(PARTITIONS):
                some = [one for one in log[start : start + 700] if (one.topic, one.partition) == (topic, partition)]
                if some:
                    live.handle(topic, partition, some)
        if start == 2800:
            live.settle()  # what was told by an earlier fit is told anew
    live.settle()

    states = past(log, Projects(), PARTITIONS).states
    built = settled("p", states.values(), Projects().latest("p"), REFIT).records
    assert differences(built, live.topics) == {}
    some_key = min(live.topics["review.state"])
    del live.topics["review.state"][some_key]
    assert differences(built, live.topics) == {"review.state": (0, 1, 0)}


def differences(built: Any, topics: Topics) -> dict[str, tuple[int, int, int]]:
    """Return how many keys differ, are missing and are extra, by topic; nothing of topics that are equal."""
    found = {}
    for topic in BUILT:
        if topic in TIER_TOPICS:
            one = compare_tier(topic.removeprefix("review."), built["review.state"], topics[topic], PARTITIONS)
        else:
            one = compare(topic, built[topic], topics[topic], PARTITIONS, {"p": REFIT})
        if not one.is_equal:
            found[topic] = (one.differing, one.missing, one.extra)
    return found
