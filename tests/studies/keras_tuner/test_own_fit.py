"""A hypermodel's own `fit`: its value, the model that it trains, its epochs."""

import copy

import keras
import numpy as np
import pytest
from keras_tuner.errors import FatalValueError

from spaces.errors import EveryTrialError, ModelError
from studies.training import result
from tests.studies.keras_tuner.hypermodels import Dense, OwnFit, OwnLoop, Silent
from tests.studies.keras_tuner.test_fit import trained
from tests.studies.keras_tuner.test_fit_source import Fits
from tests.studies.keras_tuner.test_trial_ends import Ending


class Returning(Dense):
    """Trains its model, and returns a given value, or that of a function of the History."""

    def __init__(self, returned, *, passes=True):
        super().__init__()
        self.returned, self.passes = returned, passes

    def fit(self, hp, model, x, y, validation_data, callbacks, **kwargs):
        heard = callbacks if self.passes else []
        history = model.fit(x, y, validation_data=validation_data, callbacks=heard, epochs=2, batch_size=128, verbose=0)
        return self.returned(history) if callable(self.returned) else self.returned


def without_validation(history):
    history.history = {"loss": history.history["loss"]}
    return history


@pytest.mark.slow
@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize(
    "returned",
    [0.125, lambda history: history, None, without_validation],
    ids=["float", "History", "None", "loss"],
)
def test_returned_value_is_the_trials(returned, passes):
    """With or without our callbacks; the best epoch counts for a History, or if `fit` returns no metric."""
    found, told = trained(Returning(returned, passes=passes))
    expected = returned if returned == 0.125 else max(metrics["val_accuracy"] for _, metrics in told)
    assert found.best_value == pytest.approx(expected)
    assert (found.end_reason, found.untrained, len(told)) == (result.EndReason.FINISHED, "", 2 if passes else 1)


def test_returned_loss_is_minimized():
    """A custom loop is recorded; its number is read as the study's metric, which must allow it."""
    found, told = trained(OwnLoop(), metric="val_loss")
    assert found.best_value == pytest.approx(told[-1][1]["my_metric"])
    assert {"my_metric", "val_accuracy", "val_loss"} <= told[0][1].keys()
    assert [epoch for epoch, _ in told] == [1, 2]
    assert found.best_epoch == 1 + min((0, 1), key=lambda epoch: told[epoch][1]["val_loss"])
    with pytest.raises(ModelError, match="expected a value between 0 and 1"):
        trained(OwnLoop())


class Folds(Dense):
    """Evaluates clones of its model fold by fold, and trains the model itself only if `at_the_end`."""

    def __init__(self, *, at_the_end=False, passes=False):
        super().__init__()
        self.at_the_end, self.passes = at_the_end, passes

    def fit(self, hp, model, x, y, validation_data, callbacks, **kwargs):
        scores = []
        for fold in range(2):
            net = keras.models.clone_model(model)
            net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            held = np.arange(len(x)) % 2 == fold
            heard = copy.deepcopy(callbacks) if self.passes else None
            net.fit(x[~held], y[~held], epochs=3, callbacks=heard, verbose=0, validation_data=(x[held], y[held]))
            scores.append(net.evaluate(x[held], y[held], verbose=0)[1])
        if self.at_the_end:
            model.fit(x, y, callbacks=callbacks, verbose=0, epochs=2)
        self.scores = scores
        return scores


@pytest.mark.parametrize(
    ("at_the_end", "passes"),
    [(True, True), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((True, 0), (False, True), (False, 0)))],
)
def test_folds_are_judged_by_the_returned_scores(at_the_end, passes):
    """Epochs of other models do not count, with our callbacks or without; an untrained model cannot be exported."""
    hypermodel = Folds(at_the_end=at_the_end, passes=passes)
    found, told = trained(hypermodel)
    assert found.best_value == pytest.approx(np.mean(hypermodel.scores))
    assert [epoch for epoch, _ in told] == ([1, 2] if at_the_end else [1])
    assert ("Folds.fit() never trains the model" in found.untrained) is not at_the_end
    if not at_the_end:
        with pytest.raises(ModelError, match="never trains"):
            trained(hypermodel, validation=False, epochs=1)


@pytest.mark.parametrize(
    ("hypermodel", "totals"),
    [
        (Returning(0.5), [2]),
        (Silent(), [1]),
        pytest.param(Folds(at_the_end=True, passes=True), [2], marks=pytest.mark.slow),
        (OwnLoop(), []),
        (Fits("takes_keywords_only"), []),
    ],
)
def test_number_of_epochs_follows_fit(hypermodel, totals):
    """The epochs that `fit` sets are known before the first ends; a silent `fit` is a single epoch."""
    found, told = trained(hypermodel, metric="val_loss", on_total=(heard := []).append)
    assert heard == totals
    assert found.best_epoch <= len(found.history) == len(told)


@pytest.mark.parametrize("hypermodel", [OwnFit(), Fits("catches_errors")])
def test_errors_of_our_callbacks_pass_through_fit(hypermodel):
    """A full disk is not an error of the hypermodel, and `fit` cannot hide it."""

    def on_epoch(epoch):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        trained(hypermodel, on_epoch=on_epoch)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (RuntimeError("odd"), ModelError, r"model: Ending.fit\(\) failed in .*, line \d+, with RuntimeError: odd"),
        (FatalValueError("no data"), EveryTrialError, r"test_trial_ends.py, line \d+, with FatalValueError: no data"),
    ],
)
def test_errors_of_fit_end_a_trial_or_the_run(error, kind, message):
    """They have the user's line, and a fatal one ends the run."""
    with pytest.raises(kind, match=message):
        trained(Ending(error), 2)
