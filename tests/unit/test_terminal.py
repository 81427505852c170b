"""Nothing that a fact says reaches a terminal as a command, in whatever it is printed."""

import io

import pytest
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from streams import cli
from streams.errors import LabelloopError
from streams.terminal import Console, printable

HOSTILE = "wren\x1b[2J\x1b]0;title\x07\x9b31m\r\u202e\u2066"


def test_a_table_a_title_and_markup_print_as_text() -> None:
    out = io.StringIO()
    table = Table(escape(HOSTILE), title=escape(HOSTILE))
    table.add_row(Text(HOSTILE))
    table.add_row(escape(HOSTILE))
    console = Console(file=out, width=100)
    console.print(table)
    console.print(escape(HOSTILE))
    assert out.getvalue().count("wren") == 5
    assert all(c.isprintable() or c == "\n" for c in out.getvalue())


def test_colours_of_our_own_reach_the_terminal() -> None:
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="standard", _environ={"TERM": "xterm"}).print(
        Text("red", "red"), Text(HOSTILE)
    )
    assert "\x1b[31mred\x1b[0m" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()


def test_an_error_prints_as_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(**_: object) -> None:
        raise LabelloopError(f"item {HOSTILE} is not there:\nlook elsewhere")

    monkeypatch.setattr(cli._labelloop, "main", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == f"labelloop: item {printable(HOSTILE)} is not there:\nlook elsewhere\n"
