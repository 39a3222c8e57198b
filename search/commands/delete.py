"""`search delete`: deletes a study from its database, and its files."""

import sys
from pathlib import Path

from search.display.disk_use import files_in_folder
from search.display.messages import Line
from search.display.screen import print_lines
from search.display.terminal import print_line
from search.formatting import escape_text, format_bytes, format_count
from search.saved_command import load_command, storage_of
from spaces.errors import OutputError, StudyError, UsageError
from studies.database.deletion import delete_rows, require_idle
from studies.database.lookup import open_study, resolve_study
from studies.export.study_files import (
    DATABASE,
    StudyFile,
    bytes_by_kind,
    is_database_here,
    remove,
    remove_shared_checkpoints,
)
from studies.study_folder import DATABASE_FILE

MAX_NAMES = 5


def delete_study(study: str, output: Path, storage: str | None, *, is_confirmed: bool) -> None:
    """List what will be deleted, ask for confirmation, and delete it.

    Raises:
        StudyError: The study was not found, was not created by search, or has running workers.
        UsageError: There is no terminal to ask on, and `--yes` was not typed.
        OutputError: A file cannot be deleted.
    """
    ref = resolve_study(study, output, storage_of(study, output, storage))
    found, folder = open_study(ref, readonly=False), ref.folder
    require_idle(found)
    files = files_in_folder(found, folder)
    if folder.is_symlink():
        raise OutputError(f"{folder} is a link to {folder.resolve()}\nhint: pass that folder instead")
    own, store = found.identity, _shared_checkpoints(folder)
    others = [each.study_name for each in found.study._storage.get_all_studies() if each.study_name != found.name]
    if others or not is_database_here(folder, found.url):
        files = [file for file in files if file.kind != DATABASE]
    trials = len(found.study.get_trials(deepcopy=False))
    print_lines(
        [("study", f"{escape_text(found.name)}, {format_count(trials, 'trial')}"), *_file_lines(files, folder, store)]
    )
    if not is_confirmed and not _confirmed():
        print_line("Nothing was deleted.")
        return
    removed = remove_shared_checkpoints(f"{store.rstrip('/')}/{found.name}", own) if store else 0
    delete_rows(found)
    left = remove(files, folder)
    lines = [("deleted", f"{escape_text(found.name)} ({format_bytes(sum(file.bytes for file in files))} freed)")]
    if removed:
        lines.append(("", f"{format_count(removed, 'checkpoint')} in {escape_text(store)}"))
    if others:
        lines.append(("kept", f"database with other studies: {', '.join(map(escape_text, sorted(others)))}"))
    names = [str(path.relative_to(folder)) for path in left]
    names = [name for name in names if not (others and name.removeprefix(".").startswith(DATABASE_FILE))]
    if names:
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        lines.append(("kept", f"{', '.join(map(escape_text, names[:MAX_NAMES]))}{more} in {escape_text(folder)}"))
    print_lines(lines)


def _file_lines(files: list[StudyFile], folder: Path, store: str | None) -> list[Line]:
    lines = [(kind, f"{format_bytes(count)} in {escape_text(folder)}") for kind, count in bytes_by_kind(files).items()]
    return [*lines, *([("checkpoints", f"in {escape_text(store)}")] if store else [])]


def _shared_checkpoints(folder: Path) -> str | None:
    """Return the checkpoint folder or URL of the saved command; None for the study's own folder."""
    try:
        saved = load_command(folder)
    except StudyError:
        return None
    store = saved.command.settings.get("checkpoints")
    if not isinstance(store, str):
        return None
    return store if "://" in store else str(saved.folder / store)


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("search delete needs a terminal to ask for confirmation\nhint: pass --yes")
    print_line("Delete all of this? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
