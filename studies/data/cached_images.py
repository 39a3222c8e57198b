"""Load decoded images from the cache, or decode them once for all processes."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from studies.data.decode_to_cache import build_entry, decode_in_memory
from studies.data.image_request import CachedImages, ImageRequest
from studies.images import cache_entry, image_cache
from studies.images.messages import os_reason
from studies.images.parallel_decode import ProgressCallback, digests

logger = logging.getLogger(__name__)


def load_images(request: ImageRequest, cache: Path | None, progress: ProgressCallback | None) -> CachedImages:
    """Load the requested images; if the cache is unavailable, decode them into memory with a warning.

    Raises:
        OutputError: There is neither a usable cache nor enough memory.
    """
    root = image_cache.cache_root(cache)
    image_cache.limit_bytes()
    try:
        return _find_by_folder(root, request) or _decode_once(root, request, progress)
    except OSError as error:
        reason = os_reason(error)
        logger.warning(
            "cache folder %s unavailable (%s): decoding images in memory for this run\nhint: set SEARCH_CACHE",
            root.parent,
            reason,
        )
        return decode_in_memory(request, progress, reason)


def _find_by_folder(root: Path, request: ImageRequest) -> CachedImages | None:
    """Return the images recorded for these folders if the files have not changed since, else None."""
    try:
        memory = json.loads((root / "folders" / request.folder_key).read_text())
        if memory["manifest"] != request.manifest:
            return None
        folder, problems = root / "entries" / memory["entry"], dict(memory["problems"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    found = cache_entry.read(folder)
    if found is None:
        return None
    cache_entry.mark_used(folder)
    return CachedImages(found, problems)


def _record_folder(root: Path, request: ImageRequest, key: str, problems: Mapping[str, str]) -> None:
    path = root / "folders" / request.folder_key
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps({"manifest": request.manifest, "entry": key, "problems": problems}))
    unfinished.replace(path)


def _decode_once(root: Path, request: ImageRequest, progress: ProgressCallback | None) -> CachedImages:
    def report_waiting() -> None:
        if progress is not None:
            progress(0, len(request.listing.files))

    with image_cache.build_lock(root, request.folder_key, waiting=report_waiting):
        if (found := _find_by_folder(root, request)) is not None:
            return found
        key, images = _find_by_content(root, request) or build_entry(root, request, progress)
        if key is not None:
            _record_entry(root, request, key, images)
        return images


def _find_by_content(root: Path, request: ImageRequest) -> tuple[str, CachedImages] | None:
    """Return an entry with the same content, from another folder or time; reads files only if names and sizes match."""
    descriptions = (cache_entry.describe(folder) for folder in image_cache.entry_folders(root))
    if not any(found is not None and found.likeness == request.likeness for found in descriptions):
        return None
    contents = digests([file.path for file in request.listing.files])
    key = request.content_key(contents)
    found = cache_entry.read(root / "entries" / key)
    if found is None:
        return None
    files = zip(request.listing.files, contents, strict=True)
    reasons = {file.path: found.problems.get(content.hex()) for file, content in files}
    return key, CachedImages(found, {path: reason for path, reason in reasons.items() if reason is not None})


def _record_entry(root: Path, request: ImageRequest, key: str, images: CachedImages) -> None:
    cache_entry.mark_used(root / "entries" / key)
    # An empty digest marks a file that could not be read at all; it may be readable next time.
    if "" not in images.images.problems:
        _record_folder(root, request, key, images.problems)
    image_cache.evict(root, keep=key)
