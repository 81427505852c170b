"""Files that hold secrets or keep others out, and folders named after what facts say."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from streams.errors import LabelloopError

_LONGEST_NAME = 150  # characters; file systems take 255 bytes, and temporary names add to it


def write_private(file: Path, text: str) -> None:
    """Replace a file by a text at once; at no time can another user read it, or anybody half of it."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    fresh.replace(file)


@contextmanager
def locked(file: Path, otherwise: str) -> Iterator[None]:
    """Keep others out; let go when the process ends, however it ends.

    Args:
        file: What is locked; made if it is missing, its directory is there.
        otherwise: What to say if another process holds it.

    Raises:
        LabelloopError: another process holds it.
        OSError: it cannot be made.
    """
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabelloopError(otherwise) from error
        yield


def folder_name(name: str) -> str:
    """Return a name from a fact as the name of one folder: nothing leads out of where it is put, and none are equal.

    Letters, digits, `_`, `-`, `~` and `.` but at the start stay as they are; a long name is cut and ends with its hash.
    """
    quoted = quote(name, safe="")
    if quoted.startswith("."):  # also `.` and `..`, and what is hidden
        quoted = "%2E" + quoted[1:]
    if len(quoted) > _LONGEST_NAME:
        digest = blake2b(name.encode(), digest_size=16).hexdigest()
        quoted = f"{quoted[:100]}%-{digest}"  # no other name has these two signs
    return quoted
