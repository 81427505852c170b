"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def data_option(command: F) -> F:
    """Add `--data DIR`, passed on as `data: Path | None`."""
    option = click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        help="Data directory of the stack; default: $LABELLOOP_HOME, else .labelloop here.",
    )
    return option(command)


def project_option(command: F) -> F:
    """Add the mandatory `--project NAME`, passed on as `project: str`."""
    return click.option("--project", "-p", required=True, help="Name of the project.")(command)
