"""What is asked of the cache and what it answers."""

import hashlib
import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from studies.data.duplicates import find_duplicates
from studies.data.folders import Listing
from studies.data.split_names import PARTS
from studies.data.stratify import Counts, arranged
from studies.images.cache_entry import VERSION, DecodedImages
from studies.images.decoding import ImageFormat, digest


@dataclass(frozen=True)
class ImageRequest:
    """The images that are wanted, and in which form.

    Args:
        listing: The files.
        roots: The folders they were found in, by part.
        form: What they are brought to.
        test_share: Share of the training images that becomes the test part; None where there is one.
    """

    listing: Listing
    roots: Mapping[int, str]
    form: ImageFormat
    test_share: float | None

    @cached_property
    def folder_key(self) -> str:
        """Names the question: these folders in this form."""
        return _key([sorted(self.roots.items()), tuple(self.form), self.test_share])

    @cached_property
    def manifest(self) -> str:
        """Changes whenever a file is added, removed, renamed or written."""
        return _key([self.listing.classes, [file[1:] for file in self.listing.files]])

    @cached_property
    def ranks(self) -> np.ndarray:
        """(n,) uint64 that order the files by chance, but always by the same: by class and name."""
        classes = self.listing.classes
        names = (f"{classes[file.label]}/{file.name}".encode(errors="surrogateescape") for file in self.listing.files)
        return np.frombuffer(b"".join(digest(name)[:8] for name in names), np.uint64)

    @cached_property
    def likeness(self) -> str:
        """The same for every folder that may have the same content: of names and sizes."""
        files = [(f.part, f.label, f.name, f.size) for f in self.listing.files]
        return _key([VERSION, tuple(self.form), self.test_share, self.listing.classes, files])

    def content_key(self, found: Sequence[bytes]) -> str:
        """Names the answer: files of this content in this form, wherever they are."""
        files = [(f.part, f.label, f.name, d) for f, d in zip(self.listing.files, found, strict=True)]
        return _key([VERSION, tuple(self.form), self.test_share, self.listing.classes, files])

    def arranged(self, kept: np.ndarray, pictures: np.ndarray | None = None) -> "Arrangement":
        """Which file goes to which row.

        Args:
            kept: (n,) the files that can be read.
            pictures: (n,) hash of the picture of each; None where all are taken as different.
        """
        parts, labels = self.listing.parts[kept], self.listing.labels[kept]
        doubles = _doubles(parts, pictures)
        rest = np.delete(np.arange(len(kept)), doubles[:, 0])
        hashes = None if pictures is None else pictures[rest]
        order, counts = arranged(parts[rest], labels[rest], self.ranks[kept][rest], self.test_share, hashes)
        return Arrangement(kept[rest[order]], counts, kept[doubles])


class Arrangement(NamedTuple):
    """Which file goes to which row.

    Args:
        files: (n,) the file of each row, by its place in the listing.
        counts: Rows of the test, the validation and the training part.
        left_out: (m, 2) files whose pictures stand in another part, each with the file there.
    """

    files: np.ndarray
    counts: Counts
    left_out: np.ndarray


@dataclass(frozen=True, eq=False)
class CachedImages:
    """Decoded images, and the files that were left out: the reason of each by its path."""

    images: DecodedImages
    problems: Mapping[str, str]


def _doubles(parts: np.ndarray, pictures: np.ndarray | None) -> np.ndarray:
    """(m, 2) positions: of each image to leave out, and of its equal in another part."""
    if pictures is None:
        return np.empty((0, 2), np.int64)
    places = {name: np.flatnonzero(parts == part) for part, name in enumerate(PARTS)}
    found = find_duplicates({name: pictures[at] for name, at in places.items()})
    pairs = [np.stack([places[a][pair[:, 0]], places[b][pair[:, 1]]], axis=1) for (a, b), pair in found.items()]
    return np.concatenate(pairs)


def _key(content: Any) -> str:
    # Version 2 of marshal writes equal values alike, and takes a tenth of the time of JSON.
    return hashlib.blake2b(marshal.dumps(content, 2), digest_size=20).hexdigest()
