"""Turns the lines of a file into facts, or into the reason why a line is none. Pure.

The order of a file is the order of its facts: `source_seq` is the line number. A fact's id holds the file's content
hash, the line number and all that the line says, so A-B-A rows survive, importing the same bytes again adds nothing
under whatever name, and an edited file is a new source.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from streams.errors import LabelloopError
from streams.producers import facts
from streams.producers.facts import Envelope, Fact
from streams.producers.lines import BadLine, Cells, Format, read
from streams.producers.values import Answer, as_time

_TRUTH = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that was left out, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Source:
    """What the facts of one file have in common.

    Args:
        project: Project they belong to.
        content: SHA-256 of the file's bytes, hexadecimal.
        name: Name of the source; stands for the actor where the kind names none.
        use: What gold is used for.
    """

    project: str
    content: str
    name: str = "import"
    use: str = "evaluation"


def parse(kind: str, format: Format, lines: Iterable[bytes], source: Source) -> Iterator[tuple[int, Fact] | Problem]:
    """Return line number and fact, or the problem, of each line.

    Args:
        kind: One of `KINDS`.
        format: How the file is written.
        lines: The file's lines.
        source: What all of them have in common.

    Raises:
        LabelloopError: the file as a whole is unusable.
    """
    build, needed = _BUILDERS[kind]
    for number, cells in read(format, lines, needed):
        try:
            if isinstance(cells, BadLine):
                raise cells
            yield number, _fact(build, Row(cells, format), source, number)
        except (BadLine, LabelloopError) as problem:
            yield Problem(number, str(problem))
        except orjson.JSONEncodeError:  # it reads four times deeper than it writes
            yield Problem(number, "nested too deeply: flatten it")


def _fact(build: "Callable[[Row, Source, Envelope], Fact]", row: "Row", source: Source, number: int) -> Fact:
    envelope: Envelope = {
        "occurred_at": row.time("timestamp"),
        "source": source.name,
        "source_seq": number,
        "schema_version": row.text("schema_version"),
        "guideline_version": row.text("guideline_version"),
        "event_id": "",  # derived below, when all columns are read
    }
    fact = build(row, source, envelope)
    fact.event["attributes"] = row.rest()
    return fact.identified(source.content)


class Row:
    """The cells of one line; each is taken out once, what stays are attributes."""

    def __init__(self, cells: Cells, format: Format) -> None:
        self._cells = cells
        self._csv = format == "csv"

    def take(self, column: str) -> Any:
        """Return a cell, None if it is absent or, in CSV, empty."""
        return self._cells.pop(column, None)

    def text(self, column: str) -> str | None:
        """Return a text; a whole number is one too."""
        cell = self.take(column)
        if cell is None or isinstance(cell, str):
            return cell
        if isinstance(cell, int) and not isinstance(cell, bool):
            return str(cell)
        raise BadLine(f"{column} is {_shown(cell)}: give a text")

    def name(self, column: str) -> str:
        """Return a text that every line must have."""
        text = self.text(column)
        if text is None:
            raise BadLine(f"{column} is missing")
        return text

    def number(self, column: str) -> float | None:
        """Return a finite number."""
        cell = self.take(column)
        if cell is None:
            return None
        try:
            number = math.nan if isinstance(cell, bool) else float(cell)
        except (TypeError, ValueError):
            number = math.nan
        if not abs(number) < 1e15:
            raise BadLine(f"{column} is {_shown(cell)}: give a number")
        return number

    def whole(self, column: str) -> int | None:
        """Return a whole number."""
        number = self.number(column)
        if number is None or number == int(number):
            return None if number is None else int(number)
        raise BadLine(f"{column} is {number}: give a whole number")

    def truth(self, column: str) -> bool:
        """Return a truth value; False if absent."""
        cell = self.take(column)
        if cell is None or isinstance(cell, bool):
            return bool(cell)
        found = _TRUTH.get(str(cell).lower())
        if found is None:
            raise BadLine(f"{column} is {_shown(cell)}: give true or false")
        return found

    def nested(self, column: str, kind: type) -> Any:
        """Return a list or an object; in CSV it is written as JSON."""
        cell = self.take(column)
        if self._csv and cell is not None:
            try:
                cell = orjson.loads(cell)
            except orjson.JSONDecodeError:
                raise BadLine(f"{column} is {_shown(cell)}: give JSON") from None
        if cell is not None and not isinstance(cell, kind):
            raise BadLine(f"{column} is {_shown(cell)}: give {'a list' if kind is list else 'an object'}")
        return cell

    def time(self, column: str) -> int | None:
        """Return a time in ms since 1970 UTC, see `as_time`."""
        cell = self.take(column)
        if cell is None:
            return None
        moment = as_time(cell)
        if moment is None:
            raise BadLine(f"{column} is {_shown(cell)}: give ISO 8601, or seconds or milliseconds since 1970 UTC")
        return moment

    def answer(self, column: str) -> Answer | None:
        """Return a label: in CSV a class; in JSON what `as_value` takes, or boxes in pixels."""
        cell = self.take(column)
        if not isinstance(cell, list) or self._csv:
            return cell  # type: ignore[no-any-return]
        if cell and not all(isinstance(part, dict) and "bbox" in part for part in cell):
            return cell
        if not cell and not {"width", "height"} <= {*self._cells}:
            return cell  # no class at all; with an image's size: no box
        width, height = self.number("width"), self.number("height")
        if not width or not height or width < 0 or height < 0:
            raise BadLine(f"{column} has boxes in pixels: add the image's width and height in pixels as columns")
        return {"kind": "boxes", "boxes": [_box(column, part, width, height) for part in cell]}

    def rest(self) -> dict[str, str]:
        """Return what was not taken, as text; nested things as JSON."""
        return {
            name: cell if isinstance(cell, str) else orjson.dumps(cell, option=orjson.OPT_SORT_KEYS).decode()
            for name, cell in self._cells.items()
            if cell is not None
        }


def _box(column: str, part: Cells, width: float, height: float) -> dict[str, Any]:
    box, label = part["bbox"], part.get("category", part.get("label"))
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(n, int | float) for n in box)
    if not numbers or not isinstance(label, str):
        raise BadLine(f"{column} holds the box {_shown(part)}: give bbox [x, y, width, height] and category")
    x, y, w, h = box
    id_ = part.get("annotation_id", part.get("id"))
    return {
        "label": label,
        "x": x / width,
        "y": y / height,
        "width": w / width,
        "height": h / height,
        "rotation": 0.0,
        "id": None if id_ is None else str(id_),
    }


def _shown(cell: object) -> str:
    """Return a cell as the file has it, cut."""
    text = repr(cell) if isinstance(cell, str) else orjson.dumps(cell).decode()
    return text if len(text) <= 60 else text[:57] + "..."


def _item(row: Row, source: Source, envelope: Envelope) -> Fact:
    features = row.nested("features", list)
    if features is not None and not all(isinstance(n, int | float) and not isinstance(n, bool) for n in features):
        raise BadLine("features holds something that is no number: give a list of numbers")
    media = row.text("media")
    return facts.item(
        source.project,
        row.name("item_id"),
        text=row.text("text"),
        media=media if media is not None else row.text("url"),
        features=features,
        features_file=row.text("features_file"),
        features_row=row.whole("row"),
        group=row.text("group"),
        task_type=row.text("task_type"),
        removed=row.truth("removed"),
        **envelope,
    )


def _label(row: Row, source: Source, envelope: Envelope) -> Fact:
    spent, retracted, answer = row.number("time_spent_s"), row.truth("retracted"), row.answer("label")
    return facts.label(
        source.project,
        row.name("item_id"),
        row.name("annotator_id"),
        answer if retracted else _given("label", answer),
        retracted=retracted,
        duration_ms=None if spent is None else round(spent * 1000),
        **envelope,
    )


def _gold(row: Row, source: Source, envelope: Envelope) -> Fact:
    value = _given("label", row.answer("label"))
    by = row.text("actor_id") or source.name
    return facts.gold(source.project, row.name("item_id"), value, by=by, use=source.use, **envelope)


def _prediction(row: Row, source: Source, envelope: Envelope) -> Fact:
    probabilities = row.nested("probabilities", dict)
    for label, share in (probabilities or {}).items():
        if not isinstance(share, int | float) or isinstance(share, bool):
            raise BadLine(f"probabilities gives {label!r} {_shown(share)}: give a number from 0 to 1")
    return facts.prediction(
        source.project,
        row.name("item_id"),
        row.name("model_version"),
        row.answer("label"),
        probabilities=probabilities,
        novelty=row.number("novelty"),
        out_of_sample=row.truth("out_of_sample"),
        imported=row.truth("imported"),
        **envelope,
    )


def _correction(row: Row, source: Source, envelope: Envelope) -> Fact:
    return facts.correction(
        source.project,
        row.name("item_id"),
        row.name("reviewer_id"),
        row.name("verdict"),
        row.answer("value"),
        reason=row.text("reason"),
        undoes=row.text("undoes"),
        **envelope,
    )


def _flag(row: Row, source: Source, envelope: Envelope) -> Fact:
    severity = row.number("severity")
    return facts.flag(
        source.project,
        row.name("item_id"),
        row.name("actor_id"),
        row.name("kind"),
        severity=0.5 if severity is None else severity,
        text=row.text("text"),
        resolves=row.text("resolves"),
        **envelope,
    )


def _comment(row: Row, source: Source, envelope: Envelope) -> Fact:
    thread, text = row.name("thread"), row.name("text")
    return facts.comment(source.project, row.name("item_id"), row.name("actor_id"), thread, text, **envelope)


def _given(column: str, answer: Answer | None) -> Answer:
    if answer is None:
        raise BadLine(f"{column} is missing")
    return answer


_BUILDERS: dict[str, tuple[Callable[[Row, Source, Envelope], Fact], tuple[str, ...]]] = {
    "items": (_item, ("item_id",)),
    "labels": (_label, ("item_id", "annotator_id", "label")),
    "gold": (_gold, ("item_id", "label")),
    "predictions": (_prediction, ("item_id", "model_version")),
    "corrections": (_correction, ("item_id", "reviewer_id", "verdict")),
    "flags": (_flag, ("item_id", "actor_id", "kind")),
    "comments": (_comment, ("item_id", "actor_id", "thread", "text")),
}

KINDS = tuple(_BUILDERS)
"""What can be imported."""
