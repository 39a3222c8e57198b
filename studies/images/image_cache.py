"""The cache folder of decoded images: where it is, who may write, what it holds and how large it may become.

<cache>/decoded/entries/<key>/    the images of one data set in one size, see `entry`
<cache>/decoded/folders/<key>     which entry a folder of images led to, and how the folder looked then
<cache>/decoded/locks/            held while something is decoded
<cache>/decoded/unfinished/<key>/  the images of a decoding that an end was asked of, see `unfinished`
<cache>/decoded/scratch-*/        an entry that is being made; only the holder of its lock makes or removes it
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
"""What was partly decoded is kept so long for a run that resumes it."""

_DEFAULT_GB = 20.0
_LOCKS = 256
_SECONDS_BETWEEN_LOOKS = 0.2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheEntry:
    """One data set in the cache.

    Args:
        key: Its name in the cache, from its content and form.
        shape: (n, height, width, channels), of features (n, units) or (n, views, units).
        bytes: What it takes on disk.
        used: When it was last used, in seconds since 1970.
        classes: Names of its classes; features have none.
        kind: `images`, or the `features` of a frozen backbone.
        source: The folder it was made from; empty for features.
    """

    key: str
    shape: tuple[int, ...]
    bytes: int
    used: float
    classes: tuple[str, ...]
    kind: str = "images"
    source: str = ""


def entries(cache: Path | None = None) -> list[CacheEntry]:
    """What the cache holds, the most recently used first."""
    found = (_entry(path) for path in entry_folders(cache_root(cache)))
    return sorted((entry for entry in found if entry is not None), key=lambda entry: -entry.used)


def clear(cache: Path | None = None) -> int:
    """Remove every entry that can be removed; the bytes that were freed."""
    root = cache_root(cache)
    freed = sum(remove(path) for path in entry_folders(root))
    remove_stale_scratch(root)
    shutil.rmtree(root / "folders", ignore_errors=True)
    shutil.rmtree(root / UNFINISHED, ignore_errors=True)
    return freed


def cache_root(cache: Path | None = None) -> Path:
    """The folder of decoded images: of the argument, else SEARCH_CACHE, else the user's cache folder."""
    given = cache or os.environ.get("SEARCH_CACHE")
    if not given:
        import platformdirs

        given = platformdirs.user_cache_dir("search", appauthor=False)
    return Path(given).expanduser().absolute() / "decoded"


def limit_bytes() -> float:
    """The size the cache may reach, from SEARCH_CACHE_GB."""
    text = os.environ.get("SEARCH_CACHE_GB") or str(_DEFAULT_GB)
    with contextlib.suppress(ValueError):
        if not math.isnan(value := float(text)) and value >= 0:
            return value * 1e9
    raise DataError(f"SEARCH_CACHE_GB must be a number of gigabytes of at least 0, got {text!r}.")


def entry_folders(root: Path) -> list[Path]:
    """The folders of all entries, sound or not."""
    try:
        return sorted((root / "entries").iterdir())
    except OSError:
        return []


@contextlib.contextmanager
def build_lock(
    root: Path, key: str, doing: str = "decoding these images", *, waiting: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Wait until no other process makes what has this key, and keep others waiting meanwhile.

    Args:
        root: The cache folder.
        key: What is made.
        doing: What the other process does, in words.
        waiting: Called several times a second while it is waited for; what it raises ends the waiting.

    Raises:
        OSError: The cache folder cannot be written.
    """
    from filelock import FileLock

    (root / "locks").mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_file(root, _number(key)))
    if not _acquired(lock, 0):
        logger.info("Another process is %s: waiting for it.", doing)
        while not _acquired(lock, _SECONDS_BETWEEN_LOOKS):
            waiting()
    try:
        _remove_scratch(root, _number(key))
        yield
    finally:
        lock.release()


def _acquired(lock: "FileLock", seconds: float) -> bool:
    """Whether a lock is free within so many seconds, and taken."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


@contextlib.contextmanager
def scratch_folder(root: Path, key: str) -> Iterator[Path]:
    """A new folder that is removed at the end unless it was published. Only within `exclusive` of the same key."""
    folder = root / f"scratch-{_number(key)}-{secrets.token_hex(8)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, target: Path) -> None:
    """Give a finished entry its name, in one step; a sound entry of that name is kept, a damaged one replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if cache_entry.read(target) is not None:
        return
    if target.exists():
        target.rename(folder / "damaged")
    folder.rename(target)
    shutil.rmtree(target / "damaged", ignore_errors=True)


def evict(root: Path, keep: str) -> None:
    """Remove the least recently used entries beyond the limit, and what dead processes have left; `keep` stays."""
    remove_stale_scratch(root)
    found = [entry for path in entry_folders(root) if (entry := _entry(path)) is not None]
    excess = sum(entry.bytes for entry in found) - limit_bytes()
    for entry in sorted(found, key=lambda entry: entry.used):
        if excess <= 0:
            break
        if entry.key != keep:
            excess -= remove(root / "entries" / entry.key)
            _forget(root, entry.key)


def remove(path: Path) -> int:
    """Remove an entry, first what makes it valid; the bytes that were freed."""
    size = _size(path)
    with contextlib.suppress(OSError):
        (path / cache_entry.DESCRIPTION).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)
    return size - _size(path)


def remove_stale_scratch(root: Path) -> None:
    """Remove the scratch folders of processes that have died: nobody holds their locks; and what nobody resumed."""
    from filelock import FileLock, Timeout

    for path in (root / UNFINISHED).glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > UNFINISHED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    for number in {path.name.split("-")[1] for path in root.glob("scratch-*-*")}:
        with contextlib.suppress(Timeout, OSError), FileLock(_lock_file(root, number), blocking=False):
            _remove_scratch(root, number)


def _forget(root: Path, key: str) -> None:
    for path in (root / "folders").glob("*"):
        with contextlib.suppress(OSError):
            if f'"entry": "{key}"' in path.read_text():
                path.unlink()


def _number(key: str) -> str:
    return f"{int(key[:8], 16) % _LOCKS:03d}"


def _lock_file(root: Path, number: str) -> Path:
    return root / "locks" / f"{number}.lock"


def _remove_scratch(root: Path, number: str) -> None:
    for path in root.glob(f"scratch-{number}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _entry(path: Path) -> CacheEntry | None:
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
