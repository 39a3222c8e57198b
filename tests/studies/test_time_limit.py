"""A time limit bounds the whole command, which exports a tested model if one step was trained."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from spaces import Custom, Digits, Int, KerasTunerModel, Space
from spaces.errors import NoResultError
from spaces.space import baseline, resolve
from studies import Study
from studies.data.sources import load
from studies.events import EpochEnded, RetrainingStarted
from studies.stop_request import StopRequest
from studies.workers.context import WorkerContext
from tests.studies.keras_tuner.hypermodels import Dense
from tests.support.fakes import TINY, Recorder, run_space

LIMIT = 1000.0
SPACE = replace(TINY, epochs=3, learning_rate=0.01, dropout=0.1)


@dataclass
class TimeIsOver(Recorder):
    """Lets the time limit pass at one event."""

    at: str = ""
    now: float = 0.0
    after_epochs: int = 1
    exported_trials: list[int | None] = field(default_factory=list)

    def _pass(self, name: str) -> None:
        if name == self.at:
            self.now += 2 * LIMIT

    def on_data_ready(self, event) -> None:
        self._pass("data")

    def on_trial_started(self, event) -> None:
        super().on_trial_started(event)
        self._pass("trial")

    def on_epoch_ended(self, event) -> None:
        super().on_epoch_ended(event)
        if len(self.of(EpochEnded)) == self.after_epochs:
            self._pass("epoch")

    def on_retraining(self, event) -> None:
        super().on_retraining(event)
        self._pass("retraining")

    def on_exporting(self, trial=None) -> None:
        self.exported_trials.append(trial)


def search(output: Path, at: str = "", trials: int = 2, space: Space = SPACE, **named):
    """Run a study whose time is over at an event; its heartbeats are too rare to set the limit again."""
    listener = TimeIsOver(at=at, **named)
    settings = Study(trials=trials, pruner="none", timeout=LIMIT, heartbeat_seconds=60.0, lost_after_seconds=200.0)
    return run_space(output, space, settings, listener, StopRequest(clock=lambda: listener.now))


def written(output: Path) -> dict:
    """Return metrics.json of the export."""
    return json.loads((output / "tiny" / "best" / "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_trial_weights_are_exported_without_time_to_retrain(tmp_path):
    """Result, files and screen say so; with more time the same command resumes, retrains and replaces the export."""
    result, listener = search(tmp_path, "epoch", after_epochs=2)
    assert (result.timed_out, result.export) == (True, tmp_path / "tiny" / "best")
    assert listener.of(RetrainingStarted) == []
    assert listener.exported_trials == [0]
    best = result.progress.best
    assert written(tmp_path)["weights"] == {"from": "trial", "trial": 0, "epoch": best.epoch, "complete": True}
    assert "no time to retrain" in (tmp_path / "tiny" / "best" / "CARD.md").read_text(encoding="utf-8")
    assert len([*tmp_path.glob("tiny/checkpoints/best-*")]) == 1
    result, listener = search(tmp_path)
    assert (result.timed_out, result.progress.complete) == (False, 2)
    assert len(listener.of(RetrainingStarted)) == 1
    weights = written(tmp_path)["weights"]
    assert (weights["from"], weights["complete"]) == ("retraining", True)
    assert [*tmp_path.glob("tiny/checkpoints/best-*")] == []


@pytest.mark.slow
def test_exported_trial_weights_are_of_the_best_epoch(tmp_path):
    """They reach the value of the trial on the validation images."""
    result, _ = search(tmp_path, "epoch", after_epochs=3)
    images = load(resolve(SPACE, baseline(SPACE)).data, Path()).validation
    model = keras.models.load_model(tmp_path / "tiny" / "best" / "model.keras")
    answers = np.asarray(model(np.asarray(images.images)))
    assert float(np.mean(answers.argmax(axis=1) == images.labels)) == pytest.approx(result.progress.best.value)


def custom(recipe, input_shape, outputs) -> keras.Model:
    """Return a custom network."""
    images = keras.Input(input_shape)
    hidden = keras.layers.Dense(recipe.model.units, activation="relu")(keras.layers.Flatten()(images))
    return keras.Model(images, keras.layers.Dense(outputs)(hidden))


@pytest.mark.slow
@pytest.mark.parametrize(
    "space",
    [
        Space(data=Digits(), model=KerasTunerModel(Dense()), epochs=3),
        Space(data=Digits(), model=Custom(custom, units=Int(8, 32)), epochs=3, batch_size=64),
        replace(SPACE, folds=3),
    ],
    ids=["hypermodel", "custom", "folds"],
)
def test_trial_weights_are_exported_for_every_kind_of_model(tmp_path, space):
    """For a trial over folds they are those of its last complete fold."""
    search(tmp_path, "epoch", space=space, after_epochs=2)
    weights = written(tmp_path)["weights"]
    assert (weights["from"], weights["complete"]) == ("trial", True)


@pytest.mark.slow
def test_limit_within_the_first_epoch_exports_an_unfinished_model(tmp_path):
    """It is tested and marked as unfinished; the next run restarts its trial."""
    result, _ = search(tmp_path, "trial")
    assert (result.progress.best, result.progress.done) == (None, 0)
    found = written(tmp_path)
    assert found["weights"] == {"from": "trial", "trial": 0, "epoch": 0, "complete": False}
    assert found["test"]["images"] == 359
    assert "**not finished**" in (tmp_path / "tiny" / "best" / "CARD.md").read_text(encoding="utf-8")
    result, _ = search(tmp_path, trials=1)
    assert (result.progress.best.number, result.progress.best.epoch > 0) == (0, True)
    assert written(tmp_path)["weights"]["from"] == "retraining"


@pytest.mark.slow
def test_trial_weights_replace_an_unfinished_retraining(tmp_path):
    """The next run finishes the retraining."""
    for at, source in (("retraining", "trial"), ("", "retraining")):
        search(tmp_path, at, trials=1)
        assert written(tmp_path)["weights"]["from"] == source


def test_limit_before_the_search_is_an_error(tmp_path):
    """The error has a hint, and the exit code of a search without a result."""
    with pytest.raises(NoResultError, match=r"(?s)limit of 1000 seconds reached before the search began.*--timeout"):
        search(tmp_path, "data")
    assert NoResultError.exit_code == 9


def test_limit_counts_from_the_start_of_the_command(tmp_path):
    """The start of the process and its libraries is part of it."""
    settings, stop = Study(trials=1, timeout=60.0), StopRequest(clock=lambda: 100.0)
    with pytest.raises(NoResultError, match="limit of 60 seconds reached"):
        run_space(tmp_path, SPACE, settings, stop=stop, process=WorkerContext(started=30.0))
