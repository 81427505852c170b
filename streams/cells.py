"""Cells of CSV files that a spreadsheet may open: no text of ours is to run there as a formula.

A text that begins like one gets an apostrophe in front, as spreadsheets have it, and loses it when it is read again;
so does one that begins so behind apostrophes, so that every text comes back as it was.
Source: OWASP, CSV Injection.
"""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def guarded(text: str) -> str:
    """Return a text as it is written."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def unguarded(cell: str) -> str:
    """Return the text that was written."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell
