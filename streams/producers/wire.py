"""A fact as it is sent: checked, encoded, keyed."""

from streams import codec, events
from streams.catalogue import MAX_FACT_BYTES
from streams.errors import Poison
from streams.keys import item_key, make_key
from streams.producers.facts import Fact
from streams.producers.limits import check_sent
from streams.producers.values import InvalidFact


def encoded(fact: Fact, now_ms: int) -> bytes:
    """Return the bytes of a fact.

    Args:
        fact: The fact.
        now_ms: The present time; the log will get the fact about then.

    Raises:
        InvalidFact: it breaks the contract or passes a limit (docs/limits.md).
    """
    topic, event = fact
    try:
        raw = codec.encode(topic, event)
        events.validate(topic, event, now_ms)
        if len(raw) > MAX_FACT_BYTES:
            most = f"a fact has at most {MAX_FACT_BYTES}; send a reference (media, features_file)"
            raise Poison("too_large", f"{len(raw)} bytes: {most}")
        check_sent(event)
    except Poison as poison:
        raise InvalidFact(f"{topic}: {poison.detail}") from None
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:  # what fastavro meets
        raise InvalidFact(f"{topic}: {_short(error)}: see the field's type in schemas/{topic}.avsc") from error
    return raw


def key_of(fact: Fact) -> bytes | None:
    """Return a fact's record key; None for ticks, which go to every partition."""
    project = fact.event["project"]
    match fact.topic:
        case "ticks":
            return None
        case "projects" | "snapshots" | "models":
            return make_key(project)
        case _:
            return item_key(project, fact.event["item_id"])


def _short(error: Exception) -> str:
    """Return fastavro's words without the schema it repeats; its last words name the field."""
    words, _, rest = str(error).partition(" do not match ")
    field = rest.rpartition(" on field ")[2] if " on field " in rest else ""
    return f"{words[:200]} does not fit{' ' + field if field else ''}" if rest else words[:200]
