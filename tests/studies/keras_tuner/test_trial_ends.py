"""How trials of hypermodels end in a study: by their own errors, by what `fit` returns, or refused before the first."""

import functools

import optuna
import pytest
from keras_tuner.errors import FailedTrialError

from spaces.errors import EveryTrialError, ModelError
from studies.events import StudyOpened, TrialEnded, TrialStarted
from tests.studies.keras_tuner.hypermodels import Dense
from tests.studies.keras_tuner.test_fit_source import Fits
from tests.studies.keras_tuner.test_runs import search


class Ending(Dense):
    """Ends its trials with the given errors or values, one after the other, without training."""

    def __init__(self, *ends):
        super().__init__(outputs=2)
        self.ends = list(ends)

    def fit(self, hp, model, x, y, **kwargs):
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        model.set_weights([weight + 0.01 for weight in model.get_weights()])
        return end


def test_errors_and_values_end_trials_as_in_keras_tuner(tmp_path):
    """Pruned, failed, complete or diverged: each trial has its reason, or the returned value."""
    ends = (optuna.TrialPruned("too slow"), FailedTrialError("too large"), 0.75, float("nan"), ValueError("odd"))
    _, recorder = search(tmp_path, Ending(*ends), trials=5, export=False)
    ended = [event.outcome for event in recorder.of(TrialEnded)]
    expected = [
        ("pruned", None, "pruned by the model's own code: too slow"),
        ("failed", None, "FailedTrialError: too large"),
        ("complete", 0.75, ""),
        ("pruned", None, "diverged: Ending.fit() returned nan"),
    ]
    assert [(outcome.state, outcome.value, outcome.reason) for outcome in ended[:4]] == expected
    assert ended[4].state == "failed"
    assert "ValueError: odd" in ended[4].reason
    assert (ended[2].epoch, ended[2].epochs) == (1, 1)
    [opened] = recorder.of(StudyOpened)
    assert any("does not use its callbacks" in each for each in opened.notices)


def test_missing_export_is_refused_at_once_or_after_the_first_trial(tmp_path):
    """The run ends as soon as it is known; without an export, the value is the one that `fit` returns."""
    with pytest.raises(ModelError, match=r"Fits.fit\(\) never trains the model"):
        search(tmp_path, Fits("other_models", outputs=2))
    assert not list(tmp_path.glob("*/*.db"))
    with pytest.raises(EveryTrialError, match=r"Fits.fit\(\) never trains the model"):
        search(tmp_path / "hidden", Fits("trains_nothing", outputs=2), trials=3)
    _, recorder = search(tmp_path, Fits("other_models", outputs=2), trials=1, export=False)
    assert [event.outcome.state for event in recorder.of(TrialEnded)] == ["complete"]


def units(hp, outputs, low):
    """A build function with other arguments."""
    hp.Int("low", low, 64)
    return Dense(outputs=outputs).build(hp)


class Building:
    """A callable object."""

    __call__ = staticmethod(functools.partial(units, outputs=2, low=8))


METHOD = Dense(outputs=2).build
PARTIAL = functools.partial(functools.partial(units, low=8), outputs=2)


@pytest.mark.parametrize("build", [PARTIAL, functools.partial(METHOD), Building()])
def test_any_callable_that_builds_is_accepted(build, tmp_path):
    """Functions, methods, partial functions and callable objects build a model."""
    _, recorder = search(tmp_path, build, trials=1, export=False)
    assert [event.outcome.state for event in recorder.of(TrialEnded)] == ["complete"]
    assert "units" in recorder.of(TrialStarted)[0].params
