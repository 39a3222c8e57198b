"""`search resume`: goes on with a study as it was started, with more trials or another time limit."""

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
from spaces.held_out import share_of_images
from studies.settings import MAX_TRIALS
from studies.study_folder import COMMAND_FILE, DATABASE_FILE, StudyRef, find_study_folder

if TYPE_CHECKING:
    from studies.database.open_study import OpenStudy
    from studies.status.status import StudyStatus


@dataclass(frozen=True)
class ResumeOptions:
    """What is typed for `search resume`.

    Args:
        trials: Trials in all, such as `100`, or more of them, such as `+50`; None for as many as the study has.
        settings: Settings in place of those that the study was started with.
        output: Folder of all studies.
        export: Whether the best is exported, if the study was started so.
    """

    trials: str | None
    settings: Mapping[str, Any]
    output: Path
    export: bool = True


def resume(study: str, wanted: ResumeOptions, *, quiet: bool, debug: bool, started: float | None = None) -> int:
    """Go on with a study; returns the exit code as `search run` does.

    Args:
        study: Its name or folder.
        wanted: What was typed.
        quiet: Show the summary alone.
        debug: Leave standard error to the libraries.
        started: As in `search.commands.run.run`.

    Raises:
        SearchError: The study, its database, or the space it was started with cannot be used.
    """
    folder = find_study_folder(study, wanted.output)
    if folder is None:
        raise StudyError(
            f"there is no study {study!r} in {wanted.output}: on a machine that has not worked on it yet, give the "
            "command that started it: search run SPACE --storage URL"
        )
    known = load_command(folder)
    call = _moved(known, folder)
    _require_space(known, call)
    storage = wanted.settings.get("storage") or known.storage
    typed = {**call.settings, **wanted.settings, **({"storage": storage} if storage else {})}
    trials, notes = _trials(known, folder, storage, wanted.trials)
    call = replace(call, settings={**typed, "trials": trials}, export=call.export and wanted.export)
    for note in [] if quiet else notes:
        print_line(note)
    os.chdir(known.folder)
    return run(call, call.settings, quiet=quiet, debug=debug, started=started)


def _moved(known: SavedCommand, folder: Path) -> RunCommand:
    """The call as it is to be made from the folder where it was typed; with whole paths where that is another one."""
    if not known.folder.is_dir():
        raise StudyError(
            f"the folder {known.folder}, where study {known.study!r} was started, is gone: give the whole command from "
            "where its files are now: search run SPACE"
        )
    call, output = known.command, _output(known, folder)
    if Path.cwd() == known.folder.resolve():
        return call if (known.folder / call.output).resolve() == output else replace(call, output=output)
    target = str(_whole(known.folder / call.target)) if _is_path(known, call) else call.target
    data = None if call.data is None else str(_whole(known.folder / call.data))
    test = call.test if call.test is None or share_of_images(call.test) else str(_whole(known.folder / call.test))
    cache = None if call.cache is None else _whole(known.folder / call.cache)
    return replace(call, target=target, data=data, test=test, cache=cache, output=output)


def _output(known: SavedCommand, folder: Path) -> Path:
    """The folder of all studies, from that of this one, which has its name."""
    for home in (folder.absolute(), folder.resolve()):
        if home.name == known.study:
            return home.parent.resolve()
    home = folder.resolve()
    raise StudyError(
        f"the folder {home} holds study {known.study!r}, which goes on in a folder of its own name only: rename it to "
        f"{known.study}, or move it to another folder as {known.study}"
    )


def _whole(path: Path) -> Path:
    """A whole path without detours; a link at its end keeps its name, which may be that of a space."""
    return path.resolve() if path.name == ".." else path.parent.resolve() / path.name


def _is_path(known: SavedCommand, call: RunCommand) -> bool:
    return call.target.endswith(".py") or os.sep in call.target or (known.folder / call.target).is_dir()


def _require_space(known: SavedCommand, call: RunCommand) -> None:
    file = known.folder / call.target
    if (call.target.endswith(".py") or os.sep in call.target) and not file.exists():
        raise SpaceError(f"the space of study {known.study!r} is gone: put {file} back")


def _trials(known: SavedCommand, folder: Path, storage: str | None, typed: str | None) -> tuple[int, list[str]]:
    """How many trials the study is to have, set at once where others work on it, and what to say of that."""
    from studies.database.lookup import open_study
    from studies.database.urls import sqlite_url
    from studies.status.status import read_status

    url = storage or sqlite_url(folder.absolute() / DATABASE_FILE)
    found = open_study(StudyRef(known.study, url, folder), readonly=False)
    status = read_status(found)
    _refuse(status)
    if known.identity not in (None, found.identity):
        raise StudyError(
            f"{folder / COMMAND_FILE} does not belong to study {known.study!r} in {status.storage}, which was created "
            "later: run `search run SPACE --study NAME`"
        )
    now = status.progress.trials
    trials = now if typed is None else now + int(typed) if typed.startswith("+") else int(typed)
    if trials > MAX_TRIALS:
        raise UsageError(f"--trials: a study has at most {MAX_TRIALS} trials, got {now} and {typed} more: give fewer")
    alive, ended = status.count("alive"), status.progress.done
    if not alive and trials < ended:
        return ended, [f"the study keeps the {format_count(ended, 'trial')} that have ended, and evaluates no other"]
    if not alive:
        return trials, []
    if trials < now:
        return now, [
            f"the study has {format_count(now, 'trial')}: a smaller number has no effect while others work on it"
        ]
    if trials == now or _is_grid(found):
        return trials, []
    return _raised(found, trials - now), [
        f"{format_count(trials, 'trial')} now, also for the {format_count(alive, 'worker')} at work"
    ]


def _raised(found: "OpenStudy", more: int) -> int:
    from studies.database.errors import translate_errors
    from studies.database.study_control import extend_budget

    # At once, since the others may have ended by the time that Keras is loaded here.
    with translate_errors(found.url):
        return extend_budget(found.database, found.study_id, more)


def _is_grid(found: "OpenStudy") -> bool:
    """Whether the number of trials has a limit that only the space tells; it is raised once that is known."""
    from studies.database.open_study import SETTINGS

    settings = found.study.user_attrs.get(SETTINGS)
    return isinstance(settings, dict) and settings.get("sampler") == "grid"


def _refuse(status: "StudyStatus") -> None:
    if not status.made_by_search:
        raise StudyError(f"the study {status.name!r} was not made by search: it cannot be gone on with")
    if status.stop and (ending := status.count("alive")):
        raise StudyError(
            f"study {status.name!r} is stopping ({stop_text(status.stop)}); "
            f"{format_count(ending, 'worker')} still running\nhint: retry once `search status {status.name}` shows none"
        )
