"""`search status`: the studies of a database, or how one of them stands."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.display.disk_use import disk_facts, disk_use
from search.display.json_output import print_json
from search.display.messages import Line
from search.display.screen import print_lines
from search.display.terminal import print_line, show_table
from search.formatting import escape_text, format_command, format_duration, format_metric, redact, stop_text
from search.run_command import location_options
from search.saved_command import load_command, storage_of
from spaces.errors import StudyError
from studies.study_folder import COMMAND_FILE, DATABASE_FILE

if TYPE_CHECKING:
    from studies.status.listing import StudySummary
    from studies.status.status import StudyStatus

STATES = ("complete", "pruned", "failed", "running", "waiting")


def show_status(study: str | None, output: Path, storage: str | None, *, as_json: bool) -> None:
    """Write how a study stands, or a list of all studies, to standard output.

    Args:
        study: Name of the study, or its folder; None for all of the database, or of the folder of all studies.
        output: Folder of all studies.
        storage: URL of the database, or None.
        as_json: As JSON.

    Raises:
        StudyError: There is no such study, or its database cannot be used.
    """
    if study is None:
        _list(output, storage, as_json=as_json)
        return
    from studies.database.lookup import open_study, resolve_study
    from studies.status.status import read_status

    ref = resolve_study(study, output, storage_of(study, output, storage))
    found = open_study(ref)
    status = read_status(found)
    used = disk_use(found, ref.folder)
    if as_json:
        print_json({**_form(status), "disk": used})
    else:
        print_lines([*_facts(status), *disk_facts(used), *_next(status, [study, *location_options(output, storage)])])


def _list(output: Path, storage: str | None, *, as_json: bool) -> None:
    from studies.database.urls import redact_url, sqlite_url
    from studies.status.listing import list_studies

    files = [] if storage is not None else sorted(output.glob(f"*/{DATABASE_FILE}"))
    rows, problems = [], []
    for url in [storage] if storage is not None else [sqlite_url(file) for file in files]:
        try:
            rows += list_studies(url)
        except StudyError as error:
            # What was typed as a URL is known to whoever typed it, and may hold a password.
            problems.append(error if storage is not None else _with_place(error, redact_url(url)))
    if problems and not rows:
        raise problems[0]
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    _show(rows) if rows else print_line(f"no studies in {escape_text(output if storage is None else redact(storage))}")
    elsewhere = [] if storage is not None else _elsewhere(output)
    print_lines([*(("unreadable", escape_text(error)) for error in problems), *elsewhere])


def _with_place(error: StudyError, place: str) -> StudyError:
    """The error with the database that it is about, unless its message names it."""
    return error if place in str(error) else StudyError(f"{place}: {error}")


def _elsewhere(output: Path) -> list[Line]:
    """The studies that were started in this folder and are kept on a server."""
    facts = []
    for file in sorted(output.glob(f"*/{COMMAND_FILE}")):
        try:
            known = load_command(file.parent)
        except StudyError:
            continue
        if known.storage:
            from studies.database.urls import redact_url

            facts.append(("elsewhere", f"{escape_text(known.study)} in {escape_text(redact_url(known.storage))}"))
    return facts


def _show(rows: "Sequence[StudySummary]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("study", "trials", "complete", "pruned", "failed", "running", "waiting", "best", "workers"):
        table.add_column(heading, justify="left" if heading == "study" else "right", no_wrap=heading != "study")
    table.add_column("database", overflow="fold")
    for row in rows:
        ended = sum(row.states.get(state, 0) for state in STATES[:3])
        done = f"{ended}/{'-' if row.trials is None else row.trials}"
        counts = (str(row.states.get(state, 0)) for state in STATES)
        table.add_row(
            escape_text(row.name), done, *counts, format_metric(row.best), str(row.alive), escape_text(row.storage)
        )
    show_table(table)


def _facts(status: "StudyStatus") -> list[Line]:
    return [
        ("study", f"{escape_text(status.name)} in {escape_text(status.storage)}"),
        ("workers", _workers(status)),
        *_ending(status),
        ("trials", _trials(status)),
        *_pace(status),
        *_best(status),
        *_export(status),
    ]


def _workers(status: "StudyStatus") -> str:
    if not status.made_by_search:
        return "not known: the study was not made by this search"
    lost = status.count("lost")
    return f"{status.count('alive') or 'none'} alive" + (f", {lost} lost since the study began" if lost else "")


def _ending(status: "StudyStatus") -> list[Line]:
    if not status.stop:
        return []
    what = "the workers are ending" if status.count("alive") else "no worker is left"
    return [("stop", f"asked for by {stop_text(status.stop)}: {what}")]


def _trials(status: "StudyStatus") -> str:
    progress = status.progress
    ended = f"{progress.complete} complete, {progress.pruned} pruned, {progress.failed} failed"
    others = [
        f"{count} {state}" for state, count in (("running", status.running), ("waiting", status.waiting)) if count
    ]
    return f"{progress.done} of {progress.trials}: {'; '.join([ended, *([', '.join(others)] if others else [])])}"


def _pace(status: "StudyStatus") -> list[Line]:
    facts = []
    if status.trials_per_hour is not None:
        facts.append(("pace", f"{status.trials_per_hour:,.3g} trials an hour"))
    left = [f"about {format_duration(status.seconds_left)} at this pace"] if status.seconds_left else []
    if status.deadline_seconds is not None:
        left.append(f"at most {format_duration(max(0.0, status.deadline_seconds))}: the time limit")
    if status.device_hours is not None:
        used, limit = status.device_hours
        left.append(f"{used:.2f} of {limit:g} device hours used")
    return [*facts, *([("left", "; ".join(left))] if left else [])]


def _best(status: "StudyStatus") -> list[Line]:
    best, base = status.progress.best, status.progress.baseline
    if best is None:
        return [("best", "no trial is complete yet")]
    of = f"{escape_text(status.metric)} " if status.metric else ""
    epoch = f" at epoch {best.epoch}" if best.epoch else ""
    facts = [("best", f"trial {best.number}: {of}{format_metric(best.value)}{epoch}")]
    # The first trial of a study that search did not make is none.
    baseline = [("baseline", "none" if base is None else f"trial 0: {format_metric(base)}")] if status.metric else []
    return [*facts, *baseline]


def _export(status: "StudyStatus") -> list[Line]:
    facts = []
    if status.exported is not None:
        what = status.exported
        trial = what.get("trial")
        of = f" (trial {escape_text(trial[0])})" if isinstance(trial, list) and trial else ""
        facts.append(("export", f"{escape_text(what.get('folder', '-'))} on {escape_text(what.get('host', '-'))}{of}"))
    if status.exporting is not None:
        facts.append(("export", f"being made on {escape_text(status.exporting)}"))
    return facts


def _next(status: "StudyStatus", study: list[str]) -> list[Line]:
    if not status.made_by_search:
        return []
    if status.count("alive"):
        names = ["workers", "stop"]
    else:
        names = ["resume" if status.progress.done < status.progress.trials else "trials"]
    commands = [format_command("search", name, *study) for name in names]
    return [("next" if index == 0 else "", line) for index, line in enumerate(commands)]


def _form(status: "StudyStatus") -> dict[str, Any]:
    progress = status.progress
    counts = {"complete": progress.complete, "pruned": progress.pruned, "failed": progress.failed}
    form = asdict(status)
    for name in ("progress", "running", "waiting"):
        del form[name]
    return {
        **form,
        "trials": {"all": progress.trials, **counts, "running": status.running, "waiting": status.waiting},
        "best": {**asdict(progress.best), "epoch": progress.best.epoch or None} if progress.best else None,
        "baseline": progress.baseline if status.metric else None,
        "alive": status.count("alive"),
        "lost": status.count("lost"),
    }
