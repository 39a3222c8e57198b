"""Equal pictures and pictures that look alike in two parts of a data set, found by hashes of the decoded pixels.

A picture that is trained on says nothing about how well a model generalises: equal ones are left out of validation and
test, ones that look alike (a copy saved again or brightened, or a frame of the same scene) are counted and named.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from studies.images.parallel_decode import cores

COMPARED = (("test", "train"), ("validation", "train"), ("validation", "test"))
"""The pairs of parts that are compared; of equal pictures the first part loses its own."""

EXAMPLES = 5

_ROWS, _COLUMNS = 8, 9
_LEVELS = 1.0
"""Neighbours that differ by less, in grey levels of 0 to 255, count as equal: recompression changes as much."""
_FEWEST_DIFFERENCES = 24
"""Of the 64 neighbours, so many must differ for a hash to say something; a sky or a blank page has fewer."""
_FEWEST_OF_A_KIND = 8
_SMALLEST_CORRELATION = 0.95
"""Copies that were saved again or recoloured have more, two chest X-rays of equal hash 0.7 to 0.92."""
_PAIRS_AT_ONCE = 64
_BLOCK_BYTES = 2**22
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


class ImageHashes(NamedTuple):
    """What images are compared by.

    Args:
        pictures: (n,) uint64 hash of all pixels: equal for equal pictures.
        looks: (n,) uint64 difference hash, equal for most pictures that look alike; 0 where it says nothing.
    """

    exact: np.ndarray
    perceptual: np.ndarray


@dataclass(frozen=True)
class SplitOverlap:
    """What two parts have in common.

    Args:
        part: The part that must not hold images of the other.
        other: The other part.
        equal: Images of `part` that equal one of `other`; they were left out.
        alike: Further images of `part` that look like one of `other`; they were kept.
        examples: The first few, equal ones first: an image of `part` and one of `other`, by path, or by part and index.
    """

    part: str
    other: str
    equal: int
    alike: int
    examples: tuple[tuple[str, str], ...] = ()

    def sentence(self) -> str:
        """What was found and what became of it."""
        images = f"{self.equal or self.alike:,} {self.part} image{'' if (self.equal or self.alike) == 1 else 's'}"
        if not self.equal:
            return f"{images} {_verb(self.alike, 'look')} like one of {self.other}: kept."
        more = f"; {self.alike:,} more {_verb(self.alike, 'look')} alike" if self.alike else ""
        return (
            f"{images} {_verb(self.equal, 'stand')} in {self.other} as well: left out of the {self.part} images{more}."
        )


@dataclass(frozen=True)
class Duplicates:
    """The pictures that stand in more than one part.

    Args:
        pairs: Those pairs of parts that have something in common.
        searched: Whether anybody looked.
    """

    pairs: tuple[SplitOverlap, ...] = ()
    searched: bool = True

    def removed(self, part: str) -> int:
        """How many images were left out of a part."""
        return sum(pair.equal for pair in self.pairs if pair.part == part)

    def notices(self) -> tuple[str, ...]:
        """What the user should know, one sentence each."""
        if not self.searched:
            return ("Equal pictures in train, validation and test were not looked for: the images are not cached.",)
        return tuple(pair.sentence() for pair in self.pairs)


def hash_images(images: np.ndarray) -> ImageHashes:
    """Hash images on all cores.

    Args:
        images: (n, height, width, channels) uint8; may be a memory map, which is read in blocks.
    """
    step = max(1, _BLOCK_BYTES // max(1, images[:1].nbytes))
    down = _means(images.shape[1], _ROWS)
    across = _means(images.shape[2], _COLUMNS).T

    def hashed(start: int) -> tuple[bytes, np.ndarray]:
        block = np.ascontiguousarray(images[start : start + step])
        pictures = b"".join(hashlib.blake2b(image, digest_size=8).digest() for image in block)
        return pictures, _looks(block, down, across)

    with ThreadPoolExecutor(cores()) as pool:
        blocks = list(pool.map(hashed, range(0, len(images), step)))
    pictures = np.frombuffer(b"".join(block for block, _ in blocks), np.uint64)
    return ImageHashes(pictures, np.concatenate([np.empty(0, np.uint64), *(looks for _, looks in blocks)]))


def find_duplicates(pictures: Mapping[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """Which images are to be left out of a part.

    Args:
        pictures: The hashes of each part there is.

    Returns:
        By part and other part, (n, 2) positions: of the image in the part, and of its equal in the other.
    """
    stay = {part: np.ones(len(hashes), bool) for part, hashes in pictures.items()}
    found = {}
    for part, other in COMPARED:
        if part in pictures and other in pictures:
            pairs = _matches(pictures[part], pictures[other], stay[part], stay[other])
            stay[part][pairs[:, 0]] = False
            found[part, other] = pairs
    return found


def summarize_overlap(
    images: Mapping[str, Any],
    looks: Mapping[str, np.ndarray],
    name: Callable[[str, int], str],
    left_out: Mapping[tuple[str, str], Sequence[tuple[str, str]]],
) -> Duplicates:
    """What the final parts have in common.

    Args:
        images: The images of each part, of which only those with equal hashes are read.
        looks: The difference hashes of each part.
        name: The name of an image by its part and position.
        left_out: By part and other part, the names of the images that were left out and of their equals.
    """
    pairs = []
    for part, other in COMPARED:
        hashed = _matches(looks[part], looks[other], looks[part] != 0, looks[other] != 0)
        alike = hashed[_correlated(images[part], images[other], hashed)]
        names = list(left_out.get((part, other), ()))
        shown = [*names[:EXAMPLES], *((name(part, a), name(other, b)) for a, b in alike[:EXAMPLES].tolist())][:EXAMPLES]
        pairs.append(SplitOverlap(part, other, len(names), len(alike), tuple(shown)))
    return Duplicates(tuple(pair for pair in pairs if pair.equal or pair.alike))


def _matches(a: np.ndarray, b: np.ndarray, of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
    """(n, 2) positions of equal hashes in two arrays, among those marked: each of the first, and one of the second."""
    at_a, at_b = np.flatnonzero(of_a), np.flatnonzero(of_b)
    values, first = np.unique(b[at_b], return_index=True)
    if not len(values):
        return np.empty((0, 2), np.int64)
    place = np.searchsorted(values, a[at_a]).clip(max=len(values) - 1)
    hit = values[place] == a[at_a]
    return np.stack([at_a[hit], at_b[first[place[hit]]]], axis=1)


def _correlated(a: Any, b: Any, pairs: np.ndarray) -> np.ndarray:
    """(n,) whether the two pictures of each pair have nearly the same grey values, up to brightness and contrast."""
    found = [np.empty(0, bool)]
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        of_a, of_b = pairs[start : start + _PAIRS_AT_ONCE].T
        x, y = (_standard(_grey(images[rows])) for images, rows in ((a, of_a), (b, of_b)))
        found.append((x * y).mean(axis=1) >= _SMALLEST_CORRELATION)
    return np.concatenate(found)


def _standard(grey: np.ndarray) -> np.ndarray:
    flat = grey.reshape(len(grey), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    scaled: np.ndarray = flat / np.maximum(flat.std(axis=1, keepdims=True), 1e-6)
    return scaled


def _grey(images: np.ndarray) -> np.ndarray:
    """(n, height, width) float32."""
    grey: np.ndarray = images[..., 0].astype(np.float32) if images.shape[3] == 1 else images @ _GREY
    return grey


def _looks(block: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(n,) uint64: a bit for each of 8 x 8 cells that is darker than its right neighbour (dHash, Krawetz 2013)."""
    steps = np.diff(down @ _grey(block) @ across, axis=2).reshape(len(block), -1)
    up, low = steps > _LEVELS, steps < -_LEVELS
    hashes = np.packbits(up, axis=1).view(np.uint64)[:, 0]
    ups, lows = up.sum(axis=1), low.sum(axis=1)
    speaks = (ups + lows >= _FEWEST_DIFFERENCES) & (ups >= _FEWEST_OF_A_KIND) & (lows >= _FEWEST_OF_A_KIND)
    return np.where(speaks, hashes, np.uint64(0))


def _means(pixels: int, cells: int) -> np.ndarray:
    """(cells, pixels) weights: each cell is the mean of the pixels that it covers, also in part."""
    edges = np.arange(cells + 1) * pixels / cells
    starts = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weights: np.ndarray = (overlap.clip(min=0) * cells / pixels).astype(np.float32)
    return weights


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb
