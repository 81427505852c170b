"""What a model sees of an item: numbers, words and categories as one matrix.

Nothing here looks at a label, so the same matrix serves every fold.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from streams.quality.labels import Floats
from workers.dataset import Item

MAX_CATEGORIES = 255
"""Different texts of a column above which it is no category: LightGBM's bins."""


class Refused(Exception):
    """No model can be made of what is there; the text says why and what to do."""


@dataclass(slots=True)
class Files:
    """Files of numbers below one folder, each read once.

    Args:
        folder: Where they lie.
    """

    folder: Path
    _arrays: dict[str, Any] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)

    def hashes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 of files, hexadecimal, by name, sorted.

        Raises:
            Refused: one is not there, or not below the folder.
        """
        for name in {*names} - self._hashes.keys():
            with self._path(name).open("rb") as file:
                self._hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return {name: self._hashes[name] for name in sorted(names)}

    def _path(self, name: str) -> Path:
        try:
            path = (self.folder / name).resolve()
            if not path.is_relative_to(self.folder.resolve()):  # also by a link
                raise Refused(f"features_file {name!r} leads out of the folder of files: name a file below it")
            found = path.is_file()
        except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL character, a circle of links
            raise Refused(f"features_file {name[:200]!r} is no name of a file ({error}): give one") from None
        if not found:
            raise Refused(f"features_file {name!r} is not in {self.folder}: put it there")
        return path

    def rows(self, name: str) -> Any:
        """Return the rows of a file as numbers, shape (N, D); what has more dimensions is laid out in one.

        Raises:
            Refused: it is not there, not below the folder, or holds no numbers.
        """
        if name not in self._arrays:
            path = self._path(name)
            try:
                self._arrays[name] = _read(path)
            except (ValueError, OSError, TypeError, AttributeError) as error:  # the last: an archive of arrays
                raise Refused(f"features_file {name!r} holds no table of numbers: {error}") from None
        return self._arrays[name]


def _read(path: Path) -> Any:
    if path.suffix == ".parquet":
        from pyarrow import parquet  # only who has such files waits for it

        table = parquet.read_table(path)
        columns = [table[name].to_numpy() for name in table.column_names]
        return np.column_stack([np.array([*column], dtype=float).reshape(len(table), -1) for column in columns])
    array = np.load(path, mmap_mode="r", allow_pickle=False)  # a few rows of a large file cost no memory
    if array.dtype.kind not in "biuf":
        raise ValueError(f"it holds {array.dtype}")
    return array.reshape(len(array), -1)


@dataclass(slots=True)
class Featuriser:
    """Turns items into a matrix; `fit` learns the scales, the words and the categories.

    Args:
        columns: Attributes that are features too.
    """

    columns: tuple[str, ...] = ()
    _width: int = 0
    _scaler: Any = None
    _words: Any = None
    _categories: dict[str, dict[str, int]] = field(default_factory=dict)
    _numbers: tuple[str, ...] = ()

    def fit(self, items: Sequence[Item], files: Files) -> None:
        """Learn what there is to see of items.

        Raises:
            Refused: the items have neither numbers, text nor columns, or vectors of different lengths.
        """
        vectors = [_vector(item, files) for item in items]
        widths = {len(vector) for vector in vectors if len(vector)}
        if len(widths) > 1:
            raise Refused(f"the items' features have different lengths ({min(widths)} to {max(widths)}): give one")
        self._width = widths.pop() if widths else 0
        texts = [item.text for item in items if item.text]
        self._learn_columns(items)
        if not (self._width or texts or self._numbers or self._categories):
            raise Refused("the items have neither features nor text: publish some (`labelloop import items`)")
        if self._width or self._numbers:
            self._scaler = StandardScaler().fit(self._dense(items, vectors))
        if texts:
            words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
            try:
                self._words = words.fit(texts)
            except ValueError:  # no word occurs twice
                self._words = (
                    TfidfVectorizer().fit(texts) if any(any(map(str.isalnum, text)) for text in texts) else None
                )

    def _learn_columns(self, items: Sequence[Item]) -> None:
        found = [dict(item.attributes) for item in items]
        numbers = []
        for name in self.columns:
            counts = Counter(one[name] for one in found if name in one)
            if counts and all(np.isfinite(_number(value)) for value in counts):
                numbers.append(name)
            elif counts:
                common = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_CATEGORIES]
                self._categories[name] = {value: n for n, value in enumerate(common)}
        self._numbers = tuple(numbers)

    @property
    def categories(self) -> list[int]:
        """Number of categories of each column of codes; these are the matrix's first columns."""
        return [len(codes) for codes in self._categories.values()]

    def trouble(self, item: Item, files: Files) -> str | None:
        """Return why an item is none that `matrix` can take; None: it is one."""
        try:
            _check_width(_vector(item, files), self._width)
        except Refused as why:
            return str(why)
        return None

    def matrix(self, items: Sequence[Item], files: Files) -> Any:
        """Return items as a matrix, one a row: an array, or sparse where there are texts.

        Columns: codes of the categories (-1: none that was known), standardised numbers, TF-IDF of one and two words.

        Raises:
            Refused: a file is missing, or a vector has another length.
        """
        vectors = [_vector(item, files) for item in items]
        for vector in vectors:
            _check_width(vector, self._width)
        attributes = [dict(item.attributes) for item in items]
        codes = [[codes.get(one.get(name, ""), -1) for one in attributes] for name, codes in self._categories.items()]
        parts: list[Any] = [np.array(codes, dtype=float).T] if codes else []
        if self._scaler is not None:
            parts.append(np.nan_to_num(self._scaler.transform(self._dense(items, vectors))))  # missing: the mean
        if self._words is None:
            return np.hstack(parts)
        words = self._words.transform([item.text or "" for item in items])
        return sparse.hstack([*parts, words]).tocsr() if parts else words.tocsr()

    def _dense(self, items: Sequence[Item], vectors: Sequence[Floats]) -> Floats:
        missing = np.full(self._width, np.nan)
        rows = np.array([vector if len(vector) else missing for vector in vectors]).reshape(len(items), self._width)
        attributes = [dict(item.attributes) for item in items]
        numbers = [[_number(one.get(name, "")) for one in attributes] for name in self._numbers]
        return np.column_stack([rows, *map(np.array, numbers)]) if numbers else rows


def _vector(item: Item, files: Files) -> Floats:
    if item.features:
        vector = np.array(item.features)
    elif item.features_file is not None:
        rows = files.rows(item.features_file)
        row = item.features_row if item.features_row is not None else -1
        if not 0 <= row < len(rows):
            raise Refused(f"item {item.item_id!r} is in row {row} of {item.features_file!r}, which has {len(rows):,}")
        vector = np.asarray(rows[row], dtype=float)
    else:
        return np.zeros(0)
    if not np.isfinite(vector).all():
        raise Refused(f"the features of item {item.item_id!r} hold a number that is not finite")
    return vector


def _check_width(vector: Floats, width: int) -> None:
    if len(vector) not in (0, width):
        raise Refused(f"an item's features have length {len(vector)}, not the {width} that were learnt")


def _number(text: str) -> float:
    """Return the number that a text is; of another text nan, which is taken for the mean."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def spread(matrix: Any, categories: Sequence[int]) -> Any:
    """Return a matrix with a column of 0 and 1 for each category instead of columns of codes.

    Codes have no order: whatever adds or measures distances must not see them.

    Args:
        matrix: Items, one a row; its first columns are codes.
        categories: Number of categories of each of these.
    """
    if not categories:
        return matrix
    codes, rest = matrix[:, : len(categories)], matrix[:, len(categories) :]
    codes = codes.toarray() if sparse.issparse(codes) else codes
    marks = [codes[:, [n]] == np.arange(number) for n, number in enumerate(categories)]
    if sparse.issparse(rest):
        return sparse.hstack([np.hstack(marks).astype(float), rest]).tocsr()
    return np.hstack([*marks, rest])
