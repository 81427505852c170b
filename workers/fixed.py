"""The examples that every model is judged by.

They are `fixed` gold. Where there is none, a sample of early verdicts is frozen by the first snapshot that has enough
of them: what is corrected later, by whomever, cannot be its own judge.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from streams.processors.answer import last, last_verdict
from streams.processors.item_state import Fact, ItemState

LEAST = 20
"""Verdicts that there must be before a sample of them is frozen."""

MOST = 100
"""Examples of a sample."""

Value = Mapping[str, Any]
"""A label value as `{kind, kind: content}`."""


def fixed_examples(states: Mapping[str, ItemState], frozen: Mapping[str, Value] | None) -> dict[str, Value]:
    """Return the right value of each example, by item_id, sorted.

    Args:
        states: The items that are not removed, by item_id.
        frozen: Examples of the project's earlier snapshots; None or empty: none were frozen so far.
    """
    found: dict[str, Value] = {}
    for item_id, state in states.items():
        gold = {id_: fact for id_, fact in state["facts"].get("gold", {}).items() if fact["use"] == "fixed"}
        if known := last(gold):
            found[item_id] = known[1]["value"]
    if not found and frozen:
        found = {item_id: value for item_id, value in frozen.items() if item_id in states}
    elif not found:
        verdicts = {item_id: verdict for item_id, state in states.items() if (verdict := _verdict(state))}
        if len(verdicts) >= LEAST:
            found = {item_id: verdicts[item_id]["value"] for item_id in _sample(verdicts)}
    return dict(sorted(found.items()))


def _verdict(state: ItemState) -> Fact | None:
    """Return the standing verdict of an item that names its right value."""
    found = last_verdict(state["facts"].get("corrections", {}))
    return found[1] if found is not None and found[1]["value"] is not None else None


def _sample(verdicts: Mapping[str, Fact]) -> list[str]:
    """Return the items of a sample: of each class its share, rounded, but one at least; of a class its earliest.

    More than `MOST` classes have no room for one each: the classes of the earliest verdicts come first.
    """
    classes: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for item_id, verdict in verdicts.items():
        classes[_stratum(verdict["value"])].append((verdict["logged"], item_id))
    firsts, others = [], []
    for found in classes.values():
        for n, (logged, item_id) in enumerate(sorted(found)):
            if n:  # the n-th of N comes after (n + 1/2) / N: each start of the list holds every class by its share
                others.append(((n + 0.5) / len(found), logged, item_id))
            else:
                firsts.append((0.0, logged, item_id))
    return [item_id for _, _, item_id in (sorted(firsts) + sorted(others))[:MOST]]


def _stratum(value: Value) -> str:
    match value["kind"]:
        case "choice":
            return f"choice {value['choice']}"
        case "choices":
            return f"choices {sorted(value['choices'])}"
        case kind:
            return str(kind)
