"""The summary of a run: trials, best trial, gain, test, export, and the commands to run next."""

from collections.abc import Mapping
from typing import Any

from search.display.messages import NO_BEST, Line
from search.formatting import (
    escape_text,
    format_command,
    format_count,
    format_duration,
    format_metric,
    format_value,
    stop_text,
)
from search.run_command import RunCommand, location_options
from spaces.parameters import MISSING, Scalar
from studies.outcome import RunResult


def summary(result: RunResult, command: RunCommand, baseline: Mapping[str, Scalar]) -> list[Line]:
    """Return the outcome of a run as lines, given the defaults of the space by dotted name."""
    return [
        *_trial_lines(result, command),
        *_best_lines(result, baseline),
        *_gain_lines(result),
        *_test_lines(result.metrics or {}),
        *_export_lines(result, command),
        *_time_lines(result),
        *_next_lines(result, command),
    ]


def _trial_lines(result: RunResult, command: RunCommand) -> list[Line]:
    progress = result.progress
    states = ", ".join(f"{count} {state}" for state, count in progress.counts.items())
    trials = ("trials", f"{progress.done} of {progress.trials}: {states}")
    if result.interrupted is not None:
        saved = "Finished trials are saved" if progress.done else "Nothing is lost"
        if progress.done < progress.trials:
            saved += "; interrupted trials resume from their last checkpoint (KerasTuner models restart)"
        stopped = ("stopped", f"by {stop_text(result.interrupted)}. {saved}. Resume with:")
        return [trials, stopped, ("", command.rerun_command())]
    if result.timed_out:
        return [trials, ("stopped", "time limit reached. Resume with:"), ("", command.rerun_command())]
    if result.is_exhausted:
        recipes = "the only recipe" if progress.recipes == 1 else f"all {progress.recipes} recipes"
        return [trials, ("", f"{recipes} of the space done. To continue, start a new study with a larger space.")]
    if result.already_finished:
        more = command.rerun_command(trials=2 * max(progress.trials, progress.done))
        return [trials, ("", "all trials were already done. To add trials, run:"), ("", more)]
    return [trials]


def _best_lines(result: RunResult, baseline: Mapping[str, Scalar]) -> list[Line]:
    best = result.progress.best
    if best is None:
        return [("best", _unfinished(result))]
    epoch = f" at epoch {best.epoch}" if best.epoch else ", evaluated elsewhere"
    lines = [("best", f"trial {best.number}: {escape_text(result.metric)} {format_metric(best.value)}{epoch}")]
    for name, value in best.params.items():
        if baseline.get(name, MISSING) != value:
            default = f" (baseline {format_value(baseline[name])})" if name in baseline else ""
            lines.append(("", f"{escape_text(name)} {format_value(value)}{default}"))
    return lines


def _unfinished(result: RunResult) -> str:
    """Return the text for a run without a completed trial; one may have been stopped within its first epoch."""
    trial = (result.metrics or {}).get("best")
    if not trial:
        return NO_BEST
    value = f"{escape_text(result.metric)} {format_metric(trial['value'])}"
    return f"{NO_BEST}; trial {trial['number']}, stopped within its first epoch: {value}"


def _gain_lines(result: RunResult) -> list[Line]:
    baseline, gain = result.progress.baseline, result.gain
    if result.progress.best is None:
        return []
    if baseline is None or gain is None:
        return [("gain", "unknown: the baseline trial has no value")]
    if gain <= 0:
        return [("gain", f"none; baseline (trial 0): {format_metric(baseline)}")]
    difference = f"+{format_metric(gain)} over" if result.direction == "maximize" else f"{format_metric(gain)} below"
    return [("gain", f"{difference} the baseline ({format_metric(baseline)})")]


def _test_lines(metrics: Mapping[str, Any]) -> list[Line]:
    test = metrics.get("test")
    if not test:
        return []
    images = format_count(sum(sum(row) for row in test["confusion_matrix"]), "held-out image")
    accuracy = format_metric(test["accuracy"])
    if interval := test.get("accuracy_interval"):
        accuracy += f" ({format_metric(interval[0])} to {format_metric(interval[1])} with 95% confidence)"
    return [("test", f"accuracy {accuracy}, loss {format_metric(test['loss'])} on {images}")]


def _export_lines(result: RunResult, command: RunCommand) -> list[Line]:
    if result.exported_by:
        return [("export", escape_text(result.exported_by))]
    if result.export is None and result.untested is not None:
        return [("export", f"{escape_text(result.untested)} (not yet tested)")]
    if result.export is None:
        if command.export or result.progress.best is None or result.interrupted is not None:
            return []
        return [("export", "none (--no-export). To export the best trial, run the command without it.")]
    metrics = result.metrics or {}
    lines = [("export", escape_text(result.export)), *(("", note) for note in _weights_notes(metrics))]
    formats = metrics.get("exports") or {}
    differences = {
        escape_text(name): form["max_abs_difference"] for name, form in formats.items() if "max_abs_difference" in form
    }
    if differences:
        largest = _small(max(differences.values()))
        lines.append(("", f"{', '.join(differences)} (max. difference from trained model: {largest})"))
    head = (metrics.get("features") or {}).get("max_abs_difference")
    if head is not None:
        lines.append(("", f"trained on cached features (max. difference to full model: {_small(head)})"))
    return lines


def _weights_notes(metrics: Mapping[str, Any]) -> list[str]:
    """Return the source of the weights, unless it is a finished retraining."""
    weights = metrics.get("weights") or {"from": "retraining", "complete": True}
    trial, is_complete = weights.get("trial"), weights["complete"]
    if weights["from"] == "trial":
        epoch = f"best epoch, {weights['epoch']}" if is_complete else "stopped within the first epoch"
        return [f"weights of trial {trial} ({epoch}): no time to retrain"]
    if not is_complete:
        return [f"unfinished retraining of trial {trial}: time limit reached in epoch {weights['epochs'] + 1}"]
    return []


def _small(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def _time_lines(result: RunResult) -> list[Line]:
    stored = {} if result.already_finished else (result.metrics or {}).get("seconds", {})
    spent = {name: seconds for name, seconds in stored.items() if seconds}
    if not spent:
        return []
    # The sum over all trials, of several workers and runs.
    named = {"trials (total)" if name == "search" else escape_text(name): seconds for name, seconds in spent.items()}
    return [("time", ", ".join(f"{name} {format_duration(seconds)}" for name, seconds in named.items()))]


def _next_lines(result: RunResult, command: RunCommand) -> list[Line]:
    if result.progress.done == 0:
        return []
    commands = [
        format_command(
            "search", "trials", result.study, *location_options(command.output, command.settings.get("storage"))
        )
    ]
    if result.export is not None:
        export = format_command(result.export)
        commands = [f"search predict {export} IMAGE", f"search evaluate {export} FOLDER", *commands]
    return [("next" if index == 0 else "", line) for index, line in enumerate(commands)]
