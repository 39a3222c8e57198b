"""One trial with Keras: what it stores, and how it ends when something breaks."""

from dataclasses import dataclass, field, replace
from unittest.mock import Mock

import pytest
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from spaces import SGD, Float
from spaces.errors import ModelError
from spaces.training import METRICS
from studies import Study
from studies.data.dataset import Dataset
from studies.database.claims import TrialQueue
from studies.database.connection import engine_of
from studies.database.stored_trials import outcome_of, progress
from studies.database.tables import read_epochs
from studies.events import EpochEnded, TrialEnded
from studies.outcome import COMPLETE, FAILED, PRUNED, WAITING, TrialOutcome
from studies.stop_request import StopReason, StopRequest
from studies.training import result
from studies.trials import evaluate
from studies.trials.recipe_training import train_recipe
from tests.support.fakes import TINY, Recorder
from tests.support.fitting import evaluate_trials, noisy_images

SPACE = replace(TINY, epochs=3, batch_size=32, learning_rate=Float(1e-3, 1e-1, log=True))
TRAIN, VALIDATION = (noisy_images(n, seed, shape=(8, 8, 1), noise=80, contrast=120) for seed, n in enumerate((100, 40)))
DATASET = Dataset(TRAIN, VALIDATION, VALIDATION, ("dark", "bright"))


def search(folder, space=SPACE, trials=1, seed=0, **named):
    """Run trials that train for real."""
    folder.mkdir(exist_ok=True)
    return evaluate_trials(folder, DATASET, space, Study(trials=trials, pruner="none", seed=seed), **named)


def outcome(study, number=0) -> TrialOutcome:
    return outcome_of(study.trials[number])


def test_trial_stores_every_epoch_and_the_best_value(tmp_path):
    """The database holds the curve, all metrics of each epoch, and the best epoch as the value."""
    recorder = Recorder()
    study = search(tmp_path, recorder=recorder)
    trial = study.trials[0]
    assert sorted(trial.intermediate_values) == [1, 2, 3]
    assert trial.value == max(trial.intermediate_values.values()) == outcome(study).value
    epochs = read_epochs(engine_of(study), trial._trial_id)
    assert [set(metrics) for metrics in epochs] == [{"accuracy", "loss", *METRICS} - {"val_top_5_accuracy"}] * 3
    assert [event.epoch for event in recorder.of(EpochEnded)] == [1, 2, 3]


@pytest.mark.slow
def test_same_seed_gives_the_same_values(tmp_path):
    """Two studies of one seed agree trial by trial."""
    studies = [search(tmp_path / name, trials=2, seed=5) for name in "ab"]
    one, two = ([trial.intermediate_values for trial in study.trials] for study in studies)
    assert one == two


@pytest.mark.parametrize("folds", [None, 2])
def test_diverged_trial_is_pruned_with_its_reason(tmp_path, folds):
    """Divergence, of a fold too, teaches the sampler: the trial is pruned, not failed, and the search continues."""
    study = search(tmp_path, replace(SPACE, learning_rate=1e30, optimizer=SGD(), folds=folds), trials=2)
    assert outcome(study).state == PRUNED
    assert "diverged: the loss was not finite in epoch" in outcome(study).reason
    assert progress(study, 2).pruned == 2


@pytest.fixture
def training_raises(monkeypatch):
    """Sets what the training of each trial raises; None lets it train."""

    def install(*errors):
        pending = iter(errors)

        def train(*arguments, **named):
            if error := next(pending, None):
                raise error
            return train_recipe(*arguments, **named)

        monkeypatch.setattr(evaluate, "train_recipe", train)

    return install


@pytest.mark.parametrize(
    ("errors", "states", "reason"),
    [
        ([None, MemoryError("no memory")], [COMPLETE, PRUNED, COMPLETE], "out of memory"),
        ([None, RuntimeError("RESOURCE_EXHAUSTED: Out of memory")], [COMPLETE, PRUNED, COMPLETE], "out of memory"),
        ([None, ValueError("a broken layer")], [COMPLETE, FAILED, COMPLETE], "ValueError: a broken layer"),
        ([None, ModelError("too deep")], [COMPLETE, FAILED, COMPLETE], "too deep"),
        ([MemoryError(), ModelError("too deep")], [PRUNED, FAILED, COMPLETE], "too deep"),
    ],
)
def test_error_in_a_trial_ends_that_trial_only(tmp_path, training_raises, errors, states, reason):
    """Out of memory prunes a trial, any other error fails it; once a trial has ended, a model error does so too."""
    training_raises(*errors)
    study = search(tmp_path, trials=3)
    assert [outcome(study, number).state for number in range(3)] == states
    assert outcome(study, 1).reason.startswith(reason)
    assert (outcome(study, 1).value, outcome(study, 1).trained_on) == (None, "images")
    assert progress(study, 3).done == 3


def test_model_error_in_the_first_trial_ends_the_run(tmp_path, training_raises):
    """Before the first result the user has to fix the space, and no trial is lost."""
    training_raises(ModelError("the weights do not fit"))
    with pytest.raises(ModelError, match="do not fit"):
        search(tmp_path, trials=2)
    assert [trial.state for trial in search(tmp_path, trials=1).trials] == [TrialState.COMPLETE]


def test_database_error_returns_the_trial_to_the_queue(tmp_path, monkeypatch):
    """The run ends, and the next one evaluates the trial."""
    locked = OperationalError("INSERT", {}, Exception("database is locked"))
    monkeypatch.setattr(TrialQueue, "save", Mock(side_effect=locked))
    with pytest.raises(OperationalError):
        search(tmp_path)
    monkeypatch.undo()
    assert [trial.state for trial in search(tmp_path).trials] == [TrialState.COMPLETE]


@dataclass
class StopAfter(Recorder):
    """Requests a stop, or lets time run out, after some epochs."""

    stop: StopRequest = field(default_factory=StopRequest)
    epochs: int = 2
    by_signal: bool = True

    def on_epoch_ended(self, event):
        super().on_epoch_ended(event)
        if len(self.of(EpochEnded)) == self.epochs and self.by_signal:
            self.stop.request(StopReason.SIGINT)
        elif len(self.of(EpochEnded)) == self.epochs:
            self.stop.deadline = 0.0


def stopped_search(folder, folds=None, trials=1, **named):
    """Run trials that are stopped after some epochs; returns the study and the recorder."""
    recorder = StopAfter(**named)
    return search(folder, replace(SPACE, folds=folds), trials, stop=recorder.stop, recorder=recorder), recorder


@pytest.mark.parametrize(
    ("folds", "epochs", "reported", "total"), [(None, 2, [1, 2], 3), pytest.param(2, 4, [1], 6, marks=pytest.mark.slow)]
)
def test_interrupted_trial_ends_as_an_uninterrupted_one(tmp_path, folds, epochs, reported, total):
    """After a signal the trial waits; resumed, it has the same curve, each epoch once."""
    study, _ = stopped_search(tmp_path, folds, epochs=epochs)
    assert study.trials[0].state == TrialState.WAITING
    assert sorted(study.trials[0].intermediate_values) == reported
    study, uninterrupted = (search(folder, replace(SPACE, folds=folds)) for folder in (tmp_path, tmp_path / "whole"))
    assert study.trials[0].intermediate_values == uninterrupted.trials[0].intermediate_values
    assert len(read_epochs(engine_of(study), study.trials[0]._trial_id)) == total
    assert len(study.trials) == 1


@pytest.mark.parametrize(
    ("folds", "epochs"),
    [(None, 2), pytest.param(2, 1, marks=pytest.mark.slow), pytest.param(2, 4, marks=pytest.mark.slow)],
)
def test_time_limit_completes_the_first_trial(tmp_path, folds, epochs):
    """A limit shorter than one trial still gives a result: its finished folds, or the best epoch so far."""
    study, _ = stopped_search(tmp_path, folds, epochs=epochs, by_signal=False)
    assert (outcome(study).state, outcome(study).epochs) == (COMPLETE, epochs)
    assert outcome(study).reason == "cut short by the time limit"


def test_time_limit_completes_a_later_trial_that_is_the_best(tmp_path, monkeypatch):
    """The better model of the two is the result."""
    stop = StopRequest()
    ends = iter([(0.25, result.EndReason.FINISHED), (0.5, result.EndReason.STOPPED)])

    def timed(*arguments, **named):
        value, ended = next(ends)
        trained = train_recipe(*arguments, **named)
        if ended == result.EndReason.STOPPED:
            stop.deadline = 0.0
        return replace(trained, best_value=value, end_reason=ended)

    monkeypatch.setattr(evaluate, "train_recipe", timed)
    study = search(tmp_path, trials=3, stop=stop)
    ended = [(trial.state, trial.value) for trial in study.trials]
    assert ended == [(TrialState.COMPLETE, 0.25), (TrialState.COMPLETE, 0.5)]


def test_time_limit_returns_a_worse_trial_to_the_queue(tmp_path):
    """The next run resumes it."""
    study, recorder = stopped_search(tmp_path, trials=2, epochs=4, by_signal=False)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.WAITING]
    assert recorder.of(TrialEnded)[-1].outcome.state == WAITING
