"""The page: sections become HTML that asks nobody for anything and runs nothing.

Every text is escaped here. The policy in its head forbids scripts and requests besides, whatever a text may hold.
"""

import re
from collections.abc import Sequence
from html import escape

from streams.report.numbers import Figure, Listing, Section
from streams.terminal import printable

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_NUMBER = re.compile(r"[-\d., %/]+")  # or a dash for one

_CSS = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1.5rem 4rem; background: #fff; color: #1f2937;
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; overflow-wrap: anywhere; }
h2 { margin: 2.6rem 0 .4rem; padding-top: .5rem; border-top: 1px solid #e5e7eb; font-size: 1.25rem; }
.made, .nothing, .files { color: #4b5563; }
.nothing { margin: 1.2rem 0 0; padding-top: .5rem; border-top: 1px solid #e5e7eb; }
.nothing h2, .nothing p { display: inline; margin: 0 .6rem 0 0; padding: 0; border: 0; font-size: 1rem; }
.files { font-size: .85rem; }
.look { margin: .3rem 0 1.1rem; max-width: 50rem; color: #374151; }
nav { margin: 1rem 0; font-size: .95rem; }
nav a { margin-right: 1rem; white-space: nowrap; }
a { color: #0b5cad; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; margin: 1.2rem 0; }
dl div { padding: .6rem .8rem; border: 1px solid #e5e7eb; border-radius: .5rem; background: #f9fafb; }
dt { color: #4b5563; font-size: .85rem; }
dd { margin: 0; font-size: 1.3rem; font-weight: 600; }
.scroll { overflow-x: auto; }
table { margin: .8rem 0 .2rem; border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem 1.1rem .25rem 0; border-bottom: 1px solid #e5e7eb; text-align: left; vertical-align: top; }
th { color: #4b5563; font-weight: 600; }
td { overflow-wrap: anywhere; }
.n { text-align: right; white-space: nowrap; }
figure { margin: .8rem 0 0; }
svg { display: block; height: auto; }
details { margin: .4rem 0; }
summary { cursor: pointer; }
@media print { details > * { display: block; } nav { display: none; } }
"""


def _text(text: str) -> str:
    """Return a text as HTML, without control characters: a reader may not show them, or may stop at one."""
    return escape(printable(text))


def page(title: str, made: str, headline: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Return the whole page.

    Args:
        title: What it is about.
        made: Where its numbers come from, in a sentence or two.
        headline: Names and values of the numbers to begin with.
        sections: What follows, in order.
    """
    tiles = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in headline)
    links = "".join(
        f'<a href="#s{n}">{_text(section.title)}</a>' for n, section in enumerate(sections) if section.parts
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{_text(title)}</title>
<style>{_CSS}</style>
</head>
<body>
<h1>{_text(title)}</h1>
<p class="made">{_text(made)}</p>
<dl>{tiles}</dl>
<nav>{links}</nav>
{"".join(_section(n, section) for n, section in enumerate(sections))}
</body>
</html>
"""


def _section(n: int, section: Section) -> str:
    title = f'<h2 id="s{n}">{_text(section.title)}</h2>\n'
    if not section.parts:
        return f'<section class="nothing">{title}<p>{_text(section.nothing)}</p></section>\n'
    files = ", ".join(f'<a href="{_text(name)}.csv">{_text(name)}.csv</a>' for name in section.files)
    below = f'<p class="files">Numbers: {files}</p>' if files else ""
    return f"<section>{title}{''.join(map(_part, section.parts))}{below}</section>\n"


def _part(part: Figure | Listing) -> str:
    look = f'<p class="look">{_text(part.look_for)}</p>\n' if part.look_for else ""
    if isinstance(part, Listing):
        return f'<div class="scroll">{_table(part)}</div>\n{look}'
    figure = f"<figure>{part.svg}</figure>\n{look}"
    return f"<details><summary>{_text(part.title)}</summary>{figure}</details>\n" if part.title else figure


def _table(listing: Listing) -> str:
    columns = [*zip(*listing.rows, strict=True)]
    numeric = [n > 0 and all(map(_NUMBER.fullmatch, column)) for n, column in enumerate(columns)]
    kinds = [' class="n"' if is_number else "" for is_number in numeric] or [""] * len(listing.head)

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(f"<{tag}{kind}>{_text(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    head, rows = cells("th", listing.head), "".join(f"<tr>{cells('td', row)}</tr>" for row in listing.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
