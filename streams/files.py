"""Writing files that hold secrets."""

import os
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Replace a file by a text at once; at no time can another user read it, or anybody half of it."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    fresh.replace(file)
