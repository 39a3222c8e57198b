"""How trials of hypermodels end in a study: by their own errors, by what `fit` returns, or refused before the first."""

import functools
from pathlib import Path

import optuna
import pytest
from keras_tuner.errors import FailedTrialError, FatalRuntimeError

from spaces import CustomData, KerasTunerModel, Space
from spaces.errors import EveryTrialError, ModelError
from studies import Study
from studies.events import EpochEnded, StudyOpened, TrialEnded, TrialStarted
from studies.run import run
from studies.stop_request import StopRequest
from tests.studies.keras_tuner.hypermodels import Dense
from tests.studies.keras_tuner.test_runs import two_classes
from tests.studies.test_run import Declared
from tests.support.fakes import Recorder


def search(output, hypermodel, trials=3, *, export=False, **fields):
    """Run a study of a hypermodel on a few small images; returns what was told."""
    space = Space(data=CustomData(two_classes((8, 8, 1))), model=KerasTunerModel(hypermodel), **{"epochs": 1, **fields})
    recorder = Recorder()
    settings = Study(trials=trials, pruner="none", sampler="random", seed=4)
    run(Declared(space, "ends", Path()), settings, output=output, export=export, listener=recorder, stop=StopRequest())
    return recorder


class Ending(Dense):
    """Ends its trials, one after the other, in the ways that it is told; without training."""

    def __init__(self, *ends):
        super().__init__(outputs=2)
        self.ends = list(ends)

    def fit(self, hp, model, x, y, **kwargs):
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        model.set_weights([weight + 0.01 for weight in model.get_weights()])
        return end


def test_errors_and_values_end_their_trials_as_keras_tuner_says(tmp_path):
    """Pruned, failed, complete, diverged: each with its reason, and the value that was returned."""
    ends = (optuna.TrialPruned("too slow"), FailedTrialError("too large"), 0.75, float("nan"), ValueError("odd"))
    recorder = search(tmp_path, Ending(*ends), trials=5)
    ended = [(event.state, event.value, event.reason) for event in recorder.of(TrialEnded)]
    assert ended[:3] == [
        ("pruned", None, "pruned by the model's own code: too slow"),
        ("failed", None, "FailedTrialError: too large"),
        ("complete", 0.75, ""),
    ]
    assert ended[3] == ("pruned", None, "diverged: Ending.fit() returned nan")
    assert ended[4][0] == "failed"
    assert "ValueError: odd" in ended[4][2]
    complete = recorder.of(TrialEnded)[2]
    assert (complete.epoch, complete.epochs) == (1, 1)
    [opened] = recorder.of(StudyOpened)
    assert any("does not use its callbacks" in each for each in opened.notices)


def test_a_fatal_error_ends_the_run_at_any_trial(tmp_path):
    """As in KerasTuner."""
    with pytest.raises(EveryTrialError, match="FatalRuntimeError: no licence"):
        search(tmp_path, Ending(0.5, FatalRuntimeError("no licence")))


class Picky(Dense):
    """Builds only more than 32 units, which its defaults do not have."""

    def build(self, hp):
        if hp.Int("units", 16, 64, step=16, default=32) <= 32:
            raise ValueError("too few units")
        return super().build(hp)


@pytest.mark.slow
def test_defaults_that_cannot_be_built_fail_trial_0_alone(tmp_path):
    """The search goes on with the others, and says so before."""
    recorder = search(tmp_path, Picky(outputs=2), trials=6)
    states = [event.state for event in recorder.of(TrialEnded)]
    assert states[0] == "failed"
    assert "complete" in states
    [opened] = recorder.of(StudyOpened)
    assert any("The defaults cannot be built" in each for each in opened.notices)


class Seeds(Dense):
    """Trains a model of its own for each of several seeds."""

    def fit(self, hp, model, x, y, **kwargs):
        return [self.build(hp).fit(x, y, **kwargs) for _ in range(2)]


class Hidden(Dense):
    """Never trains the model that it is given, which its source does not show."""

    def fit(self, *args, **kwargs):
        return 0.5


def test_nothing_to_export_is_said_before_any_trial(tmp_path):
    """Without an export there is nothing to refuse, and the trial's value is what `fit` returns."""
    with pytest.raises(ModelError, match=r"Seeds.fit\(\) never trains the model"):
        search(tmp_path, Seeds(outputs=2), export=True)
    assert not (tmp_path / "ends").exists() or not list((tmp_path / "ends").glob("*.db"))
    recorder = search(tmp_path, Seeds(outputs=2), trials=1)
    assert [event.state for event in recorder.of(TrialEnded)] == ["complete"]


def test_nothing_to_export_ends_the_first_trial_where_the_source_does_not_show_it(tmp_path):
    """No second trial is trained in vain."""
    with pytest.raises(EveryTrialError, match=r"Hidden.fit\(\) never trains the model"):
        search(tmp_path, Hidden(outputs=2), export=True)


class OwnEpochs(Dense):
    """Sets its own number of epochs."""

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, epochs=hp.Int("rounds", 2, 3), **kwargs)


@pytest.mark.slow
def test_epochs_that_fit_sets_are_shown(tmp_path):
    """Epoch 2 of 2, never 2 of 1."""
    recorder = search(tmp_path, OwnEpochs(outputs=2), trials=2)
    assert all(event.epoch <= event.epochs for event in recorder.of(EpochEnded))
    assert [(event.epoch, event.epochs) for event in recorder.of(EpochEnded)][:2] == [(1, 2), (2, 2)]


def units(hp, outputs, low):
    """A build function with other arguments."""
    hp.Int("low", low, 64)
    return Dense(outputs=outputs).build(hp)


class Building:
    """An object that is called like a function."""

    def __call__(self, hp):
        return units(hp, 2, 8)


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(functools.partial(units, outputs=2, low=8), marks=pytest.mark.slow),
        functools.partial(functools.partial(units, low=8), outputs=2),
        functools.partial(Dense(outputs=2).build),
        pytest.param(Dense(outputs=2).build, marks=pytest.mark.slow),
        pytest.param(lambda hp: units(hp, 2, 8), marks=pytest.mark.slow),
        Building(),
    ],
    ids=["partial", "nested", "of a method", "method", "lambda", "object"],
)
def test_anything_that_builds_is_accepted(build, tmp_path):
    """Functions, methods, partial ones and objects that can be called."""
    recorder = search(tmp_path, build, trials=1)
    assert [event.state for event in recorder.of(TrialEnded)] == ["complete"]
    assert "units" in recorder.of(TrialStarted)[0].params
