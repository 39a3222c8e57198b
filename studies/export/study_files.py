"""Lists and removes the files of one study, without touching other files."""

import contextlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spaces.errors import OutputError
from studies.checkpoints.stores import store_at
from studies.database.urls import sqlite_url
from studies.export.export_folder import study_of
from studies.study_folder import CHECKPOINT_FOLDER, COMMAND_FILE, DATABASE_FILE, EXPORT_FOLDER, LOG_FOLDER

DATABASE, CHECKPOINTS, EXPORT, LOGS, COMMAND = "database", "checkpoints", "export", "logs", "command"

_DATABASE = re.compile(rf"{re.escape(DATABASE_FILE)}(-wal|-shm|-journal)?|\.{re.escape(DATABASE_FILE)}\.lock")
_COMMAND = re.compile(rf"{re.escape(COMMAND_FILE)}|\.{re.escape(COMMAND_FILE)}\.\d+|\.writable.*")
_LOG = re.compile(r"worker-\d+\.log")
_CHECKPOINT = re.compile(r".*\.(checkpoint|weights|tmp)")
EXPORT_FILES = {
    *("model.keras", "saved_model", "labels.json", "recipe.json", "metrics.json", "CARD.md"),
    *("samples.png", "confusion_matrix.png", "mistakes.png", "curves.png"),
}


@dataclass(frozen=True)
class StudyFile:
    """File of a study.

    Args:
        kind: `database`, `checkpoints`, `export`, `logs` or `command`.
        path: Path of the file.
        bytes: Size in bytes; 0 for a symbolic link, which is not followed.
    """

    kind: str
    path: Path
    bytes: int


def files_of(folder: Path, identity: str, *, is_home: bool) -> list[StudyFile]:
    """Return the files of a study in its folder.

    Args:
        folder: The folder, which may no longer exist.
        identity: The study's identity; checkpoints and exports with another identity are not included.
        is_home: Whether the folder certainly belongs to this study, so that its logs and command do too.
    """
    found = [*_in_checkpoints(folder / CHECKPOINT_FOLDER, identity), *_in_exports(folder, identity)]
    if is_home:
        found += _matching(folder / LOG_FOLDER, _LOG, LOGS)
        found += _matching(folder, _COMMAND, COMMAND)
    if (folder / DATABASE_FILE).exists() and is_home:
        found += _matching(folder, _DATABASE, DATABASE)
    return found


def is_database_here(folder: Path, url: str) -> bool:
    """Return True if a URL is that of the database file in a study's folder."""
    return url == sqlite_url(folder / DATABASE_FILE)


def bytes_by_kind(files: list[StudyFile]) -> dict[str, int]:
    """Return the total size of files by kind; kinds without files are omitted."""
    found: Counter[str] = Counter()
    for file in files:
        found[file.kind] += file.bytes
    return found


def remove(files: list[StudyFile], folder: Path) -> list[Path]:
    """Remove files and empty folders, and return the files that remain in the study's folder.

    Raises:
        OutputError: A file cannot be removed.
    """
    paths = [file.path for file in files]
    if any(file.kind == DATABASE for file in files):
        # SQLite creates and removes these files with its connections.
        paths += [folder / f"{DATABASE_FILE}{suffix}" for suffix in ("-wal", "-shm", "-journal")]
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot remove {path}: {error.strerror}\nhint: make it writable and run the command again"
            ) from error
    _remove_empty(folder)
    return [path for path in _walk(folder) if not _is_folder(path)]


def remove_shared_checkpoints(place: str, identity: str) -> int:
    """Remove a study's checkpoints from a store shared by several studies, and return their number."""
    shared = store_at(place)
    own = [name for name in shared.names() if _is_checkpoint_of(name, identity)]
    for name in own:
        shared.remove(name)
    return len(own)


def _in_checkpoints(folder: Path, identity: str) -> Iterator[StudyFile]:
    if folder.is_symlink():
        yield StudyFile(CHECKPOINTS, folder, 0)
        return
    for file in _entries(folder):
        if _is_checkpoint_of(file.name, identity) and not _is_folder(file):
            yield _file(CHECKPOINTS, file)


def _is_checkpoint_of(name: str, identity: str) -> bool:
    return _CHECKPOINT.fullmatch(name) is not None and bool(identity) and f"-{identity[:8]}" in name


def _in_exports(folder: Path, identity: str) -> Iterator[StudyFile]:
    for export in _entries(folder):
        unfinished = re.fullmatch(rf"\.{EXPORT_FOLDER}\.(new-.*|previous)", export.name)
        if export.name != EXPORT_FOLDER and not unfinished:
            continue
        if export.is_symlink():
            yield StudyFile(EXPORT, export, 0)
        elif unfinished or study_of(export) == identity:
            for entry in _entries(export):
                if entry.name in EXPORT_FILES or unfinished:
                    below = _walk(entry) if _is_folder(entry) else (entry,)
                    yield from (_file(EXPORT, path) for path in below if not _is_folder(path))


def _matching(folder: Path, names: re.Pattern[str], kind: str) -> list[StudyFile]:
    found = [] if folder.is_symlink() else _entries(folder)
    return [_file(kind, file) for file in found if names.fullmatch(file.name) and not _is_folder(file)]


def _walk(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder, deepest first, without following symbolic links."""
    for entry in _entries(folder):
        if _is_folder(entry):
            yield from _walk(entry)
        yield entry


def _remove_empty(folder: Path) -> None:
    """Remove the empty folders that search creates, then the study's own folder if it is empty."""
    own = (CHECKPOINT_FOLDER, LOG_FOLDER, EXPORT_FOLDER)
    made = [path for path in _entries(folder) if path.name in own or path.name[0] == "."]
    within = [path for top in made if _is_folder(top) for path in (*_walk(top), top)]
    for path in [*within, folder]:
        if _is_folder(path):
            # The folder may contain other files.
            with contextlib.suppress(OSError):
                path.rmdir()


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _file(kind: str, path: Path) -> StudyFile:
    try:
        found = os.lstat(path)
    except OSError:
        return StudyFile(kind, path, 0)
    return StudyFile(kind, path, found.st_size if stat.S_ISREG(found.st_mode) else 0)
