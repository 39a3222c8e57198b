"""Lines about a run's space, data and study: labels and texts, the same for every kind of output."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from search.formatting import escape_text, format_count, format_duration, format_metric, format_value, redact, stop_text
from spaces import KerasTunerModel, baseline, combinations, flatten
from spaces.parameters import Scalar
from spaces.space import Space
from spaces.training import METRICS
from studies.events import DataReady, RetrainingStarted, StudyOpened, TrialEnded
from studies.outcome import COMPLETE, WAITING
from studies.settings import Study
from studies.stop_request import StopReason

Line: TypeAlias = tuple[str, str]
"""A label, empty to continue the line before, and a text."""

MAX_CLASSES = 12
MAX_SKIPPED = 5
IMBALANCE = 1.5
"""Ratio of the largest class to the smallest above which classes are reported as imbalanced."""
NO_BEST = "no completed trial yet"


def labelled(label: str, text: str) -> list[Line]:
    """Return a text of several lines with the label on the first one."""
    return [(label if index == 0 else "", escape_text(line)) for index, line in enumerate(text.splitlines())]


def space_lines(space: Space) -> list[Line]:
    """Return the size of the space, and the metric."""
    size = format_count(len(flatten(space)), "parameter")
    if isinstance(space.model, KerasTunerModel):
        size += f" and the hyperparameters of {space.model.name}"
    else:
        size += f" ({_combinations(combinations(space))})"
    goal = "maximizing" if METRICS[space.metric] == "maximize" else "minimizing"
    return [("space", f"{size}; {goal} {space.metric}")]


def search_lines(study: Study) -> list[Line]:
    """Return the settings of the search."""
    limit = f", time limit {format_duration(float(study.timeout))}" if study.timeout else ""
    settings = f"sampler {study.sampler}, pruner {study.pruner}, seed {study.seed}"
    return [("search", f"{format_count(study.trials, 'trial')}, {settings}{limit}")]


def baseline_lines(space: Space, hyperparameters: Mapping[str, Scalar]) -> list[Line]:
    """Return the values of trial 0, KerasTuner hyperparameters included."""
    values = [f"{name} {format_value(value)}" for name, value in {**baseline(space), **hyperparameters}.items()]
    return [("baseline", ", ".join(values) or "no parameters: the study has one trial")]


def data_lines(event: DataReady) -> list[Line]:
    """Return the shape and number of the images by split and class, skipped files, and notices."""
    shape = "x".join(str(side) for side in event.image_shape)
    sizes = ", ".join(f"{name} {sum(counts):,}" for name, counts in event.images.items())
    data = ("data", f"{format_count(len(event.classes), 'class')}, images {shape}: {sizes}")
    return [data, *_class_lines(event), *_balance_lines(event), *skipped_lines(event.skipped), *_notes(event.notices)]


def study_lines(event: StudyOpened) -> list[Line]:
    """Return the device, the study and its progress, its database, and notices."""
    progress = event.progress
    state = f"resumed, {progress.done} of {format_count(progress.trials, 'trial')} done" if event.resumed else "new"
    return [
        ("device", escape_text(event.device)),
        ("study", f"{escape_text(event.name)} ({state})"),
        ("storage", escape_text(redact(event.storage))),
        *_notes(event.notices),
    ]


def trial_line(event: TrialEnded) -> str:
    """Return how a trial ended, with the best trial so far."""
    outcome, best, reason = event.outcome, event.progress.best, stop_text(event.outcome.reason)
    ending = "returned to the queue" if outcome.state == WAITING else outcome.state
    if reason:
        ending = reason if reason.startswith(outcome.state) else f"{ending} ({reason})"
    value = "" if outcome.value is None else f": {format_metric(outcome.value)}"
    has_epochs = outcome.state == COMPLETE and outcome.epoch and outcome.epochs > 1
    epoch = f" at epoch {outcome.epoch} of {outcome.epochs}" if has_epochs else ""
    so_far = f" (best {format_metric(best.value)}, trial {best.number})" if best else ""
    return f"trial {event.number} {ending}{value}{epoch}, {format_duration(outcome.seconds)}{so_far}"


def retraining_line(event: RetrainingStarted) -> str:
    """Return which trial is retrained, on how many images, for how long."""
    epochs, images = format_count(event.epochs, "epoch"), format_count(event.images, "image")
    return f"trial {event.number} on train + validation ({images}, {epochs})"


def export_line(trial: int | None) -> str:
    """Return what is done at the end; without time to retrain, with the weights of a trial."""
    weights = "" if trial is None else f" with the weights of trial {trial} (no time to retrain)"
    return f"Testing and exporting the model{weights}"


def stopping_line(reason: str) -> str:
    """Return what a stop request does, and how to stop at once."""
    again = "press Ctrl-C again to quit immediately"
    return f"Stopping after this step ({again if reason == StopReason.SIGINT else stop_text(reason)})"


def skipped_lines(skipped: Sequence[tuple[str, str]]) -> list[Line]:
    """Return the first few of the skipped files, with reasons."""
    if not skipped:
        return []
    shown = [("", f"{escape_text(path)}: {escape_text(reason)}") for path, reason in skipped[:MAX_SKIPPED]]
    more = len(skipped) - len(shown)
    rest = [("", f"… and {format_count(more, 'more file')}")] if more > 0 else []
    return [("skipped", format_count(len(skipped), "file")), *shown, *rest]


def _notes(notices: Sequence[str]) -> list[Line]:
    return [line for notice in notices for line in labelled("note", notice)]


def _combinations(count: float) -> str:
    if count < 1e15:
        return format_count(int(count), "combination")
    return "continuous" if math.isinf(count) else f"{count:.1g} combinations"


def _class_lines(event: DataReady) -> list[Line]:
    names = [_cut(escape_text(name)) for name in event.classes[:MAX_CLASSES]]
    width = max((len(name) for name in names), default=0)
    lines = [("", f"{'':{width}}  {'train':>9} {'validation':>10} {'test':>9}")]
    for name, train, validation, test in zip(names, *event.images.values(), strict=False):
        lines.append(("", f"{name:{width}}  {train:>9,} {validation:>10,} {test:>9,}"))
    more = len(event.classes) - len(names)
    return [*lines, *([("", f"… and {format_count(more, 'more class')}")] if more > 0 else [])]


def _balance_lines(event: DataReady) -> list[Line]:
    """Return the accuracy of always predicting the largest class, if classes are imbalanced."""
    train = event.images["train"]
    largest = max(range(len(train)), key=train.__getitem__)
    if train[largest] < IMBALANCE * min(train):
        return []
    splits = [(name, event.images[name]) for name in ("validation", "test")]
    scores = [f"{counts[largest] / sum(counts):.4f} on {name}" for name, counts in splits if sum(counts)]
    name = repr(_cut(escape_text(event.classes[largest])))
    return [("balance", f"imbalanced classes: always predicting {name} gives accuracy {' and '.join(scores)}")]


def _cut(name: str, width: int = 30) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"
