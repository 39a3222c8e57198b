"""The table of a study's workers in the live view, and the best trial."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from search.display.messages import NO_BEST
from search.display.run_state import RunState
from search.formatting import escape_text, format_count, format_elapsed, format_metric, format_value
from studies.outcome import Activity, WorkerInfo

HEADINGS = ("worker", "device", "trial", "epoch", "value", "activity")
MIN_ROWS = 2


def worker_table(workers: Sequence[WorkerInfo], rows: int) -> list[RenderableType]:
    """Return a heading and one line per worker, lost ones last, in at most `rows` lines."""
    if rows < MIN_ROWS:
        return []
    ordered = sorted(workers, key=lambda worker: not worker.is_alive)
    room = rows - 1 if len(ordered) < rows else rows - 2
    shown, hidden = ordered[:room], ordered[room:]
    table = Table.grid(expand=True, padding=(0, 2, 0, 0))
    for heading in HEADINGS[:-1]:
        table.add_column(justify="right" if heading in ("trial", "epoch", "value") else "left", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_row(*(Text(f" {heading}" if heading == HEADINGS[0] else heading, "dim") for heading in HEADINGS))
    for worker in shown:
        table.add_row(*_row(worker))
    return [table, Text(f" … {_hidden_count(hidden)}", "dim")] if hidden else [table]


def _row(worker: WorkerInfo) -> list[Text]:
    style = "" if worker.is_alive else "red"
    trains = worker.is_alive and worker.trial_number is not None
    activity = (
        worker.activity if worker.is_alive else f"lost, no heartbeat for {format_elapsed(worker.heartbeat_seconds)}"
    )
    return [
        Text(f" {escape_text(worker.name)}", style),
        Text(escape_text(worker.device), style or "dim"),
        Text(f"#{worker.trial_number}" if trains else "", "bold cyan"),
        Text(f"{worker.epoch or 0}/{worker.epochs}" if trains and worker.epochs else ""),
        Text(format_metric(worker.metric_value) if trains and worker.metric_value is not None else ""),
        Text("" if trains and activity == Activity.TRAINING else escape_text(activity), style or "dim"),
    ]


def _hidden_count(hidden: Sequence[WorkerInfo]) -> str:
    lost = sum(not worker.is_alive for worker in hidden)
    return f"{format_count(len(hidden), 'more worker')}{f', {lost} of them lost' if lost else ''}"


def best_trial_lines(state: RunState, width: int) -> list[RenderableType]:
    """Return an empty line and the best trial, its parameters on a second line."""
    best = state.progress.best
    if best is None or state.study is None:
        return [Text(), Text(f" {NO_BEST}", "dim")]
    head = f" best: trial {best.number}  {escape_text(state.study.metric)} {format_metric(best.value)}"
    line = Text.assemble((head, "bold green"), no_wrap=True, overflow="ellipsis")
    if state.progress.baseline is not None:
        line.append(f"  baseline {format_metric(state.progress.baseline)}", "dim")
    params = " · ".join(f"{escape_text(name)} {format_value(value)}" for name, value in best.params.items())
    return [Text(), line, Text(f" {params}", "dim", no_wrap=True, overflow="ellipsis")]
