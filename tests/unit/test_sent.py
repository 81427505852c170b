"""What a producer refuses beyond the contract: a document, a table and a terminal can show whatever was sent."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import Poison
from streams.producers import facts, limits
from streams.producers.limits import check_sent
from streams.producers.values import InvalidFact
from streams.producers.wire import encoded
from tests.unit.facts import fact, label

NOW = 1_777_888_800_000
CONTROLS = [chr(n) for n in (0, 7, 8, 11, 12, 27, 31, 127, 128, 155, 159)]
DIRECTIONS = ["\u202a", "\u202e", "\u2066", "\u2069"]
BREAKS = ["\t", "\n", "\r"]


def refused(event: dict[str, Any]) -> str:
    with pytest.raises(Poison) as caught:
        check_sent(event)
    assert caught.value.reason == "invalid"
    return caught.value.detail


@pytest.mark.parametrize("sign", [*CONTROLS, *DIRECTIONS, *BREAKS, "\u2028", "\u2029", "\ufffe"])
def test_no_name_has_a_control_character(sign: str) -> None:
    for event in (
        label("ann" + sign, "wren"),
        label("anna", "wr" + sign + "en"),
        label("anna", "wren", source_ref=sign),
        label("anna", "wren", attributes={sign: "1"}),
        fact("items", "import", media=sign),
    ):
        assert f"U+{ord(sign):04X}" in refused(event)


@pytest.mark.parametrize("sign", [*CONTROLS, *DIRECTIONS])
def test_no_text_has_what_a_terminal_obeys(sign: str) -> None:
    assert "text" in refused(fact("comments", "anna", text=f"why{sign}?"))


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines\tand a tab\r\n",
        "\u05e9\u05dc\u05d5\u05dd",
        "e\u0301",
        "\U0001f99c\u200d\U0001f4bb",
        r"\u0007 as it is written",
    ],
)
def test_what_people_write_may_be_sent(text: str) -> None:
    check_sent(fact("comments", "anna", text=text))
    check_sent(label("anna", "wren", attributes={"note": text}))


def test_half_of_a_surrogate_pair_is_named() -> None:
    event = {**label("anna", "wren"), "source_ref": "a\ud800"}
    assert "'source_ref' has half of a surrogate pair, U+D800, at 1" in refused(event)
    topic, good = facts.label("p", "i", "anna", "wren", occurred_at=NOW)
    with pytest.raises(InvalidFact):
        encoded(facts.Fact(topic, {**good, "source_ref": "a\ud800"}), NOW)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_feature_is_infinite(number: float) -> None:
    assert "features[1]" in refused(fact("items", "import", features=[0.5, number]))


@pytest.mark.parametrize(
    ("name", "fields", "most"),
    [
        ("comments", lambda n: {"text": "x" * n}, limits.MAX_TEXTS["text"]),
        ("comments", lambda n: {"anchor": "x" * n}, limits.MAX_TEXTS["anchor"]),
        ("flags", lambda n: {"attributes": {"a": "x" * n}}, limits.MAX_TEXTS["attributes"]),
        ("flags", lambda n: {"source_ref": "x" * n}, limits.MAX_NAME),
        ("flags", lambda n: {"attributes": {"a" * n: "x"}}, limits.MAX_NAME),
        ("flags", lambda n: {"attributes": {str(k): "" for k in range(n)}}, limits.MAX_PARTS_OF["attributes"]),
        ("items", lambda n: {"features": [0.5] * n}, limits.MAX_PARTS_OF["features"]),
        ("predictions", lambda n: {"probabilities": {str(k): 0.0 for k in range(n)}}, limits.MAX_PARTS),
    ],
)
def test_a_limit_is_reached_and_not_passed(name: str, fields: Any, most: int) -> None:
    check_sent(fact(name, "anna", **fields(most)))
    assert f"at most {most:,}" in refused(fact(name, "anna", **fields(most + 1)))


@given(st.text(max_size=50), st.dictionaries(st.text(max_size=5), st.text(max_size=50), max_size=5))
def test_what_may_be_sent_is_what_a_search_of_every_part_allows(name: str, attributes: dict[str, str]) -> None:
    event = {**label("anna", "wren"), "source_ref": name, "attributes": attributes}
    bad = limits._BAD_NAME.search(name + "".join(attributes)) or limits._BAD_TEXT.search("".join(attributes.values()))
    if bad:
        refused(event)
    else:
        check_sent(event)


def test_an_import_names_the_line_and_goes_on() -> None:
    topic, event = facts.label("p", "i", "anna", "wr\x1b[31men", occurred_at=NOW)
    with pytest.raises(
        InvalidFact, match=r"labels: 'value.choice' has a control character, U\+001B, at 2: leave it out"
    ):
        encoded(facts.Fact(topic, event), NOW)


def test_the_page_has_the_limits() -> None:
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
    sent = page.partition("## Of what the SDK")[2]
    numbers = {int(found.replace(",", "")) for found in re.findall(r"\| ([\d,]+)", sent)}
    assert numbers == {
        limits.MAX_NAME,
        limits.MAX_PARTS,
        *limits.MAX_TEXTS.values(),
        *limits.MAX_PARTS_OF.values(),
    }
