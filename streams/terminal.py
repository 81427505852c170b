"""What people see on a terminal: no text of a fact moves the cursor, colours the page or turns what is read around."""

from collections.abc import Iterator

from rich import console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment


def printable(text: str) -> str:
    """Return a text as one line in which whatever is no printable character is a blank."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines, each of them `printable`."""
    return "\n".join(map(printable, text.split("\n")))


class Console(console.Console):
    """Rich's console, which itself lets escape sequences of a text pass to the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield the parts of what is printed, each of them printable but for the ends of lines."""
        for part in super().render(renderable, options):
            if part.control or part.text.isprintable():
                yield part
            else:
                yield part._replace(text=printable_lines(part.text))
