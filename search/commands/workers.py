"""`search workers`: the workers of a study on all machines."""

from dataclasses import asdict
from pathlib import Path

from search.display.json_output import print_json
from search.display.terminal import TEXT, print_line, show_table
from search.formatting import escape_text, format_duration, format_metric
from search.saved_command import storage_of
from studies.database.errors import translate_errors
from studies.database.lookup import open_study, resolve_study
from studies.database.workers import read_workers
from studies.outcome import WorkerInfo

STATES = {"alive": "green", "lost": "red", "ended": "dim"}


def list_workers(study: str, output: Path, storage: str | None, *, include_ended: bool, as_json: bool) -> None:
    """Write a study's workers to standard output.

    Raises:
        StudyError: The study was not found, or its database cannot be used.
    """
    found = open_study(resolve_study(study, output, storage_of(study, output, storage)))
    known: tuple[WorkerInfo, ...] = ()
    if found.created_by_search:
        with translate_errors(found.url):
            known = found.database.read(lambda connection: read_workers(connection, found.study_id))
    rows = [row for row in known if include_ended or row.state != "ended"]
    if as_json:
        print_json([asdict(row) for row in rows])
    elif rows:
        _show(rows)
    else:
        ended = f" ({len(known)} stopped normally; list with --include-ended)" if known else ""
        print_line(f"no running workers on {escape_text(found.name)}{ended}")


def _show(rows: list[WorkerInfo]) -> None:
    headings = ("host", "pid", "state", "last heartbeat", "uptime", "device", "activity", "log")
    cells = (
        [
            *(escape_text(row.host), str(row.pid), (escape_text(row.state), STATES.get(row.state, ""))),
            *(f"{format_duration(row.heartbeat_seconds)} ago", format_duration(row.running_seconds)),
            *(escape_text(row.device), activity_text(row), escape_text(row.log or "-")),
        ]
        for row in rows
    )
    show_table(dict.fromkeys(headings, TEXT), cells)


def activity_text(worker: WorkerInfo) -> str:
    """Return what a worker is doing, or was doing when it stopped."""
    if not worker.is_alive or worker.trial_number is None:
        return escape_text(worker.activity) if worker.is_alive else f"was {escape_text(worker.activity)}"
    epoch = f", epoch {worker.epoch or 0} of {worker.epochs}" if worker.epochs else ""
    value = f", {format_metric(worker.metric_value)}" if worker.metric_value is not None else ""
    return f"{escape_text(worker.activity)} trial {worker.trial_number}{epoch}{value}"
