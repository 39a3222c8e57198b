"""`search cache`: what the cache of decoded images and features holds, and emptying it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from search.display.terminal import print_line, show_table
from search.formatting import escape_text, format_bytes, format_count, format_duration
from spaces.errors import OutputError

if TYPE_CHECKING:
    from studies.images.image_cache import CacheEntry


def show_cache() -> None:
    """Write the entries of the cache and their total size to standard output.

    Raises:
        OutputError: The cache folder is no folder, or cannot be read.
    """
    from studies.images.image_cache import entries

    folder = _folder()
    found = entries()
    if found:
        _show(found)
        print_line()
    total = sum(entry.bytes for entry in found)
    print_line(f"{format_count(len(found), 'entry')}, {format_bytes(total)} in {escape_text(folder)}")


def clear_cache() -> None:
    """Empty the cache, and say on standard output how much was freed.

    Raises:
        OutputError: The cache folder is no folder, or something in it cannot be removed.
    """
    from studies.images.image_cache import clear, entries

    folder = _folder()
    freed = clear()
    if left := entries():
        raise OutputError(
            f"{format_count(len(left), 'entry')} of the cache folder {folder} cannot be removed: make it writable, "
            f"or remove it by hand ({format_bytes(freed)} were freed)"
        )
    print_line(f"{format_bytes(freed)} freed in {escape_text(folder)}")


def _folder() -> Path:
    from studies.images.image_cache import cache_root

    folder = cache_root().parent
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"the cache folder {folder} is a file: give another with --cache, or set SEARCH_CACHE")
        if folder.exists():
            list(folder.iterdir())
    except OSError as error:
        raise OutputError(
            f"the cache folder {folder} cannot be read ({error.strerror}): give another with --cache"
        ) from error
    return folder


def _show(found: "list[CacheEntry]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("what", "images", "shape", "size", "last used"):
        table.add_column(heading, justify="left" if heading in ("what", "last used") else "right", no_wrap=True)
    table.add_column("made from", overflow="fold")
    now = time.time()
    for entry in found:
        shape = "x".join(str(side) for side in entry.shape[1:])
        used = f"{format_duration(max(0.0, now - entry.used))} ago"
        source = Text(escape_text(entry.source))
        table.add_row(entry.kind, f"{entry.shape[0]:,}", shape, format_bytes(entry.bytes), used, source)
    show_table(table)
