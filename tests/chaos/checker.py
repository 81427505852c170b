"""Proves from the log what came of a run: every rule yields the records for which it does not hold. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations, zip_longest
from typing import Any

import orjson

from streams.catalogue import ITEM_FACTS, TIERS, TOPICS
from streams.events import content_of
from streams.processors.answer import unsure_reviewers
from streams.processors.item_state import Fact, ItemState
from tests.chaos.evidence import Evidence, Record, Violation, decoded, difference
from tests.chaos.journal import Hold
from tests.chaos.learning import learning
from tests.chaos.offline import Offline, Owner, fold, possible_owners, settled, without_number
from tests.chaos.tables import tables

_OURS = ("live", "import", "review")
"""Sources of what the workload sends; all else is sent by the retraining worker."""

_OUR_FAULTS = ("bug", "refused")
"""Reasons of dead letters that nothing in a run provokes."""

_FITS = ("annotators", "skill", "agreement")
_SETTLED = ("review.state", "disagreement", "judgements", "labels.corrected")
_SHOWN = 5
_REMEMBERED = 64
"""Claims that a state remembers; an item gets fewer in a run."""


def check(evidence: Evidence) -> list[Violation]:
    """Return all violations, none where the run is clean."""
    offline = fold(evidence)
    found = list(state_rows(evidence))
    states = dict(found)
    return [
        *(Violation("processes", text) for text in (*evidence.failures, *evidence.moved)),
        *facts(evidence),
        *passed(evidence),
        *dead_letters(evidence, offline),
        *unprocessed(evidence, offline, states),
        *item_states(offline, states),
        *claims(offline, states),
        *holds(evidence),
        *derived(evidence, offline, states),
        *queue(evidence),
        *reopened(evidence, offline),
        *learning(evidence),
        *tables(evidence),
    ]


def facts(evidence: Evidence) -> Iterator[Violation]:
    """Yield acknowledged facts that are not in the log, facts nobody sent, and copies that differ."""
    for topic in (name for name, one in TOPICS.items() if one.kind == "fact"):
        contents = defaultdict[str, set[bytes | None]](set)
        ours = set[str]()
        for _, record in evidence.of(topic):
            name, event = decoded(record.value)
            if name == topic:
                contents[event["event_id"]].add(record.value)
                if event["source"] in _OURS:
                    ours.add(event["event_id"])
        for event_id in sorted(evidence.journal.acknowledged[topic] - contents.keys()):
            yield Violation("facts", f"{topic} {event_id} was acknowledged and is not in the log")
        for event_id in sorted(ours - evidence.journal.sent[topic]):
            yield Violation("facts", f"{topic} {event_id} is in the log and nobody sent it")
        for event_id, copies in contents.items():
            if len(copies) > 1:
                yield Violation("facts", f"{topic} {event_id} has copies of {len(copies)} contents")


def passed(evidence: Evidence) -> Iterator[Violation]:
    """Yield partitions that a group has not passed to their end, or passed further than that."""
    for group, positions in evidence.committed.items():
        for place, position in positions.items():
            end = evidence.ends[place]
            if position != end:
                yield Violation("passed", f"{group} stands at {position} of {end} in {place[0]}-{place[1]}")


def dead_letters(evidence: Evidence, offline: Offline) -> Iterator[Violation]:
    """Yield dead letters that are missing, needless or there twice, and those that tell of a fault of ours.

    The sink alone sends its letters before its positions, outside a transaction: they come once or more often.
    """
    expected = {("items", *place) for place in offline.dead} | {("sink", *place) for place in evidence.refused}
    found = Counter[tuple[str, str, int, int, str]]()
    for _, record in evidence.of("dead-letters"):
        letter = decoded(record.value)[1]
        place = letter["consumer"], letter["topic"].split(".", 1)[1], letter["partition"], letter["offset"]
        found[*place, letter["reason"]] += 1
        if letter["reason"] in _OUR_FAULTS:
            yield Violation("dead letters", f"{place} is given up by a fault of ours: {letter['detail'][-300:]}")
    for one in sorted(expected - found.keys()):
        yield Violation("dead letters", f"none for {one}")
    for one, times in sorted(found.items()):
        if one not in expected:
            yield Violation("dead letters", f"one for {one}, which is no poison")
        elif times > 1 and one[0] != "sink":
            yield Violation("dead letters", f"{times} for {one}")


def state_rows(evidence: Evidence) -> Iterator[tuple[bytes, ItemState]]:
    """Yield the rows of the processor "items", the newest of a key last."""
    for _, record in evidence.of("items-state-changelog"):
        yield record.key or b"", orjson.loads(record.value or b"null")


def unprocessed(evidence: Evidence, offline: Offline, states: Mapping[bytes, ItemState]) -> Iterator[Violation]:
    """Yield records that "items" has passed although they have neither an effect nor a dead letter."""
    dead = {place[:3] for place in offline.dead}
    for (topic, partition), position in evidence.committed.get("items", {}).items():
        if topic not in ITEM_FACTS or topic == "claims":
            continue
        for record in evidence.log.get((topic, partition), ()):
            if record.offset >= position or (topic, partition, record.offset) in dead:
                continue
            event_id = decoded(record.value)[1].get("event_id")
            state = states.get(record.key or b"")
            if state is None or event_id not in state["facts"].get(topic, {}):
                at = f"{topic}-{partition} offset {record.offset} ({event_id})"
                yield Violation("unprocessed", f"{at} was passed at {position} and is in no state")


def item_states(offline: Offline, states: Mapping[bytes, ItemState]) -> Iterator[Violation]:
    """Yield items whose state is not what the facts give."""
    for key in sorted({*offline.states, *states}):
        expected, found = offline.states.get(key), states.get(key)
        if expected is None or found is None:
            yield Violation("item state", f"{key!r} has {'a state and no fact' if found else 'facts and no state'}")
            continue
        for part in ("format", "project", "item_id", "bytes"):
            if expected[part] != found[part]:
                yield Violation("item state", f"{key!r}: {part} differs")
        for topic in sorted({*expected["facts"], *found["facts"]}):
            ours, theirs = expected["facts"].get(topic, {}), found["facts"].get(topic, {})
            wrong = sorted(id_ for id_ in {*ours, *theirs} if ours.get(id_) != theirs.get(id_))
            for event_id in wrong[:_SHOWN]:
                what = "is missing" if event_id not in theirs else "is surplus" if event_id not in ours else "differs"
                yield Violation("item state", f"{key!r}: {topic} {event_id} {what}")


def claims(offline: Offline, states: Mapping[bytes, ItemState]) -> Iterator[Violation]:
    """Yield items whose owner is not one that the order of the log allows."""
    for key, state in states.items():
        mine, verdicts = offline.claims.get(key, []), offline.verdicts.get(key, [])
        unsure = [frozenset(unsure_reviewers(dict(verdicts[:n]))) for n in range(len(verdicts) + 1)]
        found = state["claims"]
        owner = Owner(found["owner"], found["until"], tuple(found["skipped_by"]))
        possible = possible_owners(mine, unsure)
        if owner not in possible:
            yield Violation("claims", f"{key!r} is held as {owner}, not as one of {sorted(map(str, possible))}")
        ids = [*dict.fromkeys(event["event_id"] for _, event in mine)][-_REMEMBERED:]
        if found["recent"] != ids:
            differing = sorted({*ids} ^ {*found["recent"]}) or ids
            yield Violation("unprocessed", f"{key!r}: the claims that were applied differ, by {differing[:_SHOWN]}")


def holds(evidence: Evidence) -> Iterator[Violation]:
    """Yield items that two reviewers believed to hold at the same time."""
    by_item = defaultdict[tuple[str, str], list[Hold]](list)
    for hold in evidence.journal.holds:
        by_item[hold.project, hold.item].append(hold)
    for item, mine in by_item.items():
        for one, other in combinations(_ended(mine), 2):
            if one.reviewer != other.reviewer and max(one.start, other.start) < min(one.end, other.end):
                yield Violation("claims", f"{item} was held by two at once: {one} and {other}")


def _ended(mine: list[Hold]) -> list[Hold]:
    """Return the holds of one item, ended where their reviewers take it again: they know of the later alone."""
    by_reviewer = defaultdict[str, list[Hold]](list)
    for hold in sorted(mine, key=lambda hold: hold.start):
        by_reviewer[hold.reviewer].append(hold)
    return [
        hold._replace(end=min(hold.end, later.start)) if later else hold
        for own in by_reviewer.values()
        for hold, later in zip_longest(own, own[1:])
    ]


def derived(evidence: Evidence, offline: Offline, states: Mapping[bytes, ItemState]) -> Iterator[Violation]:
    """Yield keys of the compacted topics whose newest record is not what the facts give."""
    decided = {
        key: {**state, "claims": states[key]["claims"]} for key, state in offline.states.items() if key in states
    }
    expected = settled(offline, decided)  # type: ignore[arg-type]
    for topic in _SETTLED:
        newest = _newest(evidence, topic)
        for key in sorted({*expected[topic], *newest}):
            found, right = newest.get(key), expected[topic].get(key)
            if right is None and _is_silent(topic, found):
                continue  # of a model that is silent by now
            if found != right:
                yield Violation("derived", f"{topic} {key!r}: {difference(right, found)}")
    yield from _fits(evidence, expected)


def _fits(evidence: Evidence, expected: Mapping[str, Mapping[bytes, Any]]) -> Iterator[Violation]:
    """Yield what was told of the last fits and is not what the facts give; what earlier ones told besides may stay."""
    newest = {topic: _newest(evidence, topic) for topic in _FITS}
    last = Counter[str]()
    for value in (value for values in newest.values() for value in values.values()):
        record = decoded(value)[1]
        last[record["project"]] = max(last[record["project"]], record["refit"])
    for topic, values in newest.items():
        for key in sorted({*expected[topic], *values}):
            found, right = values.get(key), expected[topic].get(key)
            record = decoded(found)[1]
            is_last = found is not None and record["refit"] == last[record["project"]]
            if right is None and not is_last:
                continue  # of a part that is no more
            content = None if found is None else without_number(found)
            if content != right:
                yield Violation("derived", f"{topic} {key!r}: {difference(right, content)}")
            elif not is_last:
                yield Violation("derived", f"{topic} {key!r}: is of another fit than the last one told")


def _newest(evidence: Evidence, topic: str) -> dict[bytes, bytes | None]:
    return {record.key or b"": record.value for _, record in evidence.of(topic)}


def _is_silent(topic: str, value: bytes | None) -> bool:
    record = decoded(value)[1]
    return topic == "judgements" and record.get("actor_kind") == "model" and record["value"] is None


def queue(evidence: Evidence) -> Iterator[Violation]:
    """Yield tasks that are missing in their tier, there twice, or there although nothing opened them.

    Each record of a tier follows from the history of `review.state`: a task goes to its tier when it opens and when
    its revision changes, in the transaction that holds the same snapshot.
    """
    expected, found = Counter[tuple[str, int, bytes | None]](), Counter[tuple[str, int, bytes | None]]()
    sent: dict[bytes | None, str] = {}
    for partition, record in evidence.of("review.state"):
        task = decoded(record.value)[1]
        if task["status"] != "open":
            sent[record.key] = ""
        elif task["revision"] != sent.get(record.key, ""):
            sent[record.key] = task["revision"]
            expected[f"review.{task['tier']}", partition, record.value] += 1
    for tier in TIERS:
        for partition, record in evidence.of(f"review.{tier}"):
            found[f"review.{tier}", partition, record.value] += 1
    for kind, tasks in (("is missing", expected - found), ("is resurrected or doubled", found - expected)):
        for (topic, partition, value), times in tasks.items():
            task = decoded(value)[1]
            name = f"{task['project']}/{task['item_id']} revision {task['revision']}"
            yield Violation("queue", f"{name} {kind} in {topic}-{partition}, {times} times")


def reopened(evidence: Evidence, offline: Offline) -> Iterator[Violation]:
    """Yield tasks that were open after a verdict although nothing had opened them."""
    verdicts: dict[bytes, Mapping[str, Any] | None] = {}
    for _, record in evidence.of("review.state"):
        key, task = record.key or b"", decoded(record.value)[1]
        verdict = task["verdict"] or verdicts.get(key)
        verdicts[key] = task["verdict"]
        if task["status"] == "open" and verdict is not None and not _is_opened(record, verdict["event_id"], offline):
            name = f"{task['project']}/{task['item_id']}"
            yield Violation("queue", f"{name} was open after the verdict {verdict['event_id']}, and nothing opened it")


def _is_opened(record: Record, verdict: str, offline: Offline) -> bool:
    """Return whether a task may be open although there was a verdict.

    What opens one is a flag, a comment, another label or a guideline of the verdict's class that the log got after the
    verdict; or the verdict was unsure, or was taken back. Claims, predictions, evaluation gold and further copies of
    what came before do not.
    """
    task, state = decoded(record.value)[1], offline.states.get(record.key or b"")
    facts: Mapping[str, Mapping[str, Fact]] = {} if state is None else state["facts"]
    corrections, until = facts.get("corrections", {}), task["updated_at"]
    if task["verdict"] is None:
        return any(one["undoes"] == verdict and one["logged"] <= until for one in corrections.values())
    decided = corrections.get(verdict)
    if decided is None or decided["verdict"] == "unsure":
        return decided is not None
    since, value = decided["logged"], decided["value"]
    guidelines = (
        one.log_time
        for one in offline.projects.latest(task["project"]).guidelines
        if value is not None and (not one.classes or content_of(value) in one.classes)
    )
    return any(since < at <= until for at in _doubts(facts, value)) or any(
        since < at <= record.timestamp for at in guidelines
    )


def _doubts(facts: Mapping[str, Mapping[str, Fact]], value: Mapping[str, Any] | None) -> Iterator[int]:
    """Yield the log times of the facts of an item that say something else than a value, or ask about it."""
    yield from (one["logged"] for one in facts.get("flags", {}).values() if one["resolves"] is None)
    yield from (one["logged"] for one in facts.get("comments", {}).values() if not one["resolved"])
    yield from (one["logged"] for one in facts.get("labels", {}).values() if one["value"] not in (None, value))
