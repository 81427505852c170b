"""Writes a snapshot as files that others can use: Parquet, CSV, a card for people, and the manifest to make it again.

The bytes depend on the rows and the snapshot alone: no time, no path, no machine.
"""

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from streams.errors import LabelloopError
from streams.events import Event
from streams.query.sql import write_csv
from streams.sinks.tables import label_text
from workers.dataset import Dataset, record, to_json

ROWS, TABLE, CARD, MANIFEST = "rows.parquet", "rows.csv", "README.md", "manifest.json"

_TEXTS = pa.list_(pa.string())

COLUMNS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("weight_ppm", pa.int64(), nullable=False),
        pa.field("evidence", _TEXTS, nullable=False),
        pa.field("schema_version", pa.string()),
        pa.field("guideline_version", pa.string()),
        pa.field("posterior", pa.map_(pa.string(), pa.int64()), nullable=False),
        pa.field("group", pa.string()),
        pa.field("text", pa.string()),
        pa.field("features", pa.list_(pa.float64()), nullable=False),
        pa.field("features_file", pa.string()),
        pa.field("features_row", pa.int64()),
        pa.field("attributes", pa.map_(pa.string(), pa.string()), nullable=False),
    ]
)
"""Columns of both files, in order."""

_MEANINGS = {
    "item_id": "The item.",
    "label": "Its right value as text: the class of a choice, else the content as JSON.",
    "value": "Its right value, whole, as JSON.",
    "source": "What resolved it: verdict, truth or consensus.",
    "weight_ppm": "How sure it is, in millionths.",
    "evidence": "event_ids of the facts that it rests on.",
    "schema_version": "Label schema of the evidence; empty if it has none, or several.",
    "guideline_version": "Guideline of the evidence; empty if it has none, or several.",
    "posterior": "Of a consensus of classes the probability of each by the votes alone, in millionths.",
    "group": "Group of the item.",
    "text": "Its text.",
    "features": "Its numbers.",
    "features_file": "File that its numbers lie in.",
    "features_row": "Row of that file, from 0.",
    "attributes": "Whatever else is known of it.",
}

_GROUP_ROWS = 10_000
"""Rows of a row group: part of the bytes, so never to depend on anything."""


def export(dataset: Dataset, snapshot: Event, out: Path) -> None:
    """Write a snapshot into a directory.

    Args:
        dataset: Its data set.
        snapshot: The fact that says what it is.
        out: The directory; made if it is not there.

    Raises:
        LabelloopError: it cannot be written.
    """
    rows = [_cells(one) for one in map(record, dataset.rows)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / TABLE).open("w", encoding="utf-8", newline="") as file:
            # a set of pairs as the object that it is
            write_csv(COLUMNS.names, ([*row[:-1], dict(row[-1])] for row in rows), file)
        _write_parquet(rows, out / ROWS)
        (out / CARD).write_text(card(snapshot), encoding="utf-8")
        (out / MANIFEST).write_bytes(orjson.dumps(snapshot, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n")
    except OSError as error:
        raise LabelloopError(f"{out} cannot be written: {error.strerror}") from error


def _cells(row: Mapping[str, Any]) -> list[Any]:
    told = {
        **row,
        "label": label_text(row["value"]),
        "value": to_json(row["value"]).decode(),
        "evidence": [*row["evidence"]],
        "features": [*row["features"]],
        "attributes": [*row["attributes"].items()],
        "posterior": [*row["posterior"].items()],
    }
    return [told[name] for name in COLUMNS.names]


def _write_parquet(rows: list[list[Any]], path: Path) -> None:
    with pq.ParquetWriter(path, COLUMNS, compression="zstd") as writer:
        for start in range(0, len(rows), _GROUP_ROWS):
            part = rows[start : start + _GROUP_ROWS]
            columns = [pa.array([row[n] for row in part], type=field.type) for n, field in enumerate(COLUMNS)]
            writer.write_table(pa.Table.from_arrays(columns, schema=COLUMNS))


def card(snapshot: Event) -> str:
    """Return what people should know of a snapshot, as Markdown."""
    settings = orjson.loads(snapshot["settings"])
    name, project = _text(snapshot["snapshot"]), _text(snapshot["project"])
    told = [
        ("rows", f"{snapshot['rows']:,}"),
        ("log time of the newest fact, ms since 1970 UTC", snapshot["as_of"]),
        ("SHA-256 of the rows", snapshot["content_hash"]),
        ("made because of", snapshot["cause"]),
        ("made by labelloop", snapshot["code_version"]),
        ("label schemas", ", ".join(snapshot["schema_versions"]) or "none named"),
        ("guidelines", ", ".join(snapshot["guideline_versions"]) or "none named"),
        ("least probability of a consensus", settings["policy"]["resolve_confidence"]),
        ("fixed examples that models are judged by", len(snapshot["fixed"])),
    ]
    parts = [
        f"# {project}: snapshot {name}\n",
        "Right values of the items of a project, as far as they are known well enough to train a model on.\n",
        _table(("what", ""), told),
        "## Where the values come from\n",
        _table(("source", "rows"), sorted(snapshot["source_counts"].items())),
        "A *verdict* is a reviewer's, *truth* is gold that the project declared, and a *consensus* is what the votes "
        "come to by a label model that sees no prediction. No gold of use `evaluation` is in it, and no removed "
        "item.\n",
        "## Classes\n",
        _table(("class", "rows"), sorted(snapshot["class_counts"].items())),
        "## Columns\n",
        f"`{ROWS}` and `{TABLE}` hold the same. In CSV lists are JSON, and a text that a spreadsheet would take for a "
        "formula has an apostrophe in front.\n",
        _table(("column", "meaning"), ((f"`{column}`", meaning) for column, meaning in _MEANINGS.items()), raw=True),
    ]
    if snapshot["files"]:
        parts += ["## Files\n", _table(("file", "SHA-256"), sorted(snapshot["files"].items()))]
    parts += [
        "## Make it again\n",
        f"`{MANIFEST}` says up to which offset of each topic the facts count. Beside the same log, "
        f"`labelloop snapshot verify --project NAME --manifest {MANIFEST}` computes the rows again and compares.\n",
    ]
    return "\n".join(parts)


def _table(head: tuple[str, str], rows: Iterable[tuple[Any, Any]], *, raw: bool = False) -> str:
    cells = [(one, other) if raw else (_text(str(one)), _text(str(other))) for one, other in rows]
    lines = [head, ("---", "---"), *cells]
    return "".join(f"| {one} | {other} |\n" for one, other in lines)


_MARKDOWN = str.maketrans({char: f"\\{char}" for char in "\\`*_[]|#"} | {"\n": " ", "\r": " "})


def _text(text: str) -> str:
    """Return a text as Markdown shows it: names that people chose are no markup."""
    return html.escape(text, quote=False).translate(_MARKDOWN)
