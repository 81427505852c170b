"""Numbers, words, categories and files of numbers become one matrix, and nothing outside the folder is read."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from workers.dataset import Item, files_of
from workers.features import Featuriser, Files, Refused, spread

NO_FILES = Files(Path("none"))


def test_an_array_of_more_dimensions_is_laid_out_by_row(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
    np.save(tmp_path / "a.npy", array)
    files = Files(tmp_path)
    assert files.rows("a.npy")[1].tolist() == array[1].ravel().tolist()
    assert files.hashes(["a.npy"]) == {"a.npy": hashlib.sha256((tmp_path / "a.npy").read_bytes()).hexdigest()}


def test_columns_and_lists_of_parquet_are_laid_out_by_row(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"x": [1, 2], "v": [[0.5, 1.5], [2.5, 3.5]]}), tmp_path / "a.parquet")
    assert Files(tmp_path).rows("a.parquet").tolist() == [[1, 0.5, 1.5], [2, 2.5, 3.5]]


@pytest.mark.parametrize("name", ["../secret.npy", "/etc/passwd", "link.npy", "sub/../../secret.npy"])
def test_no_file_outside_the_folder_is_read(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "secret.npy", np.ones((2, 2)))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link.npy").symlink_to(tmp_path / "secret.npy")
    with pytest.raises(Refused, match="leads out of the folder"):
        Files(tmp_path / "data").rows(name)


@pytest.mark.parametrize("name", ["a\0.npy", "x" * 5000, "circle.npy", "sub\ud800.npy"])
def test_what_is_no_name_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "circle.npy").symlink_to(tmp_path / "circle.npy")
    with pytest.raises(Refused, match=r"is no name of a file|is not in"):
        Files(tmp_path).rows(name)


def test_what_is_no_table_of_numbers_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "words.npy", np.array(["a"]))
    np.savez(tmp_path / "many.npz", a=np.ones(2))
    parquet.write_table(pa.table({"v": [[1.0], [2.0, 3.0]]}), tmp_path / "ragged.parquet")
    (tmp_path / "text.npy").write_text("no array")
    for name in ("objects.npy", "words.npy", "many.npz", "ragged.parquet", "text.npy"):
        with pytest.raises(Refused, match="no table of numbers"):
            Files(tmp_path).rows(name)
    with pytest.raises(Refused, match="is not in"):
        Files(tmp_path).rows("absent.npy")


def test_a_row_that_is_not_there_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    for row in (2, -1, None):
        with pytest.raises(Refused, match="which has 2"):
            Featuriser().fit([Item("i", features_file="a.npy", features_row=row)], Files(tmp_path))


def test_hashes_are_of_the_files_that_the_items_refer_to(tmp_path: Path) -> None:
    inline = Item("v", features=(1.0,), features_file="b.npy", features_row=0)
    assert files_of([Item("i", features_file="a.npy", features_row=0), inline, Item("t", text="a word")]) == ["a.npy"]
    home = tmp_path / "files"
    home.mkdir()
    (home / "a.npy").write_bytes(b"abc")
    (tmp_path / "secret").write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert Files(home).hashes(["a.npy"]) == {"a.npy": abc}
    with pytest.raises(Refused, match="leads out"):
        Files(home).hashes(["../secret"])
    with pytest.raises(Refused, match="is not in"):
        Files(home).hashes(["b.npy"])


def test_columns_are_numbers_else_categories_and_what_is_unknown_is_no_error() -> None:
    items = [
        Item(str(n), text="a word", attributes=(("kind", kind), ("size", size)))
        for n, (kind, size) in enumerate([("cat", "1"), ("dog", "2"), ("cat", "3")])
    ]
    featuriser = Featuriser(("kind", "size", "absent"))
    featuriser.fit(items, NO_FILES)
    new = Item("new", attributes=(("kind", "cow"), ("size", "large")))
    matrix = featuriser.matrix([*items, new], NO_FILES).toarray()
    assert featuriser.categories == [2]
    assert matrix[:, 0].tolist() == [0, 1, 0, -1]  # the commonest is 0, none that is known -1
    assert matrix[:, 1] == pytest.approx([-1.2247, 0, 1.2247, 0], abs=1e-4)  # a text is no size: the mean
    assert spread(matrix, [2])[:, :2].tolist() == [[1, 0], [0, 1], [1, 0], [0, 0]]


def test_an_item_without_numbers_is_the_mean_and_another_length_is_refused() -> None:
    featuriser = Featuriser()
    featuriser.fit([Item("a", features=(1.0, 5.0)), Item("b", features=(3.0, 7.0)), Item("c")], NO_FILES)
    assert featuriser.matrix([Item("d")], NO_FILES).tolist() == [[0, 0]]
    with pytest.raises(Refused, match="length 1, not the 2"):
        featuriser.matrix([Item("e", features=(1.0,))], NO_FILES)


def test_what_cannot_be_learnt_from_is_refused() -> None:
    with pytest.raises(Refused, match="neither features nor text"):
        Featuriser().fit([Item("a"), Item("b")], NO_FILES)
    with pytest.raises(Refused, match="different lengths"):
        Featuriser().fit([Item("a", features=(1.0,)), Item("b", features=(1.0, 2.0))], NO_FILES)
    with pytest.raises(Refused, match="not finite"):
        Featuriser().fit([Item("a", features=(float("nan"),))], NO_FILES)
