"""Files that ship with the code: schemas and server configuration."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def directory(name: str) -> Path:
    """Return the folder `name` (`schemas`, `deploy`), from the installed package or else from the checkout."""
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
