"""CSV that spreadsheets may open: formulas are guarded, and every text comes back as it was."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.cells import guarded, unguarded
from streams.producers.lines import read_csv
from streams.query.sql import write_csv

STARTS = st.sampled_from(["", "'", "''", "=", "+", "-", "@", "\t", "\r", "\n"])


@given(st.tuples(STARTS, STARTS, st.text()).map("".join))
def test_every_text_comes_back_and_none_begins_a_formula(text: str) -> None:
    written = guarded(text)
    assert unguarded(written) == text
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize(
    "text", ["=1+1", "-5", "'=1", "@anna", "wren", "'quoted'", "+", "a=b", "two\nlines", "a\r\nb", 'a,"b"']
)
def test_an_export_that_is_imported_says_the_same(text: str) -> None:
    out = io.StringIO()
    write_csv(["item_id", "label"], [["i1", text], [text, "wren"]], out)
    found = [cells for _, cells in read_csv(io.BytesIO(out.getvalue().encode()), ("item_id",))]
    assert found == [{"item_id": "i1", "label": text}, {"item_id": text, "label": "wren"}]


def test_a_column_is_no_formula_either() -> None:
    out = io.StringIO()
    write_csv(["=HYPERLINK(1)", "n"], [[-1, -2.5]], out)
    assert out.getvalue() == "'=HYPERLINK(1),n\n-1,-2.5\n"  # numbers stay numbers
