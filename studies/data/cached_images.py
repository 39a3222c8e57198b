"""The decoded images of a listing: from the cache where they are in it, else decoded, once for all processes."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from studies.data.decode_to_cache import build, decode_in_memory
from studies.data.image_request import CachedImages, ImageRequest
from studies.images import cache_entry, image_cache
from studies.images.parallel_decode import ProgressCallback, digests

logger = logging.getLogger(__name__)


def decoded_images(wanted: ImageRequest, cache: Path | None, progress: ProgressCallback | None) -> CachedImages:
    """The images that are wanted; where the cache cannot be used, decoded into memory with a warning.

    Raises:
        OutputError: There is neither a usable cache nor enough memory.
    """
    root = image_cache.cache_root(cache)
    image_cache.limit_bytes()
    try:
        return _remembered(root, wanted) or _decoded_once(root, wanted, progress)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        logger.warning(
            "The cache folder %s cannot be used (%s): images are decoded into memory, and again by every run. "
            "SEARCH_CACHE names another folder.",
            root.parent,
            reason,
        )
        return decode_in_memory(wanted, progress, reason)


def _remembered(root: Path, wanted: ImageRequest) -> CachedImages | None:
    """What these folders led to when they last looked like this."""
    try:
        memory = json.loads((root / "folders" / wanted.folder_key).read_text())
        if memory["manifest"] != wanted.manifest:
            return None
        folder, problems = root / "entries" / memory["entry"], dict(memory["problems"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    found = cache_entry.read(folder)
    if found is None:
        return None
    cache_entry.mark_used(folder)
    return CachedImages(found, problems)


def _remember(root: Path, wanted: ImageRequest, key: str, problems: Mapping[str, str]) -> None:
    path = root / "folders" / wanted.folder_key
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps({"manifest": wanted.manifest, "entry": key, "problems": problems}))
    unfinished.replace(path)


def _decoded_once(root: Path, wanted: ImageRequest, progress: ProgressCallback | None) -> CachedImages:
    def waiting() -> None:
        if progress is not None:
            progress(0, len(wanted.listing.files))

    with image_cache.build_lock(root, wanted.folder_key, waiting=waiting):
        found = _remembered(root, wanted)
        if found is not None:
            return found
        key, answer = _of_content(root, wanted) or build(root, wanted, progress)
        if key is not None:
            _keep(root, wanted, key, answer)
        return answer


def _of_content(root: Path, wanted: ImageRequest) -> tuple[str, CachedImages] | None:
    """The images of another folder, or of an earlier time, with the same content; read only where names are alike."""
    descriptions = (cache_entry.describe(folder) for folder in image_cache.entry_folders(root))
    if not any(found is not None and found.likeness == wanted.likeness for found in descriptions):
        return None
    contents = digests([file.path for file in wanted.listing.files])
    key = wanted.content_key(contents)
    found = cache_entry.read(root / "entries" / key)
    if found is None:
        return None
    files = zip(wanted.listing.files, contents, strict=True)
    reasons = {file.path: found.problems.get(content.hex()) for file, content in files}
    return key, CachedImages(found, {path: reason for path, reason in reasons.items() if reason is not None})


def _keep(root: Path, wanted: ImageRequest, key: str, answer: CachedImages) -> None:
    cache_entry.mark_used(root / "entries" / key)
    # A file that could not be read at all may be better next time: its digest is empty.
    if "" not in answer.images.problems:
        _remember(root, wanted, key, answer.problems)
    image_cache.evict(root, keep=key)
