"""The request for decoded images and its result."""

import hashlib
import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from studies.data.duplicates import ImageHashes, find_duplicates
from studies.data.folders import Listing
from studies.data.split_names import SPLIT_NAMES
from studies.data.stratify import Counts, storage_order
from studies.images.cache_entry import VERSION, DecodedImages
from studies.images.decode_worker import DecodeResult
from studies.images.decoding import ImageFormat, content_digest
from studies.images.lazy_images import LazyImages


@dataclass(frozen=True)
class ImageRequest:
    """A request for the images of a data set in one format.

    Args:
        listing: Files of the data set.
        roots: Folder of each split that the files were found in.
        form: Format of the images.
        test_fraction: Fraction of the training images that becomes the test split; None if there is one.
    """

    listing: Listing
    roots: Mapping[int, str]
    form: ImageFormat
    test_fraction: float | None

    @cached_property
    def folder_key(self) -> str:
        """Key of these folders in this format."""
        return _key([sorted(self.roots.items()), tuple(self.form), self.test_fraction])

    @cached_property
    def manifest(self) -> str:
        """Digest that changes if a file is added, removed, renamed or written."""
        return _key([self.listing.classes, [file[1:] for file in self.listing.files]])

    @cached_property
    def ranks(self) -> np.ndarray:
        """(n,) uint64 that shuffle the files, always the same way: hashes of class and name."""
        classes = self.listing.classes
        names = (f"{classes[file.label]}/{file.name}".encode(errors="surrogateescape") for file in self.listing.files)
        return np.frombuffer(b"".join(content_digest(name)[:8] for name in names), np.uint64)

    @cached_property
    def likeness(self) -> str:
        """Digest of names and sizes, equal for folders that may have the same content."""
        return self._key_of([(f.split, f.label, f.name, f.size) for f in self.listing.files])

    def content_key(self, digests: Sequence[bytes]) -> str:
        """Return the key of the cache entry of files with this content in this format, wherever they are."""
        files = zip(self.listing.files, digests, strict=True)
        return self._key_of([(file.split, file.label, file.name, digest) for file, digest in files])

    def arrange(self, kept: np.ndarray, hashes: np.ndarray) -> "Arrangement":
        """Assign files to rows, given the (n,) indices of the readable files and a hash of the pixels of each."""
        splits, labels = self.listing.splits[kept], self.listing.labels[kept]
        duplicates = _find_duplicates(splits, hashes)
        rest = np.delete(np.arange(len(kept)), duplicates[:, 0])
        ranks = self.ranks[kept][rest]
        order, counts = storage_order(splits[rest], labels[rest], ranks, self.test_fraction, hashes[rest])
        return Arrangement(kept[rest[order]], counts, kept[duplicates])

    def arrange_images(
        self, images: np.ndarray | LazyImages, hashes: ImageHashes, row_of: np.ndarray, results: Sequence[DecodeResult]
    ) -> tuple[DecodedImages, np.ndarray]:
        """Leave out unreadable files and duplicates, and find the final order.

        Args:
            row_of: (n,) current row of each file.

        Returns:
            Labels and hashes in the final order, with `images` still in their current order; and the current row of
            each image in the final order.
        """
        kept = np.flatnonzero([result.problem is None for result in results])
        after = self.arrange(kept, hashes.exact[row_of[kept]])
        rows = row_of[after.files]
        ordered = self.listing.labels[after.files], after.counts, after.files, hashes.exact[rows]
        return DecodedImages(images, *ordered, hashes.perceptual[rows], after.left_out), rows

    def problems(self, results: Sequence[DecodeResult]) -> dict[str, str]:
        """Return the reason for each unreadable file, by path."""
        files = zip(self.listing.files, results, strict=True)
        return {file.path: result.problem for file, result in files if result.problem is not None}

    def _key_of(self, files: Sequence[Any]) -> str:
        return _key([VERSION, tuple(self.form), self.test_fraction, self.listing.classes, files])


class Arrangement(NamedTuple):
    """Assignment of files to rows.

    Args:
        files: (n,) index in the listing of the file of each row.
        counts: Number of rows of the test, validation and training split.
        left_out: (m, 2) indices of files that duplicate an image of another split, and of the file there.
    """

    files: np.ndarray
    counts: Counts
    left_out: np.ndarray


@dataclass(frozen=True, eq=False)
class CachedImages:
    """Decoded images, and the reason for each file that was left out, by path."""

    images: DecodedImages
    problems: Mapping[str, str]


def _find_duplicates(splits: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return (m, 2) positions: of each image to leave out, and of its duplicate in another split."""
    rows = {name: np.flatnonzero(splits == split) for split, name in enumerate(SPLIT_NAMES)}
    found = find_duplicates({name: hashes[of_split] for name, of_split in rows.items()})
    pairs = [np.stack([rows[a][pair[:, 0]], rows[b][pair[:, 1]]], axis=1) for (a, b), pair in found.items()]
    return np.concatenate(pairs)


def _key(content: Any) -> str:
    # Version 2 of marshal writes equal values identically, and takes a tenth of the time of JSON.
    return hashlib.blake2b(marshal.dumps(content, 2), digest_size=20).hexdigest()
