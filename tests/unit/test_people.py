"""Who a pseudonym is: known to the owner of the data directory alone, and forgotten for good."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli.people import forget, people
from streams.errors import LabelloopError
from streams.people import FILE, forget_person, name_person, read_people


def test_a_person_is_named_shown_and_forgotten(tmp_path: Path) -> None:
    home = tmp_path / "new"
    assert read_people(home).shown("anna") == "anna"
    name_person(home, "anna", " Anna Example ")
    name_person(home, "ben", "Ben Example")
    assert read_people(home).shown("anna") == "Anna Example (anna)"
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    assert forget_person(home, "anna")
    assert not forget_person(home, "anna")
    assert read_people(home).names == {"ben": "Ben Example"}
    assert "Anna" not in "".join(file.read_text() for file in home.iterdir())


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, "\x1b[31m"])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LabelloopError, match="1 to 200 printable characters"):
        name_person(tmp_path, "anna", name)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"anna": 1}', "[" * 100_000])
def test_a_broken_file_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(LabelloopError, match=FILE):
        read_people(tmp_path)


def test_the_commands_say_what_remains(tmp_path: Path) -> None:
    def run(*words: str) -> Result:
        command = forget if words[0] == "forget" else people
        return CliRunner().invoke(command, [*(words[1:] if command is forget else words), "--data", str(tmp_path)])

    assert "nobody is known" in run("list").output
    assert run("set", "anna", "Anna Example").exit_code == 0
    assert "Anna Example" in run("list").output
    told = run("forget", "anna").output
    assert "is forgotten" in told
    assert "Anna Example" not in told
    assert "was not known here" in run("forget", "anna").output
