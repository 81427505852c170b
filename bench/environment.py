"""Environments of what labelloop is measured against, each pinned by a lock file of its own."""

import hashlib
import os
import shutil
import subprocess
import venv
from pathlib import Path

from streams.errors import LabelloopError

ENVIRONMENTS = Path(__file__).parent / ".peers"

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def environment(lock: Path) -> Path:
    """Return the Python of the environment of a lock file, which is made when it is not there or the lock has changed.

    Raises:
        LabelloopError: it cannot be made.
    """
    folder = ENVIRONMENTS / lock.parent.name
    made, digest = folder / "lock.sha256", hashlib.sha256(lock.read_bytes()).hexdigest()
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if made.is_file() and made.read_text() == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--requirement", str(lock)]
    in_environment([str(python), "-m", "pip", "install", *options])
    made.write_text(digest)
    return python


def in_environment(command: list[str], given: str = "") -> None:
    """Run a command of an environment on one thread.

    Args:
        command: The command.
        given: What it reads from standard input.

    Raises:
        LabelloopError: it ends with an error.
    """
    try:
        subprocess.run(command, env=os.environ | _ONE_THREAD, check=True, capture_output=True, text=True, input=given)
    except subprocess.CalledProcessError as error:
        told = "\n".join(str(error.stderr).splitlines()[-15:])
        raise LabelloopError(f"{' '.join(command)} ended with {error.returncode}:\n{told}") from error
