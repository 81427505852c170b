"""Reviews an imported project against gold, through the real queue: how many errors does its order find?"""

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from streams.errors import LabelloopError
from streams.producers.producer import Producer
from streams.query.settle import settle
from streams.query.sql import rows
from streams.settings import Settings

Policy = Literal["queue", "random", "entropy"]

REVIEWER = "simulated-reviewer"

_SEED = 1
_OPEN = """
SELECT item_id, consensus_label, ifNull(entropy, 0)
FROM review_state FINAL
WHERE project = %(project)s AND status = 'open' AND consensus_value_kind = 'choice'
ORDER BY priority DESC, item_id
"""


class Step(NamedTuple):
    """Where a review stands.

    Args:
        reviews: Verdicts given so far.
        found: Errors among the reviewed items.
        errors: Errors there were before the first verdict.
        items: Items whose answer is known.
    """

    reviews: int
    found: int
    errors: int
    items: int


def read_gold(file: Path) -> dict[str, str]:
    """Return the known answer of each item: JSON lines with item_id and label.

    Raises:
        LabelloopError: the file cannot be read, or a line is none of that kind.
    """
    gold = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelloopError(f"{file} cannot be read: {error}") from error
    for n, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            gold[str(row["item_id"])] = str(row["label"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise LabelloopError(f"{file} line {n}: give item_id and label as JSON, one a line") from None
    return gold


def simulate(
    settings: Settings,
    project: str,
    gold: Mapping[str, str],
    budget: float,
    step: float,
    policy: Policy,
    timeout_s: float,
) -> Iterator[Step]:
    """Give the right verdict on one item after the other, settling after each step; yield how many errors were found.

    The verdicts are published: the project is reviewed when it ends.

    Args:
        settings: Where the servers are.
        project: The project, imported and not reviewed yet.
        gold: Known answer by item.
        budget: Share of the items with known answers that is reviewed.
        step: Share after which the queue is settled and read anew.
        policy: What is reviewed first: the queue's head, any item, or those with the greatest vote entropy.
        timeout_s: Limit for each settling, seconds.

    Raises:
        LabelloopError: no open item of the project has a known answer, or settling takes too long.
    """
    settle(settings, project, timeout_s)
    shown = {item: label for item, label, _ in open_items(settings, project) if item in gold}
    if not shown:
        raise LabelloopError(f"no open item of {project!r} has a known answer: import labels and give their gold")
    wrong = {item for item, label in shown.items() if label != gold[item]}
    draw, done, found = random.Random(_SEED), 0, 0
    total, each = round(budget * len(shown)), max(1, round(step * len(shown)))
    while done < total:
        waiting = [row for row in open_items(settings, project) if row[0] in gold]
        if policy == "random":
            draw.shuffle(waiting)
        elif policy == "entropy":
            waiting.sort(key=lambda row: -row[2])
        now = waiting[: min(each, total - done)]
        if not now:
            return
        with Producer(settings, source="simulate-review") as producer:
            for item, label, _ in now:
                verdict = "confirmed" if label == gold[item] else "corrected"
                producer.correction(project, item, REVIEWER, verdict, gold[item])
        done, found = done + len(now), found + sum(item in wrong for item, _, _ in now)
        settle(settings, project, timeout_s)
        yield Step(done, found, len(wrong), len(shown))


def open_items(settings: Settings, project: str) -> list[tuple[str, str, float]]:
    """Return the open items of a project, the most urgent first: item, answer shown, entropy of its votes in bits."""
    _, found = rows(settings, _OPEN, {"project": project})
    return [(str(item), str(label), float(entropy)) for item, label, entropy in found]
