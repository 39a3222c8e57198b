"""The `search run` command saved in a study's folder, without passwords, so that `search resume` can repeat it."""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from search.formatting import escape_text
from search.run_command import RunCommand
from spaces.errors import OutputError, SpaceError, StudyError
from studies.settings import RENAMED, Study, valid_name
from studies.study_folder import COMMAND_FILE, DATABASE_FILE, find_study_folder

FORMAT = 1
LEFTOVER_SECONDS = 60.0
_FIELDS = {
    "format": int,
    "study": str,
    "study_id": str | None,
    "storage": str | None,
    "secrets_left_out": bool,  # of earlier releases
    "folder": str,
    "run": dict,
}
_RUN_FIELDS = {
    "target": str,
    "settings": dict,
    "output": str,
    "export": bool,
    "data": str | None,
    "cache": str | None,
    "test": str | None,
}


@dataclass(frozen=True)
class SavedCommand:
    """A `search run` command that can be run again.

    Args:
        command: The command, without the database.
        study: Name of the study.
        storage: Database URL without secrets; None for the file in the study's folder.
        folder: Working directory of the command.
        identity: Identity of the study; None if the file has none.
    """

    command: RunCommand
    study: str
    storage: str | None
    folder: Path
    identity: str | None = None


def save_command(command: RunCommand, study: str, storage: str | None, identity: str | None = None) -> None:
    """Write a command into its study's folder.

    Args:
        storage: URL of its database, or None for the file in its folder.

    Raises:
        OutputError: The folder is not writable.
    """
    from studies.database.urls import remove_secrets

    settings = {name: value for name, value in command.settings.items() if name != "storage"}
    command = replace(command, settings=settings)
    record = {
        "format": FORMAT,
        "study": study,
        "study_id": identity or None,
        "storage": storage and remove_secrets(storage),
        "folder": str(Path.cwd()),
        "run": {field.name: _to_json(getattr(command, field.name)) for field in fields(command)},
    }
    file = command.output / study / COMMAND_FILE
    part = file.with_name(f".{COMMAND_FILE}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        part.replace(file)
        _remove_leftovers(file)
    except OSError as error:
        raise OutputError(f"cannot write to {file}: {error.strerror}\nhint: pass a different --output") from error
    finally:
        # If the disk is full, the partial file is still there.
        with contextlib.suppress(OSError):
            part.unlink()


def _remove_leftovers(file: Path) -> None:
    """Remove partial files of processes that were killed while writing."""
    for leftover in file.parent.glob(f".{COMMAND_FILE}.*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                leftover.unlink()


def load_command(folder: Path) -> SavedCommand:
    """Read the command saved in a study's folder.

    Raises:
        StudyError: The file is missing or invalid.
    """
    file = folder / COMMAND_FILE
    hint = "hint: run `search run SPACE --study NAME`"
    try:
        return _parse(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise StudyError(f"{file} not found: the original command is unknown\n{hint}") from None
    except (OSError, ValueError, RecursionError, SpaceError) as error:
        raise StudyError(f"cannot read {file}: {escape_text(str(error).partition(chr(10))[0])}\n{hint}") from error


def storage_of(study: str, output: Path, typed: str | None) -> str | None:
    """Return the database URL of a study: the typed one, or the saved one, which may lack its password."""
    folder = find_study_folder(study, output)
    if typed is not None or folder is None or (folder / DATABASE_FILE).is_file():
        return typed
    return load_command(folder).storage


def _to_json(value: Any) -> Any:
    """Return a typed value as JSON can store it, URLs without secrets."""
    if isinstance(value, Mapping):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str) and "://" in value:
        from studies.database.urls import remove_secrets

        return remove_secrets(value)
    return value


def _parse(record: Any) -> SavedCommand:
    """Return the command in a file's record.

    Raises:
        ValueError: The record has missing, unknown or wrong fields.
        SpaceError: A setting is invalid.
    """
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"format must be {FORMAT}, as written by this version of search")
    _check_fields(record, _FIELDS, required=_FIELDS.keys() - {"study_id", "secrets_left_out"})
    if not valid_name(record["study"]):
        raise ValueError(f"study must be a name, got {record['study']!r}")
    return SavedCommand(
        _parse_command(record["run"]),
        record["study"],
        record["storage"],
        Path(record["folder"]),
        record.get("study_id"),
    )


def _parse_command(record: dict[str, Any]) -> RunCommand:
    _check_fields(record, _RUN_FIELDS, required=("target",))
    settings = {RENAMED.get(name, name): value for name, value in record.get("settings", {}).items()}
    if unknown := settings.keys() - {field.name for field in fields(Study)}:
        raise ValueError(f"unknown setting {min(unknown)!r}")
    Study(**settings)
    paths = {name: Path(record[name]) for name in ("output", "cache") if record.get(name) is not None}
    return RunCommand(**{**record, "settings": settings, **paths})


def _check_fields(record: dict[str, Any], kinds: Mapping[str, Any], required: Iterable[str]) -> None:
    """Raise ValueError unless a record has all required fields, and only fields of these kinds."""
    for name in required:
        if name not in record:
            raise ValueError(f"missing {name!r}")
    for name, value in record.items():
        if name not in kinds:
            raise ValueError(f"unknown field {name!r}")
        if not isinstance(value, kinds[name]):
            raise ValueError(f"{name} cannot be {value!r}")
