"""A synthetic log for a history, drawn by a seed.

It holds every kind of fact and of label value, what our processors made of them, and what must be refused; written as
the contract was at some time, or as it grew.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_writer

from streams import codec, contract, events
from streams.catalogue import ACTIONS, MAX_FACT_BYTES, TIERS, TOPICS
from streams.dead_letters import DeadLetter
from streams.events import Event
from streams.keys import item_key, make_key, partition_of, project_partition
from streams.producers import facts
from streams.producers.facts import Fact
from streams.producers.wire import key_of
from streams.replay.settled import settled
from tests.replay.history import PARTITIONS, Record
from tests.replay.outcome import PREFIX, Live, counted
from workers import dataset
from workers.snapshot import Position, snapshot_event

_START = 1_700_000_000_000
_CLASSES = ("wren", "robin", "finch")
_PEOPLE = ("anna", "ben", "cleo", "dora")
_MEMBERS = {"lena": "lead", "ria": "reviewer", "rob": "reviewer"}


def generations(lock: Sequence[contract.Entry]) -> list[int]:
    """Return the fewest times at which every schema of the lock was once the newest of its name; the present last.

    A time is the newest id there was then.
    """
    newest, ended = dict[str, int](), dict[int, int]()
    for entry in lock:
        if entry["name"] in newest:
            ended[newest[entry["name"]]] = entry["id"]
        newest[entry["name"]] = entry["id"]
    found: list[int] = []
    for id_, end in sorted(ended.items(), key=lambda one: one[1]):
        if not any(id_ <= time < end for time in found):
            found.append(end - 1)
    return [*found, lock[-1]["id"]]


class _Contract:
    """The schemas as they were at a time: those up to an id."""

    def __init__(self, last_id: int) -> None:
        entries = [entry for entry in contract.read_lock() if entry["id"] <= last_id]
        self._newest = {entry["name"]: (entry["id"], parse_schema(entry["schema"])) for entry in entries}

    def has(self, name: str | None) -> bool:
        return name in self._newest

    def encode(self, name: str, record: Mapping[str, Any]) -> bytes:
        id_, schema = self._newest[name]
        out = BytesIO()
        out.write(b"\0" + id_.to_bytes(4, "big"))
        schemaless_writer(out, schema, {**record, **_before(name, record)})
        return out.getvalue()


def _before(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a derived record that earlier schemas had and the present one has not."""
    if name != "annotators":
        return {}
    people = [
        {
            **one,
            "n_labels": round(one["given"]),
            "accuracy": one["right"] / max(1.0, one["given"]),
            "probability": [count / max(1.0, sum(one["count"])) for count in one["count"]],
        }
        for one in record["annotators"]
    ]
    return {"annotators": people}


class Scenario:
    """A log that grows.

    Args:
        seed: Seed of all that is drawn.
        last_id: The newest schema id at the beginning.
    """

    def __init__(self, seed: int, last_id: int) -> None:
        self.records: list[Record] = []
        self._draw = random.Random(seed)
        self._now = _START
        self._ends = defaultdict[tuple[str, int], int](int)
        self._contract = _Contract(last_id)

    def upgrade(self, last_id: int) -> None:
        """Let the contract grow."""
        self._contract = _Contract(last_id)

    def put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int,
        headers: tuple[tuple[str, bytes | None], ...] = (),
    ) -> Record:
        """Append a record as the broker would."""
        self._now += self._draw.randrange(1, 90_000)
        offset = self._ends[topic, partition]
        self._ends[topic, partition] += 1
        record = Record(topic, partition, offset, self._now, key, value, headers)
        self.records.append(record)
        return record

    def say(self, fact: Fact, *headers: tuple[str, bytes | None]) -> Event:
        """Publish a fact; one that the contract did not know yet is left out."""
        topic, key = TOPICS[fact.topic], key_of(fact)
        if self._contract.has(topic.schema):
            value = self._contract.encode(fact.topic, fact.event)
            homes = [0] if topic.partitions == 1 else [partition_of(key, PARTITIONS)] if key else range(PARTITIONS)
            for partition in homes:
                self.put(fact.topic, key, value, partition, headers)
        return fact.event

    def derive(self, topic: str, key: bytes, record: Mapping[str, Any], partition: int) -> None:
        """Write a record of a topic that our own processors write."""
        schema = TOPICS[topic].schema
        if schema is not None and self._contract.has(schema):
            self.put(topic, key, self._contract.encode(schema, record), partition)

    # What happens

    def settings(self, project: str, **changes: Any) -> None:
        self.say(facts.project(project, "lena", **changes))

    def classes(self, project: str) -> None:
        """Label items by class, and do everything about them that can be done."""
        draw, say = self._draw, self.say
        items = [f"img {n}/ü" if n == 3 else f"img-{n}" for n in range(6)]
        for n, item in enumerate(items):
            text = f"a small brown bird number {n % 4} in the hedge, singing"
            say(
                facts.item(project, item, text=text, group=f"g{n % 2}", features=[n / 8, 0.5], attributes={"n": str(n)})
            )
        labels: dict[str, list[Event]] = {item: [] for item in items}
        for n, item in enumerate(items):
            for who in _PEOPLE[: 2 + n % 3]:
                said = _CLASSES[n % 3] if draw.random() < 0.75 else draw.choice(_CLASSES)
                about = {"occurred_at": self._now - 5000, "guideline_version": "g1", "schema_version": "s1"}
                fact = facts.label(project, item, who, said, duration_ms=draw.randrange(500, 9000), **about)  # type: ignore[arg-type]
                labels[item].append(say(fact, ("traceparent", b"00-4bf92f35")))
                if draw.random() < 0.1:
                    say(fact)  # a copy
        say(facts.label(project, items[0], "anna", "finch", source="file", source_seq=7))  # another mind
        say(facts.label(project, items[1], "ben", None, retracted=True))
        at = {"occurred_at": self._now}  # the same moment: a sequence comes after none, then the id decides
        say(facts.label(project, items[1], "dora", "wren", source_seq=0, event_id=f"{project}-a", **at))  # type: ignore[arg-type]
        say(facts.label(project, items[1], "dora", "robin", event_id=f"{project}-b", **at))  # type: ignore[arg-type]
        say(facts.label(project, items[1], "eve", "wren", event_id=f"{project}-d", **at))  # type: ignore[arg-type]
        say(facts.label(project, items[1], "eve", "robin", event_id=f"{project}-c", **at))  # type: ignore[arg-type]
        for n, item in enumerate(items[:4]):
            spread = dict.fromkeys(_CLASSES, 0.1) | {_CLASSES[(n + n // 3) % 3]: 0.8}
            say(facts.prediction(project, item, "m-1", probabilities=spread, novelty=n / 4, out_of_sample=n != 2))
        say(facts.prediction(project, items[4], "crowd", "wren", imported=True))
        doubt = say(facts.flag(project, items[0], "anna", "unclear", severity=0.75, text="two birds"))
        say(facts.flag(project, items[2], "ben", "wrong", severity=0.25))
        say(facts.flag(project, items[0], "ria", "unclear", resolves=doubt["event_id"]))
        first = say(facts.comment(project, items[1], "cleo", "t1", "which one?", anchor="b1"))
        say(facts.comment(project, items[1], "ria", "t1", "the left", parent=first["event_id"], resolved=True))
        say(facts.comment(project, items[2], "cleo", "t2", "is this a wren?"))
        say(facts.claim(project, items[0], "ria", lease_ms=3_600_000, task_revision="r1"))
        say(facts.claim(project, items[0], "rob"))  # comes too late
        say(facts.claim(project, items[1], "rob", "skip"))
        say(facts.claim(project, items[0], "ria", "renew"))
        judged = [label["event_id"] for label in labels[items[0]]]
        given = say(
            facts.correction(project, items[0], "ria", "corrected", "robin", reason="tail", judged_labels=judged)
        )
        say(facts.correction(project, items[1], "rob", "unsure"))
        say(facts.correction(project, items[2], "rob", "confirmed", "finch", caused_by=judged[0]))
        say(facts.correction(project, items[3], "ria", "rejected", reason="no bird"))
        say(facts.correction(project, items[0], "rob", "undone", undoes=given["event_id"]))
        say(facts.claim(project, items[0], "ria", "release"))
        for item, use in zip(items[2:5], events.GOLD_USES, strict=True):
            say(facts.gold(project, item, "wren", by="lena", use=use))
        say(facts.item(project, items[5], removed=True))
        say(facts.tick(self._now))
        if draw.random() < 0.5:
            say(facts.label(project, items[2], "dora", "robin"))  # contradicts the verdict

    def values(self) -> None:
        """Label items by every kind of value, three people each, and settle one of each kind."""
        for kind in events.VALUE_KINDS:
            project = f"by-{kind}"
            self.settings(project, members=_MEMBERS)
            for item in ("one", "two"):
                same = self._value(kind)
                for n, who in enumerate(_PEOPLE[:3]):
                    value = same if n < 2 else self._value(kind)
                    self.say(facts.label(project, item, who, events.value_of(kind, value)))
            self.say(facts.correction(project, "two", "ria", "corrected", events.value_of(kind, self._value(kind))))
            self.say(facts.gold(project, "one", events.value_of(kind, self._value(kind)), by="lena", use="truth"))
            said = events.value_of(kind, self._value(kind))
            self.say(facts.prediction(project, "one", "m-1", said, out_of_sample=True))

    def _value(self, kind: str) -> Any:
        draw = self._draw
        box = {"x": draw.randrange(4) / 8, "y": 0.25, "width": 0.25, "height": draw.randrange(1, 4) / 8}
        label = draw.choice(_CLASSES)
        start = draw.randrange(0, 5)
        match kind:
            case "choice":
                return label
            case "choices":
                return sorted(draw.sample(_CLASSES, 2))
            case "number":
                return draw.randrange(1, 40) / 4
            case "text":
                return draw.choice(("a wren sings", "a robin sings", "ein Zaunkönig singt"))
            case "spans":
                return [{"label": label, "start": start, "end": start + 4, "id": "s1"}]
            case "boxes":
                return [{"label": label, **box, "rotation": 15.0, "id": "b1"}, {"label": "finch", **box}]
            case "polygons":
                x = draw.randrange(4) / 8
                corners = [(x, 0.0), (x + 0.5, 0.0), (x + 0.5, 0.5), (x, 0.5)]
                return [{"label": label, "points": [{"x": a, "y": b} for a, b in corners]}]
            case _:
                frames = [{"frame": 0, **box}, {"frame": 12, **box, "x": 0.5, "visible": start > 2}]
                return [{"label": label, "id": "t1", "frames": frames}]

    def bad(self, project: str) -> None:
        """Publish what must be refused, each for its reason, and do something about it."""
        item = "img-0"
        key = item_key(project, item)
        home = partition_of(key, PARTITIONS)
        good = facts.label(project, item, "eve", "wren")
        raw = self._contract.encode("labels", good.event)
        twice = {**good.event, "value": events.choice("robin")}
        for value in (None, b"", b'{"label": "wren"}', raw[:-3], raw + b"!", b"\0" + (2**31 - 1).to_bytes(4, "big")):
            self.put("labels", key, value, home)
        self.put(
            "labels", key, self._contract.encode("labels", {**good.event, "source_ref": "x" * MAX_FACT_BYTES}), home
        )
        fresh = item_key(project, "img-new")
        elsewhere = (partition_of(fresh, PARTITIONS) + 1) % PARTITIONS
        stray = facts.label(project, "img-new", "eve", "wren")
        self.put("labels", fresh, self._contract.encode("labels", stray.event), elsewhere)
        self.put("labels", b"no/such key", raw, home)
        self.put("flags", key, raw, home)
        unknown = self.put(
            "labels", key, self._contract.encode("labels", facts.label(project, item, "eve", "owl").event), home
        )
        self.say(facts.correction(project, item, "eve", "corrected", "wren"))  # is no reviewer
        self.say(good)
        self.put("labels", key, self._contract.encode("labels", twice), home)
        self.say(facts.label(project, item, "eve", "wren", occurred_at=self._now + 86_400_000))
        self.put("projects", make_key(project), b"nonsense", 0)
        self.put("models", make_key(project), raw, 0)
        self.letter(unknown)
        self.settings(project, classes=[*_CLASSES, "owl"])
        told = {"consumer": "items", "topic": f"{PREFIX}.labels", "partition": home, "attempt": 1, "by": "lena"}
        told |= {"text": None, "reason": "unknown_class", "offset": unknown.offset, "log_time": unknown.timestamp}
        back = {**told, "action": "redrive", "key": unknown.key, "value": unknown.value}
        self.derive(ACTIONS, key, back, home)
        dropped = {**told, "offset": 0, "action": "drop", "key": None, "value": None, "reason": "undecodable"}
        self.derive(ACTIONS, key, dropped, home)

    def letter(self, record: Record) -> None:
        """Let "items" have refused a record."""
        place = ("items", f"{PREFIX}.{record.topic}", record.partition, record.offset, record.timestamp)
        letter = DeadLetter(*place, record.key, record.value, "unknown_class", "'owl' is not among the classes")
        self.derive("dead-letters", record.key or b"", codec.decode(letter.encode())[1], 0)

    def loop(self, project: str) -> None:
        """Make a snapshot, train on it, and tell what came of it."""
        live = self._live()
        rows = dataset.build(project, counted(self.records), live.projects, PARTITIONS)
        ends = [
            Position(topic, partition, end, 1) for (topic, partition), end in self._ends.items() if topic == "labels"
        ]
        who = events.Actor(id="retrain", kind="system")
        made = self.say(snapshot_event(rows, ends, "corrections", actor=who, code_version="0.1.0"))
        for version, stages in (("m-1", ("trained", "promoted")), ("m-2", ("trained", "refused"))):
            for stage in stages:
                self._model(project, stage, made, version)
        promoted = next(
            one for one in self.records[::-1] if one.topic == "models" and b"promoted" in (one.value or b"")
        )
        for stage in ("scored", "told"):
            self._model(project, stage, codec.decode(promoted.value)[1], "m-1")
        self._model(project, "failed", {**made, "snapshot": "s-none"}, None)
        self._model(project, "requested", {**made, "snapshot": None}, None)

    def receipts(self, project: str) -> None:
        """Tell people what became of what they said, and how the model changed."""
        for name in ("feedback", "flips"):
            for n, example in enumerate(contract.examples()[name].values()):
                whole = codec.decode(codec.encode(name, example))[1] | {"project": project, "at": self._now}
                whole["event_id"] = events.event_id(name, self._now, n)
                key = item_key(project, whole["item_id"])
                self.derive(name, key, whole, partition_of(key, PARTITIONS))

    def _model(self, project: str, stage: str, made: Event, version: str | None) -> None:
        event = codec.decode(codec.encode("models", contract.examples()["models"]["full"]))[1]
        event |= {"project": project, "stage": stage, "model_version": version, "snapshot": made["snapshot"]}
        event |= {"occurred_at": None, "after": None, "caused_by": made["event_id"], "event_id": ""}
        self.say(Fact("models", event).identified())

    def processors(self, project: str) -> None:
        """Write what the processors make of a project by now, of one item, and a fit that scores all again."""
        live, refit = self._live(), len(self.records)
        made = settled(project, live.states(project), live.projects.latest(project)).records
        home = project_partition(project, PARTITIONS)
        item = item_key(project, "img-0")
        for topic in ("annotators", "skill", "agreement"):
            for key, value in sorted(made[topic].items())[:2]:
                record = codec.decode(value)[1] | {"refit": refit}
                self.derive(topic, key, record, 0 if TOPICS[topic].partitions == 1 else home)
        for partition in range(PARTITIONS):
            again = {"project": project, "refit": refit, "all": True, "request": "r1", "after": None}
            self.derive("rescores", make_key(project), again, partition)
        self.derive("settles", make_key(project), {"project": project, "request": "r1"}, home)
        for topic in ("review.state", "disagreement", "labels.corrected", "judgements"):
            for key, value in sorted(made[topic].items()):
                if key == item or key.startswith(item + b"/"):
                    at = home if topic == "judgements" else partition_of(key, PARTITIONS)
                    record = codec.decode(value)[1]
                    self.derive(topic, key, record, at)
                    if topic == "review.state":
                        self.derive(f"review.{record['tier'] or 'p3'}", key, record, at)
        entry = {"topic": "labels", "build": 1, "partitions": PARTITIONS}
        self.derive("catalogue", b"labels", entry, 0)

    def tiers(self, project: str) -> None:
        """Put a task into each tier."""
        task = codec.decode(codec.encode("review_task", contract.examples()["review_task"]["open"]))[1]
        key = item_key(project, task["item_id"])
        for tier in TIERS:
            self.derive(
                f"review.{tier}", key, {**task, "project": project, "tier": tier}, partition_of(key, PARTITIONS)
            )

    def _live(self) -> Live:
        return Live(self.records)


def record(seed: int, times: Sequence[int]) -> list[Record]:
    """Return a log.

    Args:
        seed: Seed of all that is drawn.
        times: Times of the contract, each the newest id there was then.
    """
    log = Scenario(seed, times[0])
    for n, last_id in enumerate(times):
        log.upgrade(last_id)
        _chapter(log, f"birds-{n % 2}", n)
    log.values()
    log.bad("birds-0")
    log.loop("birds-0")
    log.receipts("birds-0")
    log.tiers("birds-0")
    return log.records


def _chapter(log: Scenario, project: str, n: int) -> None:
    """Let a project live for a while."""
    policy = {"p0": 0.6 - n / 50, "ageing_per_day": 0.02, "lease_ms": 600_000 + n, "budget_per_day": 10 * n}
    log.settings(project, classes=_CLASSES, members=_MEMBERS, policy=policy)
    if n < 2:
        log.classes(project)
    log.settings(project, guideline={"version": f"g{n + 1}", "classes": ["wren"]}, training={"after_corrections": 9})
    log.processors(project)
    if n == 0:
        log.receipts(project)
        log.letter(next(one for one in log.records if one.topic == "labels"))
