"""What a model sees of an item: numbers, words and categories as one matrix.

Nothing here looks at a label, so the same matrix serves every fold.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
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
        hashes: SHA-256 of each file that was read, hexadecimal, by name.
    """

    folder: Path
    hashes: dict[str, str] = field(default_factory=dict)
    _arrays: dict[str, Any] = field(default_factory=dict)

    def rows(self, name: str) -> Floats:
        """Return the rows of a file, shape (N, D); what has more dimensions is laid out in one.

        Raises:
            Refused: it is not there, not below the folder, or holds no numbers.
        """
        if name not in self._arrays:
            parts = PurePosixPath(name)
            if parts.is_absolute() or ".." in parts.parts:
                raise Refused(f"features_file {name!r} leads out of the folder of files: name a file below it")
            path = self.folder / parts
            try:
                self.hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
                self._arrays[name] = _read(path)
            except FileNotFoundError:
                raise Refused(f"features_file {name!r} is not in {self.folder}: put it there") from None
            except (ValueError, OSError, TypeError) as error:
                raise Refused(f"features_file {name!r} holds no table of numbers: {error}") from None
        found: Floats = self._arrays[name]
        return found


def _read(path: Path) -> Floats:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        table = parquet.read_table(path)
        columns = [np.asarray(table[name].to_numpy(), dtype=np.float64) for name in table.column_names]
        return np.column_stack(columns)
    array = np.load(path, allow_pickle=False)
    return np.asarray(array, dtype=np.float64).reshape(len(array), -1)


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
            values = sorted({one[name] for one in found if name in one})
            if values and all(_is_number(value) for value in values):
                numbers.append(name)
            elif values:
                self._categories[name] = {value: n for n, value in enumerate(values[:MAX_CATEGORIES])}
        self._numbers = tuple(numbers)

    @property
    def categorical(self) -> list[int]:
        """Columns of the matrix that are codes of categories; they come first."""
        return list(range(len(self._categories)))

    def matrix(self, items: Sequence[Item], files: Files) -> Any:
        """Return items as a matrix, one a row: an array, or sparse where there are texts.

        Columns: codes of the categories (-1: none that was known), standardised numbers, TF-IDF of one and two words.

        Raises:
            Refused: a file is missing, or a vector has another length.
        """
        vectors = [_vector(item, files) for item in items]
        if any(len(vector) not in (0, self._width) for vector in vectors):
            raise Refused(f"an item's features have another length than the {self._width} that were learnt")
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
        numbers = [[float(one.get(name, "nan")) for one in attributes] for name in self._numbers]
        return np.column_stack([rows, *map(np.array, numbers)]) if numbers else rows


def _vector(item: Item, files: Files) -> Floats:
    if item.features:
        vector = np.array(item.features)
    elif item.features_file is not None:
        rows = files.rows(item.features_file)
        row = item.features_row if item.features_row is not None else -1
        if not 0 <= row < len(rows):
            raise Refused(f"item {item.item_id!r} is in row {row} of {item.features_file!r}, which has {len(rows):,}")
        vector = rows[row]
    else:
        return np.zeros(0)
    if not np.isfinite(vector).all():
        raise Refused(f"the features of item {item.item_id!r} hold a number that is not finite")
    return vector


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def hashes_of(items: Sequence[Item], files: Files) -> Mapping[str, str]:
    """Return the SHA-256 of each file that items refer to, by name.

    Raises:
        Refused: one is not there.
    """
    for name in sorted({item.features_file for item in items if item.features_file is not None and not item.features}):
        files.rows(name)
    return dict(sorted(files.hashes.items()))
