"""Tracks: things through a video, given at keyframes and linear between them.

A track is where its keyframes put it, from the first to the last. A keyframe that is not visible hides it from there to
the next one.

Sources: E. Ristani et al., Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking (2016), IDF1;
L. Yang et al., Video Instance Segmentation (2019), IoU of a track.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from streams.quality.limits import MAX_FRAMES, spanned
from streams.quality.matching import THRESHOLD, assign, f1
from streams.quality.regions import Floats, Region, areas, edges, iou

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Where a track is visible.

    Args:
        frames: Frame numbers, rising, shape (n,).
        boxes: Left, top, right and bottom edge in each of them, fractions, shape (n, 4).
    """

    frames: Ints
    boxes: Floats


class Frames(NamedTuple):
    """Boxes of two annotators, matched frame by frame, whatever tracks they belong to.

    Args:
        matched: Pairs.
        total_iou: Sum of their IoU.
        ones: Visible boxes of the first.
        others: Visible boxes of the second.
    """

    matched: int
    total_iou: float
    ones: int
    others: int

    @property
    def f1(self) -> float:
        """F1 over all frames; 1 if neither has a box."""
        return f1(self.matched, self.ones, self.others)


def paths(tracks: Sequence[Region]) -> list[Path]:
    """Return the boxes of tracks, interpolated.

    Raises:
        ValueError: they span more than `MAX_FRAMES`.
    """
    total = sum(map(spanned, tracks))
    if total > MAX_FRAMES:
        raise ValueError(f"tracks of {total:,} frames: give at most {MAX_FRAMES:,}")
    return [_path(track) for track in tracks]


def _path(track: Region) -> Path:
    keyframes = track["frames"]
    keys = np.array([keyframe["frame"] for keyframe in keyframes], dtype=np.int64)
    visible = np.array([keyframe.get("visible", True) for keyframe in keyframes], dtype=bool)
    frames = np.arange(keys[0], keys[-1] + 1)
    frames = frames[visible[np.searchsorted(keys, frames, side="right") - 1]]
    # from the first keyframe on: so large a frame number as to lose digits would else move the box
    boxes = [np.interp(frames - keys[0], keys - keys[0], edge) for edge in edges(keyframes).T]
    return Path(frames, np.stack(boxes, axis=-1))


def track_ious(ones: Sequence[Region], others: Sequence[Region]) -> Floats:
    """Return the IoU of tracks, their intersection in all frames over their union in all frames.

    Shape (len(ones), len(others)). Two tracks that are never visible have IoU 1.

    Raises:
        ValueError: one side spans more than `MAX_FRAMES`.
    """
    first, second = paths(ones), paths(others)
    common = np.zeros((len(first), len(second)))
    equal = np.zeros_like(common, dtype=bool)
    for i, j in _near(first, second):
        one, other = first[i], second[j]
        frames, here, there = _shared(one, other)
        common[i, j] = areas(here, there)[0].sum()
        equal[i, j] = len(one.frames) == len(other.frames) == len(frames) and bool((here == there).all())
    own, its = (np.array([_volume(path) for path in side]) for side in (first, second))
    return iou(common, own[:, None] + its[None] - common, equal)


def idf1(ones: Sequence[Region], others: Sequence[Region]) -> float:
    """Return IDF1, which a change of identity in the middle of a video lowers; 1 if neither side is ever visible.

    IDF1 = 2 IDTP / (2 IDTP + IDFP + IDFN). IDTP is the number of frames in which a track and the one it is assigned to
    overlap by `THRESHOLD`; the assignment is one-to-one for the whole video, of tracks of one label, and makes IDTP as
    large as possible.

    Raises:
        ValueError: one side spans more than `MAX_FRAMES`.
    """
    first, second = paths(ones), paths(others)
    frames = np.zeros((len(first), len(second)))
    for i, j, _, ious in _pairs(ones, first, others, second):
        frames[i, j] = len(ious)
    identity = linear_sum_assignment(frames, maximize=True)
    return f1(int(frames[identity].sum()), _visible(first), _visible(second))


def by_frame(ones: Sequence[Region], others: Sequence[Region]) -> Frames:
    """Match the boxes of each frame one-to-one, those of one label whose IoU is at least `THRESHOLD`.

    Raises:
        ValueError: one side spans more than `MAX_FRAMES`.
    """
    first, second = paths(ones), paths(others)
    found: defaultdict[int, dict[tuple[int, int], float]] = defaultdict(dict)
    for i, j, frames, ious in _pairs(ones, first, others, second):
        for frame, similarity in zip(frames.tolist(), ious.tolist(), strict=True):
            found[frame][i, j] = similarity
    similarities = [similarity for pairs in found.values() for similarity in _matched(pairs)]
    return Frames(len(similarities), float(np.sum(similarities)), _visible(first), _visible(second))


def _matched(pairs: dict[tuple[int, int], float]) -> list[float]:
    """Return the similarities of the best one-to-one matching of a frame."""
    if len(pairs) == 1:
        return [*pairs.values()]
    rows, columns = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    similarity = np.array([[pairs.get((i, j), 0.0) for j in columns] for i in rows])
    return [pair.similarity for pair in assign(similarity, similarity > 0)]


def _pairs(
    ones: Sequence[Region], first: Sequence[Path], others: Sequence[Region], second: Sequence[Path]
) -> list[tuple[int, int, Ints, Floats]]:
    """Return pairs of tracks of one label with the frames in which they overlap by the threshold, and their IoU."""
    found = []
    for i, j in _near(first, second):
        if ones[i]["label"] == others[j]["label"]:
            frames, here, there = _shared(first[i], second[j])
            ious = iou(*areas(here, there), (here == there).all(axis=-1))
            enough = ious >= THRESHOLD
            found.append((i, j, frames[enough], ious[enough]))
    return found


def _near(first: Sequence[Path], second: Sequence[Path]) -> list[tuple[int, int]]:
    """Return the pairs of tracks that are near at some time, or both never visible: most of a video's never meet."""
    ones, others = _bounds(first)[:, None], _bounds(second)[None]
    near = (ones[..., :3] <= others[..., 3:]).all(axis=-1) & (others[..., :3] <= ones[..., 3:]).all(axis=-1)
    unseen, its_unseen = (np.array([not len(path.frames) for path in side], dtype=bool) for side in (first, second))
    i, j = np.nonzero(near | (unseen[:, None] & its_unseen[None]))
    return [*zip(i.tolist(), j.tolist(), strict=True)]


def _bounds(side: Sequence[Path]) -> Floats:
    """Return first frame, left and top edge, last frame, right and bottom edge of all that a path covers, (n, 6)."""
    nowhere = [np.inf] * 3 + [-np.inf] * 3
    found = [
        [path.frames[0], *path.boxes[:, :2].min(axis=0), path.frames[-1], *path.boxes[:, 2:].max(axis=0)]
        if len(path.frames)
        else nowhere
        for path in side
    ]
    return np.array(found, dtype=float).reshape(-1, 6)


def _shared(one: Path, other: Path) -> tuple[Ints, Floats, Floats]:
    """Return the frames in which both are visible, and where each is then."""
    if len(one.frames) == len(other.frames) and (one.frames == other.frames).all():
        return one.frames, one.boxes, other.boxes
    frames, here, there = np.intersect1d(one.frames, other.frames, assume_unique=True, return_indices=True)
    return frames, one.boxes[here], other.boxes[there]


def _volume(path: Path) -> float:
    return float((path.boxes[:, 2:] - path.boxes[:, :2]).prod(axis=-1).sum())


def _visible(side: Sequence[Path]) -> int:
    return sum(len(path.frames) for path in side)
