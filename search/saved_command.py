"""What was typed for `search run`, kept in the study's folder so that `search resume` goes on; never a password."""

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
_FORM = {
    "format": int,
    "study": str,
    "study_id": str | None,
    "storage": str | None,
    "secrets_left_out": bool,
    "folder": str,
    "run": dict,
}
_RUN = {
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
    """A call of `search run` that can be made again.

    Args:
        call: What was typed, without the database.
        study: Name of the study.
        storage: URL of the database without its secrets; None for the file in the study's folder.
        had_secrets: Whether something was left out of that URL.
        folder: Where it was typed.
        identity: Identity of the study; None if the file does not say.
    """

    command: RunCommand
    study: str
    storage: str | None
    had_secrets: bool
    folder: Path
    identity: str | None = None


def save_command(call: RunCommand, study: str, storage: str | None, identity: str | None = None) -> None:
    """Write a call into its study's folder.

    Args:
        call: What was typed.
        study: Name of the study.
        storage: URL of its database, or None for the file in its folder.
        identity: Identity of the study.

    Raises:
        OutputError: The folder cannot be written.
    """
    from studies.database.urls import has_secrets, remove_secrets

    settings = {name: value for name, value in call.settings.items() if name != "storage"}
    typed = {field.name: _kept(getattr(replace(call, settings=settings), field.name)) for field in fields(call)}
    form = {
        "format": FORMAT,
        "study": study,
        "study_id": identity or None,
        "storage": storage and remove_secrets(storage),
        "secrets_left_out": storage is not None and has_secrets(storage),
        "folder": str(Path.cwd()),
        "run": typed,
    }
    file = call.output / study / COMMAND_FILE
    part = file.with_name(f".{COMMAND_FILE}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(form, indent=2) + "\n", encoding="utf-8")
        part.replace(file)
        _remove_leftovers(file)
    except OSError as error:
        raise OutputError(f"the file {file} cannot be written: {error.strerror}: give another --output") from error
    finally:
        # There still, if the disk is full.
        with contextlib.suppress(OSError):
            part.unlink()


def _remove_leftovers(file: Path) -> None:
    """Remove what processes that were killed while they wrote have left beside the file."""
    for leftover in file.parent.glob(f".{COMMAND_FILE}.*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                leftover.unlink()


def load_command(folder: Path) -> SavedCommand:
    """The call that is kept in a study's folder.

    Raises:
        StudyError: There is none, or it cannot be read.
    """
    file = folder / COMMAND_FILE
    way_out = "give the whole command once more: search run SPACE --study NAME"
    try:
        return _known(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise StudyError(f"there is no {file}, which says how the study was started: {way_out}") from None
    except (OSError, ValueError, RecursionError, SpaceError) as error:
        raise StudyError(f"the file {file} cannot be read ({escape_text(error)}): {way_out}") from error


def storage_of(study: str, output: Path, typed: str | None) -> str | None:
    """The database of a study: the one that was typed, or the one it was started with, which may lack its password."""
    folder = find_study_folder(study, output)
    if typed is not None or folder is None or (folder / DATABASE_FILE).is_file():
        return typed
    return load_command(folder).storage


def _kept(value: Any) -> Any:
    """A typed value as JSON has it."""
    if isinstance(value, Mapping):
        return {name: _kept(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_kept(each) for each in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str) and "://" in value:
        from studies.database.urls import remove_secrets

        return remove_secrets(value)
    return value


def _known(form: Any) -> SavedCommand:
    """The call that a file holds.

    Raises:
        ValueError: It holds something else.
        SpaceError: A setting breaks its rule.
    """
    if not isinstance(form, dict) or form.get("format") != FORMAT:
        raise ValueError(f"format must be {FORMAT}, as this version of search writes it")
    _check(form, _FORM, required=_FORM.keys() - {"study_id"})
    if not valid_name(form["study"]):
        raise ValueError(f"study must be a name, got {form['study']!r}")
    call = _call(form["run"])
    return SavedCommand(
        call, form["study"], form["storage"], form["secrets_left_out"], Path(form["folder"]), form.get("study_id")
    )


def _call(form: dict[str, Any]) -> RunCommand:
    _check(form, _RUN, required=("target",))
    settings = {RENAMED.get(name, name): value for name, value in form.get("settings", {}).items()}
    if unknown := settings.keys() - {field.name for field in fields(Study)}:
        raise ValueError(f"there is no setting {min(unknown)!r}")
    Study(**settings)
    paths = {name: Path(form[name]) for name in ("output", "cache") if form.get(name) is not None}
    return RunCommand(**{**form, "settings": settings, **paths})


def _check(form: dict[str, Any], kinds: Mapping[str, Any], required: Iterable[str]) -> None:
    """Raise unless a record has fields of these kinds only, and those that are required."""
    for name in required:
        if name not in form:
            raise ValueError(f"{name!r} is missing")
    for name, value in form.items():
        if name not in kinds:
            raise ValueError(f"{name!r} is not known")
        if not isinstance(value, kinds[name]):
            raise ValueError(f"{name} cannot be {value!r}")
