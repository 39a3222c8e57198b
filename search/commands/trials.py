"""`search trials`: all trials of a study, as a table or CSV."""

import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from search.display.terminal import NAME, NUMBER, STATES, print_line, show_table
from search.formatting import escape_text, format_duration, format_metric, format_value, shortest
from search.saved_command import storage_of
from spaces.parameters import MISSING
from studies.status.trial_table import TrialSummary, summarize_trials

# The space may have a parameter called `epochs`, so this column has a longer name.
COLUMNS = (
    "number",
    "state",
    "value",
    "epoch",
    "epochs_trained",
    "seconds",
    "trained_on",
    "worker_host",
    "attempts",
    "reason",
)


def list_trials(study: str, output: Path, storage: str | None, *, as_csv: bool) -> None:
    """Write a study's trials to standard output.

    Raises:
        StudyError: The study was not found, or its database cannot be used.
    """
    trials = summarize_trials(study, output, storage_of(study, output, storage))
    if as_csv:
        _write_csv(trials)
    elif trials:
        _show(trials)
    else:
        print_line("no trials yet")


def _write_csv(trials: Sequence[TrialSummary]) -> None:
    names = list({name: None for trial in trials for name in trial.params})
    writer = csv.writer(sys.stdout)
    writer.writerow([*COLUMNS, *names])
    for trial in trials:
        value, seconds = shortest(trial.value), shortest(trial.seconds)
        numbers = (trial.number, trial.state, value, trial.epoch, trial.epochs, seconds)
        own = (*numbers, trial.trained_on, trial.host, trial.attempts, trial.reason)
        writer.writerow([*own, *(str(shortest(trial.params[name])) if name in trial.params else "" for name in names)])


def _show(trials: Sequence[TrialSummary]) -> None:
    columns = {"trial": NUMBER, "state": NAME, "value": NUMBER, "epoch": NUMBER, "time": NUMBER}
    optional: list[Callable[[TrialSummary], str]] = []
    if len({trial.trained_on for trial in trials} - {""}) > 1:
        columns["trained on"] = NAME
        optional.append(lambda trial: trial.trained_on or "-")
    if len({trial.host for trial in trials} - {""}) > 1:
        columns["host"] = NAME
        optional.append(lambda trial: escape_text(trial.host or "-"))
    if any(trial.attempts > 1 for trial in trials):
        columns["attempts"] = NUMBER
        optional.append(lambda trial: str(trial.attempts))
    # On a terminal the last column is cut, so that each trial has one line.
    columns["changes from baseline"] = {**NAME, "ratio": 1, "overflow": "ellipsis"}
    rows = (
        [
            *(str(trial.number), (trial.state, STATES.get(trial.state, "")), format_metric(trial.value)),
            *(f"{trial.epoch or '-'}/{trial.epochs}", format_duration(trial.seconds)),
            *(cell(trial) for cell in optional),
            (_note(trial, trials[0]), "dim"),
        ]
        for trial in trials
    )
    show_table(columns, rows, expand=sys.stdout.isatty())


def _note(trial: TrialSummary, baseline: TrialSummary) -> str:
    if trial.number == baseline.number:
        return "; ".join(["baseline", *([escape_text(trial.reason)] if trial.reason else [])])
    if trial.state == "failed":
        return escape_text(trial.reason)
    changed = {name: value for name, value in trial.params.items() if baseline.params.get(name, MISSING) != value}
    return (
        ", ".join(f"{escape_text(name)} {format_value(value)}" for name, value in changed.items())
        or "identical to baseline"
    )
