"""One trial with Keras: what it stores, and how it ends when something breaks."""

from dataclasses import dataclass, field, replace

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


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (MemoryError("no memory"), PRUNED, "out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating"), PRUNED, "out of memory"),
        (ValueError("a broken layer"), FAILED, "ValueError: a broken layer"),
    ],
)
def test_error_in_a_trial_ends_that_trial_only(tmp_path, monkeypatch, error, state, reason):
    """Out of memory prunes a trial, any other error fails it; both store the reason."""
    calls = iter(range(9))

    def breaks_once(*arguments, **named):
        if next(calls) == 1:
            raise error
        return train_recipe(*arguments, **named)

    monkeypatch.setattr(evaluate, "train_recipe", breaks_once)
    study = search(tmp_path, trials=3)
    assert [outcome(study, n).state for n in range(3)] == [COMPLETE, state, COMPLETE]
    assert reason in outcome(study, 1).reason


def test_model_error_ends_the_run_until_a_trial_is_complete(tmp_path, monkeypatch):
    """Before the first result the user has to fix the space, and no trial is lost; later the trial fails."""

    def unbuildable(*arguments, **named):
        raise ModelError("the weights do not fit")

    monkeypatch.setattr(evaluate, "train_recipe", unbuildable)
    with pytest.raises(ModelError, match="do not fit"):
        search(tmp_path, trials=2)
    monkeypatch.setattr(evaluate, "train_recipe", train_recipe)
    search(tmp_path, trials=1)
    monkeypatch.setattr(evaluate, "train_recipe", unbuildable)
    study = search(tmp_path, trials=2)
    seconds = outcome(study, 1).seconds
    assert outcome(study, 1) == TrialOutcome(
        FAILED, None, None, 0, seconds, "the weights do not fit", trained_on="images"
    )
    assert progress(study, 2).done == 2


def test_database_error_returns_the_trial_to_the_queue(tmp_path, monkeypatch):
    """The run ends, and the next one evaluates the trial."""

    def locked(*_):
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    monkeypatch.setattr(TrialQueue, "save", locked)
    with pytest.raises(OperationalError):
        search(tmp_path)
    monkeypatch.undo()
    study = search(tmp_path)
    assert outcome(study).state == COMPLETE
    assert len(study.trials) == 1


def test_model_error_after_a_pruned_trial_fails_its_trial(tmp_path, monkeypatch):
    """Once a trial has ended, pruned or not, a model error ends only its trial."""
    calls = iter(range(9))

    def breaks(*arguments, **named):
        number = next(calls)
        if number == 0:
            raise MemoryError
        if number == 1:
            raise ModelError("too deep")
        return train_recipe(*arguments, **named)

    monkeypatch.setattr(evaluate, "train_recipe", breaks)
    study = search(tmp_path, trials=3)
    assert [outcome(study, n).state for n in range(3)] == [PRUNED, FAILED, COMPLETE]


@dataclass
class StopAfter(Recorder):
    """Requests a stop, or lets time run out, after some epochs."""

    stop: StopRequest = field(default_factory=StopRequest)
    epochs: int = 2
    by_signal: bool = True

    def on_epoch_ended(self, event):
        super().on_epoch_ended(event)
        if len(self.of(EpochEnded)) == self.epochs:
            if self.by_signal:
                self.stop.request(StopReason.SIGINT)
            else:
                self.stop.deadline = 0.0


@pytest.mark.parametrize(
    ("folds", "epochs", "reported", "total"),
    [(None, 2, [1, 2], 3), pytest.param(2, 4, [1], 6, marks=pytest.mark.slow)],
)
def test_interrupted_trial_ends_as_an_uninterrupted_one(tmp_path, folds, epochs, reported, total):
    """After a signal the trial waits; resumed, it has the same curve, each epoch once."""
    space, stopper = replace(SPACE, folds=folds), StopAfter(epochs=epochs)
    study = search(tmp_path, space, stop=stopper.stop, recorder=stopper)
    assert study.trials[0].state == TrialState.WAITING
    assert sorted(study.trials[0].intermediate_values) == reported
    study, uninterrupted = search(tmp_path, space), search(tmp_path / "uninterrupted", space)
    assert study.trials[0].intermediate_values == uninterrupted.trials[0].intermediate_values
    assert len(read_epochs(engine_of(study), study.trials[0]._trial_id)) == total
    assert len(study.trials) == 1


@pytest.mark.parametrize(
    ("folds", "epochs"),
    [(None, 2), pytest.param(2, 1, marks=pytest.mark.slow), pytest.param(2, 4, marks=pytest.mark.slow)],
)
def test_time_limit_completes_the_first_trial(tmp_path, folds, epochs):
    """A limit shorter than one trial still gives a result: its finished folds, or the best epoch so far."""
    stopper = StopAfter(by_signal=False, epochs=epochs)
    study = search(tmp_path, replace(SPACE, folds=folds), stop=stopper.stop, recorder=stopper)
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
    assert [(outcome(study, n).state, outcome(study, n).value) for n in range(2)] == [(COMPLETE, 0.25), (COMPLETE, 0.5)]
    assert len(study.trials) == 2


def test_time_limit_returns_a_worse_trial_to_the_queue(tmp_path):
    """The next run resumes it."""
    stopper = StopAfter(by_signal=False, epochs=4)
    study = search(tmp_path, trials=2, stop=stopper.stop, recorder=stopper)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.WAITING]
    assert stopper.of(TrialEnded)[-1].outcome.state == WAITING
