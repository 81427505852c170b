"""Where a benchmark's figures go: a file of JSON for each, beside the page that draws them."""

import json
from pathlib import Path

from streams.terminal import Console


def write(file: Path, found: object) -> None:
    """Write figures as JSON; the file's folder is made.

    Args:
        file: The file.
        found: What JSON can hold.
    """
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(found, indent=2) + "\n")


def tell(console: Console, file: Path) -> None:
    """Say where a file was written: from the present folder, if it lies below."""
    console.print(f"written to {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")
