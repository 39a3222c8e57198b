"""`search cache`: lists or clears the cache of decoded images and features."""

import time
from pathlib import Path

from search.display.terminal import NAME, NUMBER, TEXT, print_line, show_table
from search.formatting import escape_text, format_bytes, format_count, format_duration
from spaces.errors import OutputError
from studies.images.image_cache import CacheEntry, cache_root, clear, entries


def show_cache() -> None:
    """Write the cache entries and their total size to standard output.

    Raises:
        OutputError: The cache folder is a file, or cannot be read.
    """
    folder = _folder()
    cached = entries()
    if cached:
        _show(cached)
        print_line()
    total = sum(entry.bytes for entry in cached)
    print_line(f"{format_count(len(cached), 'entry')}, {format_bytes(total)} in {escape_text(folder)}")


def clear_cache() -> None:
    """Clear the cache, and write the freed size to standard output.

    Raises:
        OutputError: The cache folder is a file, or an entry cannot be deleted.
    """
    folder = _folder()
    freed = clear()
    if left := entries():
        raise OutputError(
            f"cannot delete {format_count(len(left), 'entry')} of the cache folder {folder} ({format_bytes(freed)} "
            "freed)\nhint: make the folder writable, or delete it"
        )
    print_line(f"Freed {format_bytes(freed)} in {escape_text(folder)}")


def _folder() -> Path:
    folder = cache_root().parent
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"the cache folder {folder} is a file\nhint: pass --cache FOLDER or set SEARCH_CACHE")
        if folder.exists():
            list(folder.iterdir())
    except OSError as error:
        raise OutputError(
            f"cannot read the cache folder {folder}: {error.strerror}\nhint: pass --cache FOLDER or set SEARCH_CACHE"
        ) from error
    return folder


def _show(cached: list[CacheEntry]) -> None:
    now = time.time()
    columns = {"type": NAME, "images": NUMBER, "shape": NUMBER, "size": NUMBER, "last used": NAME, "source": TEXT}
    rows = []
    for entry in cached:
        shape = "x".join(str(side) for side in entry.shape[1:])
        used = f"{format_duration(max(0.0, now - entry.used))} ago"
        source = escape_text(entry.source)
        rows.append([entry.kind, f"{entry.shape[0]:,}", shape, format_bytes(entry.bytes), used, source])
    show_table(columns, rows)
