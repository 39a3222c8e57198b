"""Find duplicates and near-duplicates in two splits of a data set by hashes of the decoded pixels.

An image that is also trained on says nothing about how well a model generalises. Duplicates are left out of validation
and test. Near-duplicates (a recompressed or brightened copy, or another frame of the same scene) are counted and named.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from studies.images.parallel_decode import core_count

COMPARED_SPLITS = (("test", "train"), ("validation", "train"), ("validation", "test"))
"""Pairs of splits that are compared; duplicates are left out of the first one."""

MAX_EXAMPLES = 5

_ROWS, _COLUMNS = 8, 9
_MIN_STEP = 1.0
"""Neighbours that differ by less, in grey levels of 0 to 255, count as equal: recompression changes as much."""
_MIN_DIFFERENCES = 24
"""A hash is meaningful only if this many of the 64 neighbours differ; a sky or a blank page has fewer."""
_MIN_PER_DIRECTION = 8
_MIN_CORRELATION = 0.95
"""Recompressed or recoloured copies correlate more; two chest X-rays with equal hashes correlate by 0.7 to 0.92."""
_PAIRS_PER_BLOCK = 64
_BLOCK_BYTES = 2**22
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


class ImageHashes(NamedTuple):
    """Hashes by which images are compared.

    Args:
        exact: (n,) uint64 hash of all pixels, equal for duplicates.
        perceptual: (n,) uint64 difference hash, equal for most near-duplicates; 0 where it is not meaningful.
    """

    exact: np.ndarray
    perceptual: np.ndarray


@dataclass(frozen=True)
class SplitOverlap:
    """The duplicates and near-duplicates of two splits.

    Args:
        split: Split that must not contain images of the other one.
        other: The other split.
        duplicates: Number of images of `split` that duplicate one of `other`; they were left out.
        near_duplicates: Number of further images of `split` that nearly duplicate one of `other`; they were kept.
        examples: First few pairs, duplicates first: an image of `split` and one of `other`, by path or by array index.
    """

    split: str
    other: str
    duplicates: int
    near_duplicates: int
    examples: tuple[tuple[str, str], ...] = ()

    def notice(self) -> str:
        """Return what was found and what was done about it."""
        near = _count_images(self.near_duplicates, "near-duplicate", self.other)
        if not self.duplicates:
            return f"{self.split} has {near}; kept"
        more = f", and {near}, which are kept" if self.near_duplicates else ""
        return f"{self.split} had {_count_images(self.duplicates, 'duplicate', self.other)}, now left out{more}"


@dataclass(frozen=True)
class Duplicates:
    """All pairs of splits that have duplicates or near-duplicates in common."""

    pairs: tuple[SplitOverlap, ...] = ()

    def removed(self, split: str) -> int:
        """Return the number of images that were left out of a split."""
        return sum(pair.duplicates for pair in self.pairs if pair.split == split)

    def notices(self) -> tuple[str, ...]:
        """Return a notice for each pair."""
        return tuple(pair.notice() for pair in self.pairs)


def hash_images(images: np.ndarray) -> ImageHashes:
    """Hash images (n, height, width, channels) uint8 on all cores, in blocks, since they may be a memory map."""
    step = max(1, _BLOCK_BYTES // max(1, images[:1].nbytes))
    down = _averaging_weights(images.shape[1], _ROWS)
    across = _averaging_weights(images.shape[2], _COLUMNS).T

    def hash_block(start: int) -> tuple[bytes, np.ndarray]:
        block = np.ascontiguousarray(images[start : start + step])
        exact = b"".join(hashlib.blake2b(image, digest_size=8).digest() for image in block)
        return exact, _perceptual_hashes(block, down, across)

    with ThreadPoolExecutor(core_count()) as pool:
        blocks = list(pool.map(hash_block, range(0, len(images), step)))
    exact = np.frombuffer(b"".join(block for block, _ in blocks), np.uint64)
    return ImageHashes(exact, np.concatenate([np.empty(0, np.uint64), *(hashes for _, hashes in blocks)]))


def find_duplicates(hashes: Mapping[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """Find the images to leave out of each split.

    Args:
        hashes: Exact hashes of each split that exists.

    Returns:
        By split and other split, (n, 2) positions: of the image in the split, and of its duplicate in the other one.
    """
    kept = {split: np.ones(len(found), bool) for split, found in hashes.items()}
    duplicates = {}
    for split, other in COMPARED_SPLITS:
        if split in hashes and other in hashes:
            pairs = _match(hashes[split], hashes[other], kept[split], kept[other])
            kept[split][pairs[:, 0]] = False
            duplicates[split, other] = pairs
    return duplicates


def summarize_overlap(
    images: Mapping[str, Any],
    hashes: Mapping[str, np.ndarray],
    name: Callable[[str, int], str],
    left_out: Mapping[tuple[str, str], Sequence[tuple[str, str]]],
) -> Duplicates:
    """Summarize the duplicates and near-duplicates of the final splits.

    Args:
        images: Images of each split, of which only those with equal hashes are read.
        hashes: Perceptual hashes of each split.
        name: Function from a split and a position to the name of the image.
        left_out: By split and other split, the names of the images that were left out and of their duplicates.
    """
    pairs = []
    for split, other in COMPARED_SPLITS:
        matches = _match(hashes[split], hashes[other], hashes[split] != 0, hashes[other] != 0)
        near = matches[_are_correlated(images[split], images[other], matches)]
        names = list(left_out.get((split, other), ()))
        examples = [*names, *((name(split, a), name(other, b)) for a, b in near[:MAX_EXAMPLES].tolist())][:MAX_EXAMPLES]
        pairs.append(SplitOverlap(split, other, len(names), len(near), tuple(examples)))
    return Duplicates(tuple(pair for pair in pairs if pair.duplicates or pair.near_duplicates))


def _match(a: np.ndarray, b: np.ndarray, of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
    """Return (n, 2) positions of equal hashes in two arrays, among those marked: each of `a` with one of `b`."""
    at_a, at_b = np.flatnonzero(of_a), np.flatnonzero(of_b)
    values, first = np.unique(b[at_b], return_index=True)
    if not len(values):
        return np.empty((0, 2), np.int64)
    index = np.searchsorted(values, a[at_a]).clip(max=len(values) - 1)
    is_equal = values[index] == a[at_a]
    return np.stack([at_a[is_equal], at_b[first[index[is_equal]]]], axis=1)


def _are_correlated(a: Any, b: Any, pairs: np.ndarray) -> np.ndarray:
    """Return (n,) True if both images of a pair have nearly the same grey values, up to brightness and contrast."""
    found = [np.empty(0, bool)]
    for start in range(0, len(pairs), _PAIRS_PER_BLOCK):
        of_a, of_b = pairs[start : start + _PAIRS_PER_BLOCK].T
        x, y = (_standardize(_to_grey(images[rows])) for images, rows in ((a, of_a), (b, of_b)))
        found.append((x * y).mean(axis=1) >= _MIN_CORRELATION)
    return np.concatenate(found)


def _standardize(grey: np.ndarray) -> np.ndarray:
    flat = grey.reshape(len(grey), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    scaled: np.ndarray = flat / np.maximum(flat.std(axis=1, keepdims=True), 1e-6)
    return scaled


def _to_grey(images: np.ndarray) -> np.ndarray:
    """Return (n, height, width) float32."""
    grey: np.ndarray = images[..., 0].astype(np.float32) if images.shape[3] == 1 else images @ _GREY
    return grey


def _perceptual_hashes(block: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return (n,) uint64: a bit for each of 8 x 8 cells, darker than its right neighbour (dHash, Krawetz 2013)."""
    steps = np.diff(down @ _to_grey(block) @ across, axis=2).reshape(len(block), -1)
    rises, falls = steps > _MIN_STEP, steps < -_MIN_STEP
    hashes = np.packbits(rises, axis=1).view(np.uint64)[:, 0]
    rising, falling = rises.sum(axis=1), falls.sum(axis=1)
    is_meaningful = (rising + falling >= _MIN_DIFFERENCES) & (np.minimum(rising, falling) >= _MIN_PER_DIRECTION)
    return np.where(is_meaningful, hashes, np.uint64(0))


def _averaging_weights(pixels: int, cells: int) -> np.ndarray:
    """Return (cells, pixels) weights that make each cell the mean of the pixels it covers, some of them in part."""
    edges = np.arange(cells + 1) * pixels / cells
    starts = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weights: np.ndarray = (overlap.clip(min=0) * cells / pixels).astype(np.float32)
    return weights


def _count_images(count: int, kind: str, other: str) -> str:
    return f"{count:,} {kind}{'s' * (count != 1)} of {other} images"
