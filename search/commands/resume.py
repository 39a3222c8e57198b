"""`search resume`: resumes a study with its original command, with more trials or another time limit."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.commands.run import run
from search.display.terminal import print_line
from search.formatting import format_count, stop_text
from search.run_command import RunCommand
from search.saved_command import SavedCommand, load_command
from spaces.errors import SpaceError, StudyError, UsageError
from spaces.held_out import read_fraction
from studies.settings import MAX_TRIALS
from studies.study_folder import COMMAND_FILE, DATABASE_FILE, StudyRef, find_study_folder

if TYPE_CHECKING:
    from studies.database.open_study import OpenStudy
    from studies.status.status import StudyStatus


@dataclass(frozen=True)
class ResumeOptions:
    """Typed options of `search resume`.

    Args:
        trials: New trial limit, for example `100`, or an increase, for example `+50`; None for no change.
        settings: Settings that replace those of the original command.
        output: Folder that contains the studies.
        export: Whether to export the best trial; False overrides the original command.
    """

    trials: str | None
    settings: Mapping[str, Any]
    output: Path
    export: bool = True


def resume(study: str, options: ResumeOptions, *, quiet: bool, debug: bool, started: float | None = None) -> int:
    """Resume a study, and return the exit code of `search run`; `started` is that of `search.commands.run.run`.

    Raises:
        SearchError: The study, its database or its space cannot be used.
    """
    folder = find_study_folder(study, options.output)
    if folder is None:
        raise StudyError(
            f"study {study!r} not found in {options.output}\n"
            "hint: on a new machine, run `search run SPACE --storage URL`"
        )
    saved = load_command(folder)
    command = _command_from_here(saved, folder)
    _require_space(saved, command)
    storage = options.settings.get("storage") or saved.storage
    settings = {**command.settings, **options.settings, **({"storage": storage} if storage else {})}
    trials, notice = _trials(saved, folder, storage, options.trials)
    command = replace(command, settings={**settings, "trials": trials}, export=command.export and options.export)
    if notice and not quiet:
        print_line(notice)
    os.chdir(saved.folder)
    return run(command, command.settings, quiet=quiet, debug=debug, started=started)


def _command_from_here(saved: SavedCommand, folder: Path) -> RunCommand:
    """Return the command with absolute paths, unless this is the folder where it was typed."""
    if not saved.folder.is_dir():
        raise StudyError(
            f"the folder that study {saved.study!r} was started in no longer exists: {saved.folder}\n"
            "hint: run `search run SPACE` from the new location"
        )
    command, output = saved.command, _output(saved, folder)
    if Path.cwd() == saved.folder.resolve():
        return command if (saved.folder / command.output).resolve() == output else replace(command, output=output)
    target = str(_absolute(saved.folder / command.target)) if _is_path(saved, command) else command.target
    data = None if command.data is None else str(_absolute(saved.folder / command.data))
    test = command.test
    if test is not None and not read_fraction(test):
        test = str(_absolute(saved.folder / test))
    cache = None if command.cache is None else _absolute(saved.folder / command.cache)
    return replace(command, target=target, data=data, test=test, cache=cache, output=output)


def _output(saved: SavedCommand, folder: Path) -> Path:
    """Return the folder of studies that contains the folder of this study."""
    for home in (folder.absolute(), folder.resolve()):
        if home.name == saved.study:
            return home.parent.resolve()
    raise StudyError(
        f"{folder.resolve()} contains study {saved.study!r}\nhint: rename the folder to {saved.study} to resume"
    )


def _absolute(path: Path) -> Path:
    """Return an absolute path without `..`; a link at its end keeps its name, which may be the name of a space."""
    return path.resolve() if path.name == ".." else path.parent.resolve() / path.name


def _is_path(saved: SavedCommand, command: RunCommand) -> bool:
    return command.target.endswith(".py") or os.sep in command.target or (saved.folder / command.target).is_dir()


def _require_space(saved: SavedCommand, command: RunCommand) -> None:
    file = saved.folder / command.target
    if (command.target.endswith(".py") or os.sep in command.target) and not file.exists():
        raise SpaceError(f"the space file of study {saved.study!r} no longer exists: {file}\nhint: restore the file")


def _trials(saved: SavedCommand, folder: Path, storage: str | None, typed: str | None) -> tuple[int, str | None]:
    """Return the new number of trials, raised at once for running workers, and a notice about it or None."""
    from studies.database.lookup import open_study
    from studies.database.urls import sqlite_url
    from studies.status.status import read_status

    url = storage or sqlite_url(folder.absolute() / DATABASE_FILE)
    found = open_study(StudyRef(saved.study, url, folder), readonly=False)
    status = read_status(found)
    _require_resumable(status)
    if saved.identity not in (None, found.identity):
        raise StudyError(
            f"{folder / COMMAND_FILE} does not belong to study {saved.study!r} in {status.storage}, which was created "
            "later\nhint: run `search run SPACE --study NAME`"
        )
    current = status.progress.trials
    trials = current if typed is None else current + int(typed) if typed.startswith("+") else int(typed)
    if trials > MAX_TRIALS:
        raise UsageError(f"--trials: got {current} and {typed} more, expected at most {MAX_TRIALS} trials")
    running, done = status.count("alive"), status.progress.done
    if not running and trials < done:
        return done, f"the study already has {format_count(done, 'finished trial')}; no more will run"
    if not running:
        return trials, None
    if trials < current:
        return current, f"the limit of {format_count(current, 'trial')} cannot be lowered while workers are running"
    if trials == current or _is_grid(found):
        return trials, None
    workers = "the running worker" if running == 1 else f"all {running} running workers"
    return _raise_limit(found, trials - current), f"trial limit raised to {trials:,} for {workers}"


def _raise_limit(found: "OpenStudy", more: int) -> int:
    from studies.database.errors import translate_errors
    from studies.database.study_control import extend_budget

    # Raise it before loading Keras: the other workers could finish meanwhile.
    with translate_errors(found.url):
        return extend_budget(found.database, found.study_id, more)


def _is_grid(found: "OpenStudy") -> bool:
    """Return True if the space limits the number of trials; it is raised once the space is loaded."""
    from studies.database.open_study import SETTINGS

    settings = found.study.user_attrs.get(SETTINGS)
    return isinstance(settings, dict) and settings.get("sampler") == "grid"


def _require_resumable(status: "StudyStatus") -> None:
    if not status.made_by_search:
        raise StudyError(f"study {status.name!r} was not created by search and cannot be resumed")
    if status.stop and (running := status.count("alive")):
        raise StudyError(
            f"study {status.name!r} is stopping ({stop_text(status.stop)}); {format_count(running, 'worker')} still "
            f"running\nhint: retry once `search status {status.name}` shows none"
        )
