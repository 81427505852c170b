"""The short form: no input makes a decoder raise anything but what it documents."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.decoders import CORPUS, DECODERS, attempt, seeds

_KEPT = [(file.parent.name, file) for file in sorted(CORPUS.glob("*/*"))]
_SEEDS = {name: list(seeds(name)) for name in DECODERS}


@pytest.mark.parametrize(("name", "file"), _KEPT, ids=[f"{name}-{file.name}" for name, file in _KEPT])
def test_what_was_found_stays_mended(name: str, file: Path) -> None:
    attempt(name, file.read_bytes())


@pytest.mark.parametrize("name", DECODERS)
def test_no_seed_escapes(name: str) -> None:
    for data in _SEEDS[name]:
        attempt(name, data)


def _inputs(name: str) -> st.SearchStrategy[bytes]:
    """Arbitrary bytes, and good inputs with a part of them replaced."""
    if not _SEEDS[name]:
        return st.binary(max_size=300)
    cut = st.integers(0, 200)
    spoilt = st.builds(
        lambda seed, start, length, new: seed[:start] + new + seed[start + length :],
        st.sampled_from(_SEEDS[name]),
        cut,
        st.integers(0, 8),
        st.binary(max_size=8),
    )
    return st.binary(max_size=300) | spoilt


@pytest.mark.parametrize("name", DECODERS)
def test_no_input_escapes(name: str) -> None:
    @settings(max_examples=40, derandomize=True, deadline=None, database=None)
    @example(b"")
    @given(_inputs(name))
    def check(data: bytes) -> None:
        attempt(name, data)

    check()
