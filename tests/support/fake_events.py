"""Events of a run that never trains, as `studies.run.run` reports them."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from spaces import Custom, Digits, Float, Int, Space, baseline
from studies.data.dataset import Dataset, Skipped, Split
from studies.events import EpochEnded, RetrainingStarted, StudyOpened, TrialEnded, TrialStarted
from studies.outcome import Best, Progress, RunResult, TrialOutcome
from studies.status.trial_table import TrialSummary

METRICS = {
    "test": {"accuracy": 0.98612, "loss": 0.05123, "confusion_matrix": [[180, 2], [3, 175]]},
    "exports": {"keras": {"max_abs_difference": 1.2e-7}, "saved_model": {"skipped": "the backend is not TensorFlow"}},
    "seconds": {"search": 58.2, "retrain": 9.4, "export": 5.0},
}


def long_space(parameters=25):
    """Return a space with many parameters of long names."""
    own = {f"a_very_long_parameter_name_{index:02d}_of_the_network": Int(1, 10**6) for index in range(parameters - 5)}
    return Space(data=Digits(), model=Custom(long_space, **own))


def dataset(classes=tuple("0123456789"), skipped=()):
    """Return a small data set of black images."""
    splits = [Split(np.zeros((count, 8, 8, 1), np.uint8), np.arange(count) % 10) for count in (100, 30, 40)]
    return Dataset(*splits, tuple(classes), tuple(skipped))


def opened(progress, **changed):
    """Return the event of an opened study."""
    made = StudyOpened(
        "digits", "sqlite:////runs/digits/study.db", "val_accuracy", False, progress, None, "2 CPU cores (tensorflow)"
    )
    return replace(made, **changed)


def result(**changed):
    """Return the result of three trials, of which trial 2 is the best."""
    best = Best(2, 0.9871, 7, {"dropout": 0.31234, "learning_rate": 0.001})
    progress = Progress(3, complete=2, pruned=1, baseline=0.9767, best=best)
    made = RunResult("digits", "val_accuracy", "maximize", progress, METRICS, Path("runs/digits/best"))
    return replace(made, **changed)


def play(listener, space, epochs=3):
    """Report three trials, one of them pruned."""
    listener.on_data_progress(0, 170)
    listener.on_data_progress(170, 170)
    listener.on_data_ready(dataset(skipped=[Skipped("a/[red]b\nc.jpg", "is not an image")]).summary())
    progress = Progress(3)
    listener.on_study_opened(opened(progress))
    for number, (state, value) in enumerate([("complete", 0.9767), ("pruned", 0.91), ("complete", 0.9871)]):
        play_trial(listener, space, number, state, value, epochs)
    listener.on_retraining(RetrainingStarted(2, epochs, 130))
    listener.on_epoch_ended(EpochEnded(None, 1, epochs, {"loss": 0.1}))
    listener.on_exporting()


def play_trial(listener, space, number, state, value, epochs=3):
    """Report one trial from its start to its end."""
    params = {**baseline(space), "dropout": 0.2 + number / 10}
    listener.on_trial_started(TrialStarted(number, params, epochs))
    for epoch in range(1, epochs + 1):
        metrics = {"loss": 1 / epoch, "val_loss": 0.5, "val_accuracy": value}
        listener.on_epoch_ended(EpochEnded(number, epoch, epochs, metrics))
    best = Best(number, value, epochs, params) if state == "complete" else None
    progress = Progress(3, number + (state == "complete"), int(state == "pruned"), 0, 0.9767, best)
    reason = "" if state == "complete" else "worse than the other trials [bold]at\nepoch 3"
    listener.on_trial_ended(TrialEnded(number, TrialOutcome(state, value, epochs, epochs, 83.0, reason), progress))


def trial_rows():
    """Return trials as `read_trials` does, with values that need quoting."""
    params = {"dropout": 0.2, "patience": None, "epochs": 3}
    return [
        TrialSummary(0, "complete", 0.9767, 3, 3, 8.2, "", params),
        TrialSummary(1, "failed", None, None, 0, 1.0, 'out of "memory", a lot\nof it [red]', params),
        TrialSummary(2, "waiting", None, None, 0, None, "", {"dropout": 0.123456, "model.größe": "größer, als"}),
    ]


def module(name, **attributes):
    """Return a module to replace one that would import Keras."""
    made = ModuleType(name)
    vars(made).update(attributes)
    return made


WIDE_SPACE = Space(data=Digits(), dropout=Float(0.0, 0.6, default=0.2))
