"""What makes a fact count: it can be read, lies where its key belongs, and its actor may say it.

Whoever computes something from the facts asks the same questions, so that all refuse the same ones.
"""

from streams import codec
from streams.catalogue import MAX_FACT_BYTES
from streams.errors import Poison
from streams.events import Event, classes_in
from streams.keys import item_key, partition_of
from streams.projects import ProjectView

_RESERVED = {
    "corrections": "give verdicts",
    "claims": "claim items",
}


def decoded(topic: str, raw: bytes | None) -> Event:
    """Return the fact in a record of topic `topic` (catalogue name).

    Raises:
        Poison: `too_large`, `undecodable`, `unknown_schema`, or `invalid`: of another topic's schema.
    """
    if raw is not None and len(raw) > MAX_FACT_BYTES:
        raise Poison("too_large", f"{len(raw)} bytes: a fact has at most {MAX_FACT_BYTES}; send a reference instead")
    name, event = codec.decode(raw)
    if name != topic:
        raise Poison("invalid", f"a {name} record lies in topic {topic}: publish it to the topic of its schema")
    return event


def own_key(event: Event, key: bytes | None) -> bytes:
    """Return the key of a fact's item.

    Raises:
        Poison: `invalid`: the record has another key.
    """
    own = item_key(event["project"], event["item_id"])
    if key != own:
        raise Poison("invalid", f"the record's key is {key!r}, not {own!r}: key it by percent-encoded project/item")
    return own


def check_home(key: bytes, partition: int, partitions: int) -> None:
    """Check that a record lies in the partition its key belongs to.

    Raises:
        Poison: `foreign_partitioner`.
    """
    home = partition_of(key, partitions)
    if home != partition:
        raise Poison(
            "foreign_partitioner",
            f"key {key!r} belongs to partition {home}, not {partition}: set partitioner=murmur2_random",
        )


def authorise(topic: str, event: Event, view: ProjectView) -> None:
    """Check that a project knows the classes a valid fact names, and lets its actor say it.

    Raises:
        Poison: `unknown_class` or `not_allowed`.
    """
    if view.classes is not None and topic in ("labels", "corrections", "gold"):
        value = event["value"]
        unknown = next((c for c in classes_in(value) if c not in view.class_order), None) if value else None
        if unknown is not None:
            raise Poison(
                "unknown_class",
                f"{unknown!r} is not among the classes of {event['project']!r}: correct the label, or "
                "declare it with `labelloop project set --classes`",
            )
    if view.members is not None:
        what = _RESERVED.get(topic) or ("fix the truth" if topic == "gold" and event["use"] != "evaluation" else None)
        actor = event["actor"]["id"]
        if what and view.members.get(actor) not in ("reviewer", "lead"):
            raise Poison(
                "not_allowed",
                f"{actor!r} may not {what} in {event['project']!r}: make them a reviewer with "
                "`labelloop project set --member`",
            )
