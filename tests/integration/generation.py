"""A labelloop of another generation: `python -m tests.integration.generation FOLDER ARGUMENTS`, else as `labelloop`.

It has the contract that lies in FOLDER and, if there is a file `format`, that format of the state rows.
"""

import json
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import schemaless_writer

from streams import resources  # and nothing that reads the contract as it is imported

ROOT = Path(__file__).parents[2]

NEW: dict[str, dict[str, Any]] = {
    "labels": {"name": "certainty", "type": ["null", "double"], "default": None},
    "review_task": {"name": "hint", "type": "string", "default": "new"},
    "judgements": {"name": "hint", "type": "string", "default": "new"},
    "annotators": {"name": "hint", "type": "string", "default": "new"},
}
"""Field that the next generation adds to a schema."""

_COLUMNS = {"labels": "duration_ms", "review_state": "updated_at", "review_tasks": "updated_at", "judgements": "group"}
"""The column that the new one follows, by table."""


def cli(folder: Path) -> tuple[str, ...]:
    """Return the command line of the generation in a folder."""
    return (sys.executable, "-m", "tests.integration.generation", str(folder))


def make_next(folder: Path) -> Path:
    """Make the next generation: new fields, ids and columns; migrations lie in `ddl` below it."""
    from streams import contract

    files = deepcopy(contract.schema_files())
    for name, field in NEW.items():
        files[name]["fields"].append({**field, "doc": "New."})
    assert not contract.breaking(files, contract.read_lock())  # as `labelloop schemas lock` would ask
    folder.mkdir()
    for name, schema in files.items():
        (folder / f"{name}.avsc").write_text(json.dumps(schema))
    (folder / "lock.json").write_text(contract.dump(contract.extended(files, contract.read_lock())))
    shutil.copytree(ROOT / "streams" / "sinks" / "ddl", folder / "ddl")
    number = max(int(re.match(r"\d+", file.name)[0]) for file in (folder / "ddl").glob("[0-9]*.sql")) + 1  # type: ignore[index]
    statements = [
        f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS "
        + ("certainty Nullable(Float64)" if table == "labels" else "hint String")
        + f" COMMENT 'New.' AFTER {before};\n"
        for table, before in _COLUMNS.items()
    ]
    (folder / "ddl" / f"{number:04}_next.sql").write_text("\n".join(statements))
    return folder


def make_format(folder: Path, number: int) -> Path:
    """Make a generation that differs in the format of the state rows alone."""
    shutil.copytree(ROOT / "schemas", folder)
    (folder / "format").write_text(str(number))
    return folder


def encode(folder: Path, name: str, record: dict[str, Any]) -> bytes:
    """Return a record as a generation writes it."""
    lock = json.loads((folder / "lock.json").read_text())
    newest = [entry for entry in lock if entry["name"] == name][-1]
    out = BytesIO()
    out.write(b"\0" + newest["id"].to_bytes(4, "big"))
    schemaless_writer(out, newest["schema"], record)
    return out.getvalue()


def become(folder: Path) -> None:
    """Give this process the contract of a generation; what has read the contract before keeps what it read."""
    ours = resources.directory
    resources.directory = lambda name: folder if name == "schemas" else ours(name)


def main() -> None:
    """Run one command of the generation."""
    folder, *words = sys.argv[1:]
    become(Path(folder))
    if words == ["fitter"]:
        from streams.processors.fitter import main as run
    else:
        from streams.cli import main as run
        from streams.processors import item_state, items, quality_app

        popen = subprocess.Popen

        def of_this_generation(_: Any, **options: Any) -> Any:
            return popen((*cli(Path(folder)), "fitter"), cwd=ROOT, **options)

        quality_app.subprocess.Popen = of_this_generation  # type: ignore[attr-defined]
        number = Path(folder) / "format"
        if number.exists():
            item_state.FORMAT = items.FORMAT = int(number.read_text())  # type: ignore[attr-defined]
        sys.argv[1:] = words
    run()


if __name__ == "__main__":
    main()
