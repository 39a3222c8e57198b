"""Where a study is stored, and the names of the files in its folder."""

from dataclasses import dataclass
from pathlib import Path

from spaces.errors import OutputError

DATABASE_FILE, COMMAND_FILE = "study.db", "command.json"
CHECKPOINT_FOLDER, LOG_FOLDER, EXPORT_FOLDER = "checkpoints", "logs", "best"


@dataclass(frozen=True)
class StudyRef:
    """Where a study is stored; the study need not exist.

    Args:
        name: Name of the study.
        url: URL of its database.
        folder: Folder of its files on this machine.
        accept_single_study: Whether the only study of the database is meant where none has that name: the name is that
            of the folder, which may have been renamed.
    """

    name: str
    url: str
    folder: Path
    accept_single_study: bool = False


def find_study_folder(text: str, runs: Path, names: tuple[str, ...] = (DATABASE_FILE, COMMAND_FILE)) -> Path | None:
    """Return the folder of a study, by its name in the folder of all studies or by its path; None if there is none.

    It has at least one file of these names.
    """
    return next(
        (folder for folder in (runs / text, Path(text)) if any((folder / name).is_file() for name in names)), None
    )


def path_for_other_study(path: Path, study: str) -> Path:
    """Return an unused path to which a file or folder of another study is moved, made from that study's identity.

    Args:
        path: Its current path.
        study: Identity of the other study, read from a file, so it may be any text; empty if unknown.
    """
    short = study[:8] if study[:8].isalnum() else "earlier"
    names = (f"{path.stem}-{short}{f'-{count}' if count > 1 else ''}{path.suffix}" for count in range(1, 10_000))
    return next(found for found in map(path.with_name, names) if not found.exists())


def ensure_study_folder(output: Path, name: str) -> Path:
    """Create the study's folder unless it exists, and check that it can be written.

    Raises:
        OutputError: It cannot be created or written.
    """
    folder = output / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        # Another process that starts at the same time may have removed it already.
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}\nhint: pass a different --output") from error
    return folder
