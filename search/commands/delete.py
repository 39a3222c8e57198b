"""`search delete`: removes a study from its database, and its files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from search.display.disk_use import files_in_folder
from search.display.messages import Line
from search.display.screen import print_lines
from search.display.terminal import print_line
from search.formatting import escape_text, format_bytes, format_count
from search.saved_command import load_command, storage_of
from spaces.errors import OutputError, StudyError, UsageError
from studies.study_folder import DATABASE_FILE

if TYPE_CHECKING:
    from studies.export.study_files import StudyFile

MOST_NAMES = 5


def delete_study(study: str, output: Path, storage: str | None, *, is_confirmed: bool) -> None:
    """Say what will be deleted, ask, and delete it.

    Args:
        study: Name of the study, or its folder.
        output: Folder of all studies.
        storage: URL of the database, or None.
        is_confirmed: Do not ask.

    Raises:
        StudyError: There is no such study, search did not make it, or workers are alive.
        UsageError: Nobody can be asked, and `--yes` was not typed.
        OutputError: A file cannot be removed.
    """
    from studies.database.deletion import delete_rows, require_idle
    from studies.database.lookup import open_study, resolve_study
    from studies.export.study_files import DATABASE, is_database_here, remove, remove_shared_checkpoints

    ref = resolve_study(study, output, storage_of(study, output, storage))
    found, folder = open_study(ref, readonly=False), ref.folder
    require_idle(found)
    files = files_in_folder(found, folder)
    if folder.is_symlink():
        raise OutputError(f"the folder {folder} is a link to {folder.resolve()}: name that folder instead")
    own, place = found.identity, _shared_checkpoints(folder)
    others = [each.study_name for each in found.study._storage.get_all_studies() if each.study_name != found.name]
    if others or not is_database_here(folder, found.url):
        files = [file for file in files if file.kind != DATABASE]
    trials = len(found.study.get_trials(deepcopy=False))
    print_lines(
        [("study", f"{escape_text(found.name)}, {format_count(trials, 'trial')}"), *_what(files, folder, place)]
    )
    if not is_confirmed and not _confirmed():
        print_line("nothing was deleted")
        return
    moved = remove_shared_checkpoints(f"{place.rstrip('/')}/{found.name}", own) if place else 0
    delete_rows(found)
    left = remove(files, folder)
    facts = [("deleted", f"{escape_text(found.name)}: {format_bytes(sum(file.bytes for file in files))} freed")]
    if moved:
        facts.append(("", f"{format_count(moved, 'checkpoint')} in {escape_text(place)}"))
    if others:
        facts.append(
            ("kept", f"the database, which holds other studies: {', '.join(map(escape_text, sorted(others)))}")
        )
    names = [str(path.relative_to(folder)) for path in left]
    names = [name for name in names if not (others and name.removeprefix(".").startswith(DATABASE_FILE))]
    if names:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        facts.append(("kept", f"{', '.join(map(escape_text, names[:MOST_NAMES]))}{more} in {escape_text(folder)}"))
    print_lines(facts)


def _what(files: list["StudyFile"], folder: Path, place: str | None) -> list[Line]:
    from studies.export.study_files import bytes_by_kind

    facts = [(kind, f"{format_bytes(count)} in {escape_text(folder)}") for kind, count in bytes_by_kind(files).items()]
    return [*facts, *([("checkpoints", f"those in {escape_text(place)}")] if place else [])]


def _shared_checkpoints(folder: Path) -> str | None:
    """Where the study's command says that checkpoints are kept, if not in its folder."""
    try:
        known = load_command(folder)
    except StudyError:
        return None
    place = known.command.settings.get("checkpoints")
    if not isinstance(place, str):
        return None
    return place if "://" in place else str(known.folder / place)


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("search delete asks before it deletes, and there is no terminal: add --yes")
    print_line("delete all of it? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
