"""What is said when a run is over: the gain, the test, the export, and the commands to type next."""

from collections.abc import Mapping
from typing import Any

from search.display.messages import Line
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


def summary(result: RunResult, call: RunCommand, baseline: Mapping[str, Scalar]) -> list[Line]:
    """The outcome of a run.

    Args:
        result: The outcome.
        call: What was typed.
        baseline: The space's defaults, by dotted name.
    """
    return [
        *_ending(result, call),
        *_best(result, baseline),
        *_gain(result),
        *_test(result.metrics or {}),
        *_export(result, call),
        *_seconds(result),
        *_next(result, call),
    ]


def _ending(result: RunResult, call: RunCommand) -> list[Line]:
    progress = result.progress
    states = f"{progress.complete} complete, {progress.pruned} pruned, {progress.failed} failed"
    facts = [("trials", f"{progress.done} of {progress.trials}: {states}")]
    if result.interrupted is not None:
        return [*facts, *_interruption(result, call)]
    if result.timed_out:
        return [*facts, ("time", "the time limit was reached; the same command goes on:"), ("", call.rerun_command())]
    if result.is_exhausted:
        recipes = (
            "the only recipe of the space has"
            if progress.recipes == 1
            else f"all {progress.recipes} recipes of the space have"
        )
        return [*facts, ("", f"{recipes} been evaluated: to go on, start a new study with a larger space")]
    if result.already_finished:
        more = call.rerun_command(trials=2 * max(progress.trials, progress.done))
        return [*facts, ("", "they had all been evaluated before this run; to add trials:"), ("", more)]
    return facts


def _interruption(result: RunResult, call: RunCommand) -> list[Line]:
    kept = "every trial that has ended is kept"
    if result.progress.done < result.progress.trials:
        kept += ", one that was running goes on from its last checkpoint (a hypermodel's from its start)"
    return [
        ("stopped", f"by {stop_text(result.interrupted or '')}: {kept}; the same command goes on:"),
        ("", call.rerun_command()),
    ]


def _best(result: RunResult, baseline: Mapping[str, Scalar]) -> list[Line]:
    best = result.progress.best
    if best is None:
        return [("best", _unfinished(result))]
    epoch = f" at epoch {best.epoch}" if best.epoch else ", evaluated elsewhere"
    facts = [("best", f"trial {best.number}: {escape_text(result.metric)} {format_metric(best.value)}{epoch}")]
    for name, value in best.params.items():
        if baseline.get(name, MISSING) != value:
            default = f" (baseline {format_value(baseline[name])})" if name in baseline else ""
            facts.append(("", f"{escape_text(name)} {format_value(value)}{default}"))
    return facts


def _unfinished(result: RunResult) -> str:
    """What there is without a complete trial: at most one that was stopped within its first epoch."""
    found = (result.metrics or {}).get("best")
    if not found:
        return "no trial is complete yet"
    value = f"{escape_text(result.metric)} {format_metric(found['value'])}"
    return f"no trial is complete yet; trial {found['number']}, stopped within its first epoch: {value}"


def _gain(result: RunResult) -> list[Line]:
    base, gain = result.progress.baseline, result.gain
    if result.progress.best is None:
        return []
    if base is None or gain is None:
        return [("gain", "unknown: the baseline, trial 0, has no value to compare with")]
    if gain <= 0:
        return [("gain", f"none: the search did not beat the baseline, trial 0 with {format_metric(base)}")]
    better = "above" if result.direction == "maximize" else "below"
    return [("gain", f"{format_metric(gain)} {better} the baseline, trial 0 with {format_metric(base)}")]


def _test(metrics: Mapping[str, Any]) -> list[Line]:
    test = metrics.get("test")
    if not test:
        return []
    images = sum(sum(row) for row in test["confusion_matrix"])
    on = f" on {format_count(images, 'image')} that the search never saw"
    return [("test", f"accuracy {format_metric(test['accuracy'])}, loss {format_metric(test['loss'])}{on}")]


def _export(result: RunResult, call: RunCommand) -> list[Line]:
    if result.exported_by:
        return [("export", escape_text(result.exported_by))]
    if result.export is None:
        if call.export or result.progress.best is None or result.interrupted is not None:
            return []
        return [("export", "none, as --no-export asks; the same command without it exports the best")]
    facts = [("export", escape_text(result.export)), *(("", note) for note in _weights(result.metrics or {}))]
    formats = (result.metrics or {}).get("exports") or {}
    differences = [form["max_abs_difference"] for form in formats.values() if "max_abs_difference" in form]
    if differences:
        listed = ", ".join(escape_text(name) for name, form in formats.items() if "max_abs_difference" in form)
        facts.append(("", f"{listed}; largest difference to the trained model {_small(max(differences))}"))
    head = ((result.metrics or {}).get("features") or {}).get("max_abs_difference")
    if head is not None:
        facts.append(("", f"trained on cached features; the whole network differs from its head by {_small(head)}"))
    return facts


def _weights(metrics: Mapping[str, Any]) -> list[str]:
    """Where the weights come from, if not from a whole retraining."""
    weights = metrics.get("weights") or {"from": "retraining", "complete": True}
    trial, is_complete = weights.get("trial"), weights["complete"]
    if weights["from"] == "trial":
        moment = (
            f"its best epoch, {weights['epoch']}" if is_complete else "the moment it was stopped in its first epoch"
        )
        return [f"exported the weights of trial {trial} (no time to retrain), those of {moment}"]
    if not is_complete:
        return [
            f"exported an unfinished retraining of trial {trial} (the time was over in epoch {weights['epochs'] + 1})"
        ]
    return []


def _small(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def _seconds(result: RunResult) -> list[Line]:
    stored = {} if result.already_finished else (result.metrics or {}).get("seconds", {})
    spent = {name: seconds for name, seconds in stored.items() if seconds}
    if not spent:
        return []
    # Trials may have been evaluated side by side, and in several runs.
    named = {"trials together" if name == "search" else escape_text(name): seconds for name, seconds in spent.items()}
    return [("time", ", ".join(f"{name} {format_duration(seconds)}" for name, seconds in named.items()))]


def _next(result: RunResult, call: RunCommand) -> list[Line]:
    if result.progress.done == 0:
        return []
    commands = [
        format_command("search", "trials", result.study, *location_options(call.output, call.settings.get("storage")))
    ]
    if result.export is not None:
        export = format_command(result.export)
        commands = [f"search predict {export} IMAGE", f"search evaluate {export} FOLDER", *commands]
    return [("next" if index == 0 else "", line) for index, line in enumerate(commands)]
