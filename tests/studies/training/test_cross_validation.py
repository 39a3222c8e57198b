"""Trials over folds: the mean is the value, and the running mean is what the pruner judges."""

from dataclasses import dataclass, field, replace

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from spaces import SGD
from studies import Study
from studies.data.dataset import Dataset, Split
from studies.database.connection import engine_of
from studies.database.stored_trials import outcome_of, progress
from studies.database.tables import read_epochs
from studies.events import EpochEnded, TrialStarted
from studies.outcome import COMPLETE, PRUNED
from studies.stop_request import StopReason, StopRequest
from studies.training.result import EndReason, TrainingResult
from studies.trials import evaluate
from studies.trials.evaluate import TrialEvaluator
from tests.support.fakes import TINY, Recorder, run_context, run_tiny

FOLDS = 3
SPACE = replace(TINY, epochs=2, batch_size=16, folds=FOLDS)
SHORT = replace(SPACE, folds=2)
LABELS = np.tile([0, 1], 30)
IMAGES = np.random.default_rng(0).integers(0, 128, (60, 8, 8, 1)).astype(np.uint8) + (LABELS * 100)[
    :, None, None, None
].astype(np.uint8)
DATASET = Dataset(
    Split(IMAGES[:36], LABELS[:36]),
    Split(IMAGES[36:48], LABELS[36:48]),
    Split(IMAGES[48:], LABELS[48:]),
    ("dark", "bright"),
)


def search(folder, space=SPACE, trials=1, stop=None, recorder=None, pruner="none"):
    """Run trials over folds of images that cost nothing to load."""
    stop, recorder = stop or StopRequest(), recorder or Recorder()
    settings = Study(trials=trials, pruner=pruner, seed=0)
    evaluate = TrialEvaluator(run_context(recorder, stop, DATASET))
    return run_tiny(folder, settings, evaluate, space, stop, recorder)


@pytest.fixture
def scripted(monkeypatch):
    """Training without Keras: each call takes the next (value, best epoch)."""

    def install(*script):
        calls, steps = [], iter(script)

        def train(recipe, inputs, options):
            value, epoch, *phases = next(steps)
            calls.append((inputs.train, inputs.validation, options.seed))
            for k in range(1, 3):
                options.on_epoch(k, {"loss": 1.0, "val_loss": 0.5, "val_accuracy": value})
            return TrainingResult(None, ({}, {}), epoch, value, value / 2, EndReason.FINISHED, *(phases or (epoch, 0)))

        monkeypatch.setattr(evaluate, "train_recipe", train)
        return calls

    return install


def test_the_value_is_the_mean_over_the_folds(tmp_path, scripted):
    """The running mean is reported after each fold; epoch and loss are means too, the epoch rounded."""
    calls = scripted((0.5, 1), (0.7, 2), (0.9, 2))
    study = search(tmp_path)
    trial, outcome = study.trials[0], outcome_of(study.trials[0])
    assert trial.intermediate_values == pytest.approx({1: 0.5, 2: 0.6, 3: 0.7})
    assert (outcome.state, outcome.epoch, outcome.epochs) == (COMPLETE, 2, 6)
    assert (trial.value, outcome.loss) == (pytest.approx(0.7), pytest.approx(0.35))
    assert progress(study, 1).best.epoch == 2
    judged = np.concatenate([validation.images for _, validation, _ in calls])
    assert [(len(images), len(validation)) for images, validation, _ in calls] == [(32, 16)] * 3
    assert {image.tobytes() for image in judged} == {image.tobytes() for image in IMAGES[:48]}


def test_the_phases_are_means_too(tmp_path, scripted):
    """A retraining repeats each phase as long as the folds did in the mean, not the best epoch's number."""
    scripted((0.5, 14, 3, 4), (0.7, 12, 5, 2), (0.9, 13, 4, 3))
    outcome = outcome_of(search(tmp_path).trials[0])
    assert (outcome.epoch, outcome.first_phase, outcome.second_phase) == (13, 4, 3)


def test_epochs_count_on_over_the_folds(tmp_path, scripted):
    """Each epoch is stored once with its fold, and shown out of the epochs of all folds."""
    scripted((0.5, 1), (0.7, 2), (0.9, 2))
    recorder = Recorder()
    study = search(tmp_path, recorder=recorder)
    stored = read_epochs(engine_of(study), study.trials[0]._trial_id)
    assert [metrics["fold"] for metrics in stored] == [1, 1, 2, 2, 3, 3]
    assert [(event.epoch, event.epochs) for event in recorder.of(EpochEnded)] == [(k, 6) for k in range(1, 7)]
    assert [event.epochs for event in recorder.of(TrialStarted)] == [6]


def test_pruning_goes_by_the_running_mean(tmp_path, scripted):
    """The pruner counts folds, the baseline is never pruned, and no trial is pruned after its last fold."""
    scripted(*[(0.9, 1)] * 3, *[(0.5, 1)] * 3, (0.1, 1), (0.2, 1))
    study = search(tmp_path, trials=4, pruner="asha")
    assert [outcome_of(trial).state for trial in study.trials] == [COMPLETE, COMPLETE, PRUNED, PRUNED]
    assert {outcome_of(trial).reason for trial in study.trials[2:]} == {"pruned after fold 1 of 3"}


def test_hyperband_has_the_folds_as_its_resource(tmp_path, scripted):
    """Its largest resource is the number of folds, not of epochs."""
    scripted(*[(0.9, 1)] * 3)
    study = search(tmp_path, pruner="hyperband")
    assert isinstance(study.pruner, optuna.pruners.HyperbandPruner)
    assert study.pruner._max_resource == FOLDS


@dataclass
class StopAfter(Recorder):
    """Asks for an end, or lets time run out, after some epochs."""

    stop: StopRequest = field(default_factory=StopRequest)
    epochs: int = 3
    by_signal: bool = True

    def on_epoch_ended(self, event):
        super().on_epoch_ended(event)
        if len(self.of(EpochEnded)) == self.epochs:
            if self.by_signal:
                self.stop.request(StopReason.SIGINT)
            else:
                self.stop.deadline = 0.0


@pytest.mark.slow
def test_an_interrupted_trial_ends_as_an_undisturbed_one(tmp_path):
    """A signal in the second fold: the trial waits, and run again it has the same values, without gaps or doubles."""
    stopper = StopAfter()
    study = search(tmp_path, SHORT, stop=stopper.stop, recorder=stopper)
    assert study.trials[0].state == TrialState.WAITING
    assert sorted(study.trials[0].intermediate_values) == [1]
    study = search(tmp_path, SHORT)
    (tmp_path / "undisturbed").mkdir()
    undisturbed = search(tmp_path / "undisturbed", SHORT)
    assert study.trials[0].intermediate_values == undisturbed.trials[0].intermediate_values
    assert len(read_epochs(engine_of(study), study.trials[0]._trial_id)) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "done"), [(1, 1), (3, 3)])
def test_when_time_is_over_the_first_trial_counts_with_what_it_reached(tmp_path, epochs, done):
    """The folds that are whole count, or the best epoch of the first one."""
    stopper = StopAfter(by_signal=False, epochs=epochs)
    outcome = outcome_of(search(tmp_path, SHORT, stop=stopper.stop, recorder=stopper).trials[0])
    assert (outcome.state, outcome.epochs) == (COMPLETE, done)
    assert outcome.reason == "cut short by the time limit"


def test_a_fold_that_diverges_prunes_the_trial(tmp_path):
    """With its reason, as for a single training."""
    study = search(tmp_path, replace(SPACE, learning_rate=1e30, optimizer=SGD()))
    assert outcome_of(study.trials[0]).state == PRUNED
    assert "diverged: the loss was not finite" in outcome_of(study.trials[0]).reason
