"""`search status`: a list of studies, or the state of one."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.display.disk_use import disk_lines, disk_use
from search.display.json_output import print_json
from search.display.messages import NO_BEST, Line, labelled
from search.display.screen import print_lines
from search.display.terminal import NUMBER, TEXT, print_line, show_table
from search.formatting import escape_text, format_command, format_duration, format_metric, redact, stop_text
from search.run_command import location_options
from search.saved_command import load_command, storage_of
from spaces.errors import StudyError
from studies.database.lookup import open_study, resolve_study
from studies.database.urls import redact_url, sqlite_url
from studies.status.listing import StudySummary, list_studies
from studies.status.status import StudyStatus, read_status
from studies.study_folder import COMMAND_FILE, DATABASE_FILE

STATES = ("complete", "pruned", "failed", "running", "waiting")


def show_status(study: str | None, output: Path, storage: str | None, *, as_json: bool) -> None:
    """Write the state of a study, or without one a list of all studies, to standard output.

    Raises:
        StudyError: The study was not found, or its database cannot be used.
    """
    if study is None:
        _list(output, storage, as_json=as_json)
        return

    ref = resolve_study(study, output, storage_of(study, output, storage))
    found = open_study(ref)
    status = read_status(found)
    used = disk_use(found, ref.folder)
    if as_json:
        print_json({**_json(status), "disk": used})
    else:
        typed = [study, *location_options(output, storage)]
        print_lines([*_lines(status), *disk_lines(used), *_next_lines(status, typed)])


def _list(output: Path, storage: str | None, *, as_json: bool) -> None:
    files = [] if storage is not None else sorted(output.glob(f"*/{DATABASE_FILE}"))
    rows, problems = [], []
    for url in [storage] if storage is not None else [sqlite_url(file) for file in files]:
        try:
            rows += list_studies(url)
        except StudyError as error:
            # A typed URL needs no repetition.
            problems.append(error if storage is not None else _with_database(error, redact_url(url)))
    if problems and not rows:
        raise problems[0]
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    _show(rows) if rows else print_line(f"no studies in {escape_text(output if storage is None else redact(storage))}")
    unreadable = [(label, text) for error in problems for label, text in labelled("unreadable", str(error))]
    print_lines([*unreadable, *(_remote_lines(output) if storage is None else [])])


def _with_database(error: StudyError, database: str) -> StudyError:
    """Return the error with the name of its database, unless the message contains it."""
    return error if database in str(error) else StudyError(f"{database}: {error}")


def _remote_lines(output: Path) -> list[Line]:
    """Return the studies that were started in this folder with a database on a server."""
    lines = []
    for file in sorted(output.glob(f"*/{COMMAND_FILE}")):
        try:
            saved = load_command(file.parent)
        except StudyError:
            continue
        if saved.storage:
            lines.append(("server", f"{escape_text(saved.study)} in {escape_text(redact_url(saved.storage))}"))
    return lines


def _show(rows: Sequence[StudySummary]) -> None:
    numbers = dict.fromkeys(("trials", *STATES, "best", "workers"), NUMBER)
    cells = []
    for row in rows:
        done = f"{sum(row.states.get(state, 0) for state in STATES[:3])}/{'-' if row.trials is None else row.trials}"
        counts = (str(row.states.get(state, 0)) for state in STATES)
        figures = (done, *counts, format_metric(row.best), str(row.alive))
        cells.append([escape_text(row.name), *figures, escape_text(row.storage)])
    show_table({"study": TEXT, **numbers, "database": TEXT}, cells)


def _lines(status: StudyStatus) -> list[Line]:
    return [
        ("study", f"{escape_text(status.name)} in {escape_text(status.storage)}"),
        ("workers", _workers(status)),
        *_stop_lines(status),
        ("trials", _trials(status)),
        *_throughput_lines(status),
        *_best_lines(status),
        *_export_lines(status),
    ]


def _workers(status: StudyStatus) -> str:
    if not status.made_by_search:
        return "unknown: the study was not created by search"
    lost = status.count("lost")
    return f"{status.count('alive') or 'none'} running" + (
        f", {lost} lost since the start of the study" if lost else ""
    )


def _stop_lines(status: StudyStatus) -> list[Line]:
    if not status.stop:
        return []
    workers = "workers are stopping" if status.count("alive") else "no workers left"
    return [("stop", f"requested by {stop_text(status.stop)}; {workers}")]


def _trials(status: StudyStatus) -> str:
    progress = status.progress
    active = {"running": status.running, "waiting": status.waiting}
    shown = [*progress.counts.items(), *((state, count) for state, count in active.items() if count)]
    return f"{progress.done} of {progress.trials}: {', '.join(f'{count} {state}' for state, count in shown)}"


def _throughput_lines(status: StudyStatus) -> list[Line]:
    lines = []
    if status.trials_per_hour is not None:
        lines.append(("throughput", f"{status.trials_per_hour:,.3g} trials per hour"))
    left = [f"about {format_duration(status.seconds_left)}"] if status.seconds_left else []
    if status.deadline_seconds is not None:
        left.append(f"time limit in {format_duration(max(0.0, status.deadline_seconds))}")
    if status.device_hours is not None:
        used, limit = status.device_hours
        left.append(f"{used:.2f} of {limit:g} device hours used")
    return [*lines, *([("remaining", ", ".join(left))] if left else [])]


def _best_lines(status: StudyStatus) -> list[Line]:
    best, baseline = status.progress.best, status.progress.baseline
    if best is None:
        return [("best", NO_BEST)]
    metric = f"{escape_text(status.metric)} " if status.metric else ""
    epoch = f" at epoch {best.epoch}" if best.epoch else ""
    lines = [("best", f"trial {best.number}: {metric}{format_metric(best.value)}{epoch}")]
    # Only studies created by search have a baseline, and a metric.
    if status.metric:
        lines.append(("baseline", "none" if baseline is None else f"trial 0: {format_metric(baseline)}"))
    return lines


def _export_lines(status: StudyStatus) -> list[Line]:
    lines = []
    if (info := status.exported) is not None:
        trial = info.get("trial")
        number = f" (trial {escape_text(trial[0])})" if isinstance(trial, list) and trial else ""
        folder, host = escape_text(info.get("folder", "-")), escape_text(info.get("host", "-"))
        lines.append(("export", f"{folder} on {host}{number}"))
    if status.exporting is not None:
        lines.append(("export", f"in progress on {escape_text(status.exporting)}"))
    return lines


def _next_lines(status: StudyStatus, study: list[str]) -> list[Line]:
    if not status.made_by_search:
        return []
    if status.count("alive"):
        names = ["workers", "stop"]
    else:
        names = ["resume" if status.progress.done < status.progress.trials else "trials"]
    commands = [format_command("search", name, *study) for name in names]
    return [("next" if index == 0 else "", line) for index, line in enumerate(commands)]


def _json(status: StudyStatus) -> dict[str, Any]:
    progress = status.progress
    record = asdict(status)
    for name in ("progress", "running", "waiting"):
        del record[name]
    return {
        **record,
        "trials": {"all": progress.trials, **progress.counts, "running": status.running, "waiting": status.waiting},
        "best": {**asdict(progress.best), "epoch": progress.best.epoch or None} if progress.best else None,
        "baseline": progress.baseline if status.metric else None,
        "alive": status.count("alive"),
        "lost": status.count("lost"),
    }
