"""`search workers`: every process that works on a study, on whatever machine."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from search.display.json_output import say_json
from search.display.terminal import say, show_table
from search.formatting import clean, duration, metric, plural
from search.saved_command import storage_of

if TYPE_CHECKING:
    from studies.status.status import WorkerRow

STATES = {"alive": "green", "lost": "red", "ended": "dim"}


def list_workers(study: str, output: Path, storage: str | None, *, ended: bool, as_json: bool) -> None:
    """Write a study's workers to standard output.

    Args:
        study: Name of the study, or its folder.
        output: Folder of all studies.
        storage: URL of the database, or None.
        ended: Also those that have ended in good order.
        as_json: As JSON.

    Raises:
        StudyError: There is no such study, or its database cannot be used.
    """
    from studies.database.lookup import find
    from studies.status.status import read_workers

    found = find(study, output, storage_of(study, output, storage))
    known = [row for _, row in read_workers(found)]
    rows = [row for row in known if ended or row.state != "ended"]
    if as_json:
        say_json([asdict(row) for row in rows])
    elif rows:
        _show(rows)
    else:
        left = f": {plural(len(known), 'worker')} ended in good order (--all lists them)" if known else ""
        say(f"nobody works on {clean(found.name)}{left}")


def _show(rows: "list[WorkerRow]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("host", "pid", "state", "heard of", "at work", "device", "does", "log"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells: list[str | Text] = [clean(row.host), str(row.pid), Text(clean(row.state), STATES.get(row.state, ""))]
        cells += [f"{duration(row.heartbeat_seconds)} ago", duration(row.running_seconds)]
        table.add_row(*cells, clean(row.device), does(row), clean(row.log or "-"))
    show_table(table)


def does(worker: "WorkerRow") -> str:
    """What a worker does, in words."""
    if worker.state != "alive" or worker.trial is None:
        return clean(worker.doing) if worker.state == "alive" else f"was {clean(worker.doing)}"
    epoch = f", epoch {worker.epoch or 0} of {worker.epochs}" if worker.epochs else ""
    value = f", {metric(worker.value)}" if worker.value is not None else ""
    return f"{clean(worker.doing)} trial {worker.trial}{epoch}{value}"
