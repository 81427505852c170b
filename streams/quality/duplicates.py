"""Keys that near-duplicate contents share: locality-sensitive hashing, so that one item alone tells its keys.

MinHash (A. Broder, On the resemblance and containment of documents, 1997) of a text's word pairs, or of rounded
features, in bands: contents whose sets have the Jaccard similarity J share a key with probability
1 - (1 - J^ROWS)^BANDS: .96 at J = .9, .79 at .8, .18 at .5, .02 at .3.
"""

import re
import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

BANDS = 3
ROWS = 4

MANTISSA = 8
"""Steps between a power of two and the next to which a feature is rounded: some 10 %."""

_WORDS = re.compile(r"\w+")

Hashes = NDArray[np.uint64]


def _constants(name: bytes) -> Hashes:
    digests = [blake2b(name + bytes([n]), digest_size=8).digest() for n in range(BANDS * ROWS)]
    return np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.uint64)[:, None]


_FACTORS, _SHIFTS = _constants(b"factor") | np.uint64(1), _constants(b"shift")


def near_keys(text: str | None, features: Sequence[float] | None) -> list[str]:
    """Return the keys of a content, sorted: of its text, else of its features; none where there is nothing.

    Case, width of letters, punctuation and spaces do not count. A feature is compared with the one at its own place,
    whatever the scales of the others.

    Args:
        text: Its text.
        features: Its features, any number of them.
    """
    if text:
        return _keys(_of_text(text))
    return _keys(_of_features(features)) if features else []


def _of_text(text: str) -> Hashes:
    words = _WORDS.findall(unicodedata.normalize("NFKC", text).casefold())
    pairs = [f"{a} {b}" for a, b in pairwise(words)] or words
    return np.array([crc32(pair.encode()) for pair in {*pairs}], dtype=np.uint64)


def _of_features(features: Sequence[float]) -> Hashes:
    mantissa, exponent = np.frexp(np.nan_to_num(np.asarray(features, dtype=float)))
    steps = (np.rint(mantissa * 2 * MANTISSA) + exponent * 4 * MANTISSA).astype(np.int64)
    places = np.arange(1, len(steps) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hashes: Hashes = places ^ steps.astype(np.uint64)
    return hashes


def _keys(hashes: Hashes) -> list[str]:
    if not len(hashes):
        return []
    least = (hashes * _FACTORS + _SHIFTS).min(axis=1).reshape(BANDS, ROWS)  # multiply-shift, modulo 2^64
    bands = [bytes([n]) + band.astype("<u8").tobytes() for n, band in enumerate(least)]
    return sorted(blake2b(band, digest_size=6).hexdigest() for band in bands)
