"""Replaces the folder of an export atomically: a new folder is written next to it and renamed when complete."""

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
from typing import Any, TypeAlias

from spaces.errors import OutputError, SearchError
from studies.study_folder import path_for_other_study

METRICS = "metrics.json"
STUDY_ID = "study_id"
"""Key of the study's identity in `metrics.json`."""

STALE_EXPORT_SECONDS = 24 * 3600
"""Age in seconds after which an unfinished export that no process has locked is removed."""

POLL_SECONDS = 0.05
SWAP_SECONDS = 60.0
"""Time limit for waiting for another process that replaces the same export."""

Publish: TypeAlias = Callable[[Callable[[], None]], bool]
"""Calls its argument once or twice if this process still holds the export lock; returns whether it does."""


class ExportLockLostError(SearchError):
    """This worker was considered lost, and another worker has claimed the export."""


def publish_at_once(swap: Callable[[], None]) -> bool:
    """Move an export into place without a lock."""
    swap()
    return True


@contextmanager
def replace_folder(folder: Path, study: str = "", publish: Publish = publish_at_once) -> Iterator[Path]:
    """Yield a new folder that replaces `folder` on success and is removed on failure.

    Args:
        folder: The export. An earlier export of the same study is replaced, one of another study is moved.
        study: Identity of the study; empty for none.

    Raises:
        ExportLockLostError: Another worker has claimed the export.
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
        raise OutputError(f"cannot write the exported model to {folder}: {reason}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def read_metrics(export: Path) -> dict[str, Any]:
    """Return the content of `metrics.json` in an export; empty if it cannot be read."""
    try:
        found = json.loads((export / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def study_of(export: Path) -> str:
    """Return the identity of an export's study; empty if unknown."""
    found = read_metrics(export).get(STUDY_ID)
    return found if isinstance(found, str) else ""


def is_tested(export: Path, identity: str) -> bool:
    """Return True if a folder holds a tested export of a study."""
    found = read_metrics(export)
    return found.get(STUDY_ID) == identity and bool(found.get("test"))


def is_untested(export: Path, identity: str) -> bool:
    """Return True if a folder holds an export of a study that is not yet tested."""
    found = read_metrics(export)
    return found.get(STUDY_ID) == identity and not found.get("test")


def previous_export(folder: Path) -> Path:
    """Return the path of the earlier export during its replacement."""
    return folder.with_name(f".{folder.name}.previous")


def _swap(new: Path, folder: Path, study: str) -> None:
    """Move the new folder into place; a second call does nothing."""
    with _folder_lock(folder.parent, SWAP_SECONDS):
        if not new.exists():
            return
        previous = previous_export(folder)
        if not folder.exists() and previous.exists():
            # A process was killed between the two renames.
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
    """Remove the earlier export of the same study; move one of another study aside."""
    if not previous.exists():
        return
    other = study_of(previous)
    if other == study:
        shutil.rmtree(previous, ignore_errors=True)
    else:
        previous.rename(path_for_other_study(folder, other))


def _remove_leftovers(folder: Path) -> None:
    """Remove the folders of exports that were killed long ago, but never those of running processes."""
    for leftover in folder.parent.glob(f".{glob.escape(folder.name)}.new-*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > STALE_EXPORT_SECONDS:
                with _folder_lock(leftover, 0.0):
                    shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _folder_lock(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Lock a folder until the end of the block or of this process, if the file system supports it.

    Args:
        folder: The folder, which may be renamed while it is locked.
        wait_seconds: Time limit for waiting for another process that holds the lock.

    Raises:
        TimeoutError: Another process held the lock for that long.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + wait_seconds
        while not _try_lock(descriptor):
            if time.monotonic() >= until:
                raise TimeoutError(
                    errno.ETIMEDOUT, f"{folder} is locked by another process (waited {wait_seconds:g} s)"
                )
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Lock an open folder; return False if another process holds the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Some network file systems only lock files that are open for writing.
        return True
    return True
