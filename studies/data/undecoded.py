"""Images that are decoded anew for every batch, for data sets that are to take no room in the cache."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from studies.data.decoding import header_size, quiet_pillow
from studies.data.entry import DecodedImages
from studies.data.lazy import ImageFiles, LazyImages
from studies.data.parallel import Progress, cores
from studies.data.wanted import Answer, Wanted

_FILES_BETWEEN_REPORTS = 256


def undecoded_images(wanted: Wanted, progress: Progress | None = None) -> Answer:
    """The images that are wanted, none of them decoded yet; files that are no images by their first bytes are left out.

    Args:
        wanted: The files, and the form that they are brought to.
        progress: Called with the files looked at and the files in all.
    """
    files = wanted.listing.files
    is_image = _are_images([file.path for file in files], progress)
    after = wanted.arranged(np.flatnonzero(is_image))
    # Decoding in the feed's thread cannot switch warnings off and on for itself alone.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    images = LazyImages(ImageFiles([file.path for file in files], wanted.form), after.files)
    decoded = DecodedImages(
        images=images,
        labels=wanted.listing.labels[after.files],
        counts=after.counts,
        files=after.files,
        pictures=np.arange(len(after.files), dtype=np.uint64),
        looks=np.zeros(len(after.files), np.uint64),
        left_out=after.left_out,
    )
    problems = {file.path: "not an image" for file, fine in zip(files, is_image, strict=True) if not fine}
    return Answer(decoded, problems)


def _are_images(paths: list[str], progress: Progress | None) -> list[bool]:
    found: list[bool] = []
    with quiet_pillow(), ThreadPoolExecutor(2 * cores()) as pool:
        for size in pool.map(header_size, paths):
            found.append(size is not None)
            if progress is not None and (len(found) % _FILES_BETWEEN_REPORTS == 0 or len(found) == len(paths)):
                progress(len(found), len(paths))
    return found
