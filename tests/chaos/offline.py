"""What must have come out, computed from the facts in one go: states, dead letters, fits, settled topics. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams import codec, events
from streams.catalogue import ITEM_FACTS
from streams.errors import Poison
from streams.processors.admission import authorise, decoded, own_key
from streams.processors.item_state import Fact, ItemState, new_state
from streams.processors.items import Items
from streams.projects import Projects
from streams.replay.settled import settled as settle_project
from streams.transport.batch import Batch, MemoryRows, Outgoing
from tests.chaos.evidence import DeadPlace, Evidence, Record

PREFIX = "labelloop"
_OF_FITS = ("annotators", "skill", "agreement")


@dataclass(slots=True)
class Offline:
    """The facts, folded.

    Args:
        states: State of each item by key; its claims are not told.
        dead: What the processor "items" refuses.
        claims: Claims that count, by the key of their item, in log order: log time and event.
        verdicts: Verdicts of each item, by key, in log order: event id and what is kept of it.
        projects: Settings of all projects.
    """

    states: dict[bytes, ItemState]
    dead: set[DeadPlace]
    claims: Mapping[bytes, list[tuple[int, dict[str, Any]]]]
    verdicts: Mapping[bytes, list[tuple[str, Fact]]]
    projects: Projects


class _Fold(Items):
    """The processor without its snapshots: they are told once, of what has settled."""

    def emit(self, state: ItemState, log_time: int | None) -> Iterable[Outgoing]:
        """Return nothing."""
        return ()


def fold(evidence: Evidence) -> Offline:
    """Return what the facts make of every item."""
    projects = Projects()
    for _, record in evidence.of("projects"):
        projects.learn(record.value, record.timestamp)
    items = _Fold(PREFIX, evidence.partitions, projects)
    rows = [MemoryRows() for _ in range(evidence.partitions)]
    dead = set[DeadPlace]()
    claims = defaultdict[bytes, list[tuple[int, dict[str, Any]]]](list)
    for (topic, partition), records in evidence.log.items():
        if topic not in ITEM_FACTS or not records:
            continue
        if topic == "claims":
            found, refused = _claims(partition, records, projects)
            for key, one in found:
                claims[key].append(one)
            dead |= refused
            continue
        batch = Batch(f"{PREFIX}.{topic}", partition, records, records[0].offset, records[-1].offset + 1)
        effects = items.handle(batch, rows[partition])
        rows[partition].update(effects.rows)
        dead |= {(topic, partition, letter.offset, letter.reason) for letter in effects.dead}
    states: dict[bytes, Any] = {key: row for of_partition in rows for key, row in of_partition.items()}
    for key, mine in claims.items():
        if key not in states:  # nobody knows of it, but somebody claimed it
            states[key] = _unknown(mine[0][1])
    return Offline(states, dead, claims, _verdicts(evidence), projects)


def _unknown(claim: Mapping[str, Any]) -> ItemState:
    return new_state(claim["project"], claim["item_id"])


def _claims(
    partition: int, records: Sequence[Record], projects: Projects
) -> tuple[list[tuple[bytes, tuple[int, dict[str, Any]]]], set[DeadPlace]]:
    found, dead = [], set[DeadPlace]()
    for record in records:
        try:
            event = decoded("claims", record.value)
            events.validate("claims", event, record.timestamp)
            key = own_key(event, record.key)
            view = projects.at(event["project"], record.timestamp)
            authorise("claims", event, view)
        except Poison as poison:
            dead.add(("claims", partition, record.offset, poison.reason))
            continue
        lease = event["lease_ms"] or view.policy.lease_ms
        found.append((key, (record.timestamp, {**event, "lease_ms": lease})))
    return found, dead


def _verdicts(evidence: Evidence) -> dict[bytes, list[tuple[str, Fact]]]:
    """Return the verdicts of each item in log order, whoever gave them: more than count, never fewer."""
    found = defaultdict[bytes, list[tuple[str, Fact]]](list)
    for _, record in evidence.of("corrections"):
        try:
            event = decoded("corrections", record.value)
        except Poison:
            continue
        fact = {
            "at": event["occurred_at"],
            "seq": event["source_seq"],
            "logged": record.timestamp,
            "actor": event["actor"]["id"],
            "verdict": event["verdict"],
            "undoes": event["undoes"],
        }
        found[record.key or b""].append((event["event_id"], fact))
    return found


def settled(offline: Offline, states: Mapping[bytes, ItemState]) -> dict[str, dict[bytes, Any]]:
    """Return what the derived topics settle on, newest record of each key by topic; of fits without their number.

    Args:
        offline: The facts, folded.
        states: State of each item with the claims that the log decided.
    """
    found = defaultdict[str, dict[bytes, Any]](dict)
    by_project = defaultdict[str, list[ItemState]](list)
    for _, state in sorted(states.items()):
        by_project[state["project"]].append(state)
    for name, mine in by_project.items():
        for topic, records in settle_project(name, mine, offline.projects.latest(name)).records.items():
            for key, value in records.items():
                found[topic][key] = without_number(value) if topic in _OF_FITS else value
    return found


def without_number(value: bytes | None) -> dict[str, Any]:
    """Return a record of a fit without the fit's number, which depends on offsets."""
    record = dict(codec.decode(value)[1])
    del record["refit"]
    return record


class Owner(NamedTuple):
    """Who holds an item, until when, and who skipped it."""

    owner: str | None = None
    until: int | None = None
    skipped_by: tuple[str, ...] = ()


def possible_owners(claims: list[tuple[int, dict[str, Any]]], unsure: list[frozenset[str]]) -> set[Owner]:
    """Return how a race may have ended: the log's order decides, but for verdicts, which lie in another topic.

    Args:
        claims: Log time and event, lease filled in, in log order.
        unsure: Who cannot decide, after none, one, two, ... of the verdicts.
    """
    seen = set[str]()
    ways = {(0, Owner())}
    for log_time, event in claims:
        if event["event_id"] in seen:
            continue
        seen.add(event["event_id"])
        ways = {
            (later, _after(owner, event, log_time, unsure[later]))
            for now, owner in ways
            for later in range(now, len(unsure))
        }
    return {owner for _, owner in ways}


def _after(owner: Owner, event: Mapping[str, Any], log_time: int, unsure: frozenset[str]) -> Owner:
    """Return who holds the item after one claim: the rule, told again."""
    actor, action = event["actor"]["id"], event["action"]
    is_held = owner.owner is not None and owner.owner not in unsure and log_time < (owner.until or 0)
    if action == "skip":
        owner = owner._replace(skipped_by=tuple(sorted({*owner.skipped_by, actor})))
    if action in ("skip", "release"):
        return owner._replace(owner=None, until=None) if owner.owner == actor else owner
    if actor in unsure:
        return owner
    if (is_held and owner.owner == actor) or (not is_held and action == "claim"):
        return owner._replace(owner=actor, until=log_time + event["lease_ms"])
    return owner
