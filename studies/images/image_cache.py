"""Manage the cache folder of decoded images: its location, locks, entries and size limit.

<cache>/decoded/entries/<key>/    one data set in one image format, see `cache_entry`
<cache>/decoded/folders/<key>     the entry of a folder of images, and a digest of the folder at that time
<cache>/decoded/locks/            held while images are decoded
<cache>/decoded/unfinished/<key>/ the images of an interrupted decoding, see `unfinished`
<cache>/decoded/scratch-*/        an entry under construction; only the holder of its lock creates or removes it
"""

import contextlib
import logging
import math
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spaces.errors import DataError
from studies.images import cache_entry

if TYPE_CHECKING:
    from filelock import FileLock

UNFINISHED = "unfinished"
UNFINISHED_SECONDS = 7 * 86400
"""How long the images of an interrupted decoding are kept."""

_DEFAULT_GB = 20.0
_LOCKS = 256
_SECONDS_BETWEEN_ATTEMPTS = 0.2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheEntry:
    """One data set in the cache.

    Args:
        key: Name of its folder, derived from the content of the files and the image format.
        shape: (n, height, width, channels); for features (n, units) or (n, views, units).
        bytes: Size on disk in bytes.
        used: Time of the last use, in seconds since 1970.
        classes: Names of the classes; empty for features.
        kind: `images`, or `features` of a frozen backbone.
        source: Folder that the entry was built from; empty for features.
    """

    key: str
    shape: tuple[int, ...]
    bytes: int
    used: float
    classes: tuple[str, ...]
    kind: str = "images"
    source: str = ""


def entries(cache: Path | None = None) -> list[CacheEntry]:
    """Return all entries of the cache, the most recently used first."""
    found = (_read_entry(path) for path in entry_folders(cache_root(cache)))
    return sorted((entry for entry in found if entry is not None), key=lambda entry: -entry.used)


def clear(cache: Path | None = None) -> int:
    """Remove every entry that can be removed, and return the freed bytes."""
    root = cache_root(cache)
    freed = sum(remove(path) for path in entry_folders(root))
    remove_stale_scratch(root)
    shutil.rmtree(root / "folders", ignore_errors=True)
    shutil.rmtree(root / UNFINISHED, ignore_errors=True)
    return freed


def cache_root(cache: Path | None = None) -> Path:
    """Return the folder of decoded images: below the argument, else SEARCH_CACHE, else the user's cache folder."""
    given = cache or os.environ.get("SEARCH_CACHE")
    if not given:
        import platformdirs

        given = platformdirs.user_cache_dir("search", appauthor=False)
    return Path(given).expanduser().absolute() / "decoded"


def limit_bytes() -> float:
    """Return the maximum size of the cache in bytes, from SEARCH_CACHE_GB."""
    text = os.environ.get("SEARCH_CACHE_GB") or str(_DEFAULT_GB)
    with contextlib.suppress(ValueError):
        if not math.isnan(value := float(text)) and value >= 0:
            return value * 1e9
    raise DataError(f"SEARCH_CACHE_GB must be a number of gigabytes of at least 0, got {text!r}")


def entry_folders(root: Path) -> list[Path]:
    """Return the folders of all entries, including damaged ones."""
    try:
        return sorted((root / "entries").iterdir())
    except OSError:
        return []


@contextlib.contextmanager
def build_lock(
    root: Path, key: str, doing: str = "decoding these images", *, waiting: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock of a key, so that only one process builds its entry.

    Args:
        doing: What a process that holds the lock does, for the log line.
        waiting: Callback, called several times a second while another process holds the lock; may raise to stop.

    Raises:
        OSError: The cache folder cannot be written.
    """
    from filelock import FileLock

    (root / "locks").mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_file(root, _lock_number(key)))
    if not _try_acquire(lock, 0):
        logger.info("waiting for another process: %s", doing)
        while not _try_acquire(lock, _SECONDS_BETWEEN_ATTEMPTS):
            waiting()
    try:
        _remove_scratch(root, _lock_number(key))
        yield
    finally:
        lock.release()


def _try_acquire(lock: "FileLock", seconds: float) -> bool:
    """Acquire a lock within a time limit. Return True on success."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


@contextlib.contextmanager
def scratch_folder(root: Path, key: str) -> Iterator[Path]:
    """Create a folder that is removed at the end unless it was published. Requires the `build_lock` of the key."""
    folder = root / f"scratch-{_lock_number(key)}-{secrets.token_hex(8)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, target: Path) -> None:
    """Move a finished entry to its place atomically; an intact entry there is kept, a damaged one is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if cache_entry.read(target) is not None:
        return
    if target.exists():
        target.rename(folder / "damaged")
    folder.rename(target)
    shutil.rmtree(target / "damaged", ignore_errors=True)


def evict(root: Path, keep: str) -> None:
    """Remove leftovers of dead processes and the least recently used entries beyond the size limit, except `keep`."""
    remove_stale_scratch(root)
    found = [entry for path in entry_folders(root) if (entry := _read_entry(path)) is not None]
    excess = sum(entry.bytes for entry in found) - limit_bytes()
    for entry in sorted(found, key=lambda entry: entry.used):
        if excess <= 0:
            break
        if entry.key != keep:
            excess -= remove(root / "entries" / entry.key)
            _forget_folders(root, entry.key)


def remove(path: Path) -> int:
    """Remove an entry, its description first, and return the freed bytes."""
    size = _size(path)
    with contextlib.suppress(OSError):
        (path / cache_entry.DESCRIPTION).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)
    return size - _size(path)


def remove_stale_scratch(root: Path) -> None:
    """Remove scratch folders whose lock no process holds, and interrupted decodings that no run has resumed."""
    from filelock import FileLock, Timeout

    for path in (root / UNFINISHED).glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > UNFINISHED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    for number in {path.name.split("-")[1] for path in root.glob("scratch-*-*")}:
        with contextlib.suppress(Timeout, OSError), FileLock(_lock_file(root, number), blocking=False):
            _remove_scratch(root, number)


def _forget_folders(root: Path, key: str) -> None:
    for path in (root / "folders").glob("*"):
        with contextlib.suppress(OSError):
            if f'"entry": "{key}"' in path.read_text():
                path.unlink()


def _lock_number(key: str) -> str:
    return f"{int(key[:8], 16) % _LOCKS:03d}"


def _lock_file(root: Path, number: str) -> Path:
    return root / "locks" / f"{number}.lock"


def _remove_scratch(root: Path, number: str) -> None:
    for path in root.glob(f"scratch-{number}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _read_entry(path: Path) -> CacheEntry | None:
    description = cache_entry.describe(path)
    if description is None:
        features = cache_entry.features_shape(path)
        if features is None:
            return None
        return CacheEntry(path.name, features, _size(path), cache_entry.last_used(path), (), "features")
    shape = (sum(description.counts), *description.form.shape)
    used = cache_entry.last_used(path)
    return CacheEntry(path.name, shape, _size(path), used, description.classes, source=description.source)


def _size(path: Path) -> int:
    try:
        return sum(file.stat().st_size for file in path.iterdir())
    except OSError:
        return 0
