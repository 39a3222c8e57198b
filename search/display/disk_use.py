"""The disk use of a study."""

from pathlib import Path

from search.display.messages import Line
from search.formatting import escape_text, format_bytes
from search.saved_command import load_command
from spaces.errors import StudyError
from studies.database.open_study import OpenStudy
from studies.database.urls import remove_secrets
from studies.export.study_files import StudyFile, bytes_by_kind, files_of, is_database_here


def files_in_folder(found: OpenStudy, folder: Path) -> list[StudyFile]:
    """Return the files of a study in its folder on this machine, which may not exist."""
    is_home = is_database_here(folder, found.url) or _is_home(folder, found)
    return files_of(folder, found.identity, is_home=is_home)


def disk_use(found: OpenStudy, folder: Path) -> dict[str, int]:
    """Return the bytes of a study's files on this machine, by kind; empty if there are none."""
    return bytes_by_kind(files_in_folder(found, folder))


def disk_lines(used: dict[str, int]) -> list[Line]:
    """Return the disk use as lines."""
    if not used:
        return []
    kinds = ", ".join(f"{escape_text(kind)} {format_bytes(count)}" for kind, count in used.items() if kind != "command")
    return [("disk", f"{format_bytes(sum(used.values()))}: {kinds}")]


def _is_home(folder: Path, found: OpenStudy) -> bool:
    """Return True if the folder's saved command started this study, with a database elsewhere."""
    try:
        saved = load_command(folder)
    except StudyError:
        return False
    return saved.study == found.name and saved.storage is not None and saved.storage == remove_secrets(found.url)
