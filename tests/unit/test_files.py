"""Names of folders from what facts say."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from streams.files import folder_name
from workers.artifact import model_folder

NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=500),
    st.sampled_from([".", "..", "../..", "/etc", ".hidden", "a/../b", "a\0b", "x" * 500, "\u00e9" * 200, "%2E%2E"]),
)


@given(NAMES)
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    home = Path("home")
    folder = model_folder(home, name)
    assert folder.parent == home
    assert not folder.name.startswith(".")
    assert len(folder.name.encode()) <= 150
    assert "/" not in folder.name
    assert "\0" not in folder.name


@given(NAMES, NAMES)
def test_two_names_are_two_folders(one: str, other: str) -> None:
    assert (folder_name(one) == folder_name(other)) == (one == other)


def test_long_names_that_begin_alike_are_two_folders() -> None:
    assert folder_name("x" * 200 + "a") != folder_name("x" * 200 + "b")


def test_a_usual_name_stays_as_it_is() -> None:
    assert folder_name("lgbm-2026.11_a~1") == "lgbm-2026.11_a~1"
