"""Who a pseudonym is: a file of its own in the data directory, outside the log.

The log knows pseudonyms alone and is kept for ever. What may have to be forgotten is not in it.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from streams.errors import LabelloopError
from streams.files import write_private

FILE = "people.json"
MAX_NAME = 200
"""Characters of a name."""


class People:
    """Names by pseudonym.

    Args:
        names: The mapping.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(sorted(names.items()))

    def shown(self, actor: str) -> str:
        """Return what people read: the name with the pseudonym, or the pseudonym alone."""
        name = self.names.get(actor)
        return actor if name is None else f"{name} ({actor})"


def read_people(home: Path) -> People:
    """Return whom a data directory knows, nobody where it has no file.

    Raises:
        LabelloopError: the file is broken.
    """
    file = home / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return People({})
    except (OSError, ValueError, RecursionError) as error:
        raise LabelloopError(f"{file} cannot be read ({error}): it is an object of names by pseudonym") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content.values()):
        raise LabelloopError(f"{file} is no object of names by pseudonym: correct it, or delete it")
    return People(content)


def name_person(home: Path, actor: str, name: str) -> None:
    """Note who a pseudonym is; only the owner of the data directory can read it.

    Raises:
        LabelloopError: that is no name, or the file cannot be read or written.
    """
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise LabelloopError(f"a name has 1 to {MAX_NAME} printable characters")
    if not actor:
        raise LabelloopError("a pseudonym has at least one character")
    _write(home, {**read_people(home).names, actor: name.strip()})


def forget_person(home: Path, actor: str) -> bool:
    """Delete who a pseudonym is; return whether that was known.

    Raises:
        LabelloopError: the file cannot be read or written.
    """
    names = read_people(home).names
    if names.pop(actor, None) is None:
        return False
    _write(home, names)
    return True


def _write(home: Path, names: Mapping[str, str]) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        write_private(home / FILE, json.dumps(dict(sorted(names.items())), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise LabelloopError(f"{home / FILE} cannot be written: {error.strerror}") from error
