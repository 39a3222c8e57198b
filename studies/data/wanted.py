"""What is asked of the cache and what it answers."""

import hashlib
import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from studies.data.decoding import Form, digest
from studies.data.entry import VERSION, DecodedImages
from studies.data.folders import Listing
from studies.data.splitting import Counts, arranged


@dataclass(frozen=True)
class Wanted:
    """The images that are wanted, and in which form.

    Args:
        listing: The files.
        roots: The folders they were found in, by part.
        form: What they are brought to.
        test_share: Share of the training images that becomes the test part; None where there is one.
    """

    listing: Listing
    roots: Mapping[int, str]
    form: Form
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
    def marks(self) -> np.ndarray:
        """(n,) uint64 of name and size, which tell whether an entry may hold a file."""
        sizes = np.fromiter((file.size for file in self.listing.files), np.uint64, len(self.listing.files))
        mixed: np.ndarray = self.ranks ^ (sizes * np.uint64(0x9E3779B97F4A7C15))
        return mixed

    def content_key(self, found: Sequence[bytes]) -> str:
        """Names the answer: files of this content in this form, wherever they are."""
        files = [(f.part, f.label, f.name, d) for f, d in zip(self.listing.files, found, strict=True)]
        return _key([VERSION, tuple(self.form), self.test_share, self.listing.classes, files])

    def arranged(self, kept: np.ndarray) -> tuple[np.ndarray, Counts]:
        """The files that are kept, in the order of the rows."""
        parts, labels = self.listing.parts()[kept], self.listing.labels()[kept]
        order, counts = arranged(parts, labels, self.ranks[kept], self.test_share)
        return kept[order], counts


@dataclass(frozen=True, eq=False)
class Answer:
    """Decoded images, and the files that were left out: the reason of each by its path."""

    images: DecodedImages
    problems: Mapping[str, str]


def _key(content: Any) -> str:
    # Version 2 of marshal writes equal values alike, and takes a tenth of the time of JSON.
    return hashlib.blake2b(marshal.dumps(content, 2), digest_size=20).hexdigest()
