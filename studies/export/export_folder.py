"""The folder of an export: written apart under a name of its own, then put in place of the earlier one in one step."""

import contextlib
import errno
import fcntl
import glob
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from spaces.errors import OutputError, SearchError

METRICS = "metrics.json"
STUDY_ID = "study_id"
"""The key in `metrics.json` of the identity of the study that an export is of."""

STALE_EXPORT_SECONDS = 24 * 3600
"""An unfinished export that is older, and that no process holds, is removed."""

POLL_SECONDS = 0.05
SWAP_SECONDS = 60.0
"""How long to wait for another process that is putting its export into the same place."""

Publish: TypeAlias = Callable[[Callable[[], None]], bool]
"""Calls its argument, perhaps twice, while the export is still this process's; returns whether it is."""


class ExportLockLostError(SearchError):
    """This worker was given up for lost, and its export was claimed by another one."""


def publish_at_once(swap: Callable[[], None]) -> bool:
    """Put an export in place that no other process can claim."""
    swap()
    return True


@contextmanager
def replace_folder(folder: Path, study: str = "", publish: Publish = publish_at_once) -> Iterator[Path]:
    """A new folder next to `folder`, which takes its place if all goes well and is removed if not.

    Args:
        folder: Where the export goes. An earlier export of the same study is replaced, that of another one is moved.
        study: Identity of the study; empty for an export of none.
        publish: Puts the new folder in place.

    Raises:
        ExportLockLostError: The export is another worker's by now.
        OutputError: The folder cannot be written.
    """
    new = folder.with_name(f".{folder.name}.new-{uuid.uuid4().hex}")
    try:
        _remove_leftovers(folder)
        new.mkdir(parents=True)
        with _folder_lock(new, 0.0):
            yield new
            if not publish(lambda: _swap(new, folder, study)):
                raise ExportLockLostError(
                    "another worker has claimed the export, since this one was silent for too long"
                )
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"the exported model cannot be written to {folder}: {reason}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def study_of(export: Path) -> str:
    """Return the identity of the study that an export is of; empty if it does not say."""
    try:
        found = json.loads((export / METRICS).read_text(encoding="utf-8"))[STUDY_ID]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else ""


def previous_export(folder: Path) -> Path:
    """Where the earlier export is in the instant in which a new one takes its place."""
    return folder.with_name(f".{folder.name}.previous")


def path_for_other_study(folder: Path, study: str) -> Path:
    """Where the export of another study goes when a new one takes its place; nothing is there yet.

    Args:
        folder: Where it is now.
        study: Identity of that study, which may be anything that a file says; empty if it does not say.
    """
    short = study[:8] if study[:8].isalnum() else "earlier"
    names = (f"{folder.name}-{short}{f'-{count}' if count > 1 else ''}" for count in range(1, 10_000))
    return next(path for path in map(folder.with_name, names) if not path.exists())


def _swap(new: Path, folder: Path, study: str) -> None:
    """Put the new folder in place; a second call finds it there."""
    with _folder_lock(folder.parent, SWAP_SECONDS):
        if not new.exists():
            return
        previous = previous_export(folder)
        if not folder.exists() and previous.exists():
            # A process was killed between the two steps.
            previous.rename(folder)
        _dispose(previous, folder, study)
        if folder.exists():
            folder.rename(previous)
        try:
            new.rename(folder)
        except OSError:
            if previous.exists():
                previous.rename(folder)
            raise
        _dispose(previous, folder, study)


def _dispose(previous: Path, folder: Path, study: str) -> None:
    """Remove the earlier export of the same study; keep that of another one under a name of its own."""
    if not previous.exists():
        return
    other = study_of(previous)
    if other == study:
        shutil.rmtree(previous, ignore_errors=True)
    else:
        previous.rename(path_for_other_study(folder, other))


def _remove_leftovers(folder: Path) -> None:
    """Remove what exports that were killed long ago have left next to the folder, never that of a living process."""
    for leftover in folder.parent.glob(f".{glob.escape(folder.name)}.new-*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > STALE_EXPORT_SECONDS:
                with _folder_lock(leftover, 0.0):
                    shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _folder_lock(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Hold a folder as long as this process lives; a file system that cannot lock folders does without.

    Args:
        folder: It may be renamed meanwhile.
        wait_seconds: How long to wait for another process that holds it.

    Raises:
        TimeoutError: Another process has held it for that long.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + wait_seconds
        while not _try_lock(descriptor):
            if time.monotonic() >= until:
                raise TimeoutError(errno.ETIMEDOUT, f"another process has held {folder} for {wait_seconds:g} seconds")
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Lock an open folder; False while another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Some network file systems lock nothing that is not open for writing.
        return True
    return True
