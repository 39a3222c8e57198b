"""A hypermodel's own `fit`: its value, the model that it trains, its epochs."""

import copy

import keras
import numpy as np
import optuna
import pytest
from keras_tuner.errors import FailedTrialError, FatalValueError

from spaces import Digits, KerasTunerModel, Space
from spaces.errors import EveryTrialError, ModelError
from studies.keras_tuner.fit_check import check_fit
from studies.training import result
from tests.studies.keras_tuner.hypermodels import Dense, OwnLoop, Silent
from tests.studies.keras_tuner.test_fit import trained


class Returning(Dense):
    """Trains its model, and returns what it is told to."""

    def __init__(self, returned, *, passes=True):
        super().__init__()
        self.returned, self.passes = returned, passes

    def fit(self, hp, model, x, y, validation_data, callbacks, **kwargs):
        heard = callbacks if self.passes else []
        history = model.fit(x, y, validation_data=validation_data, callbacks=heard, epochs=2, batch_size=128, verbose=0)
        return self.returned(history) if callable(self.returned) else self.returned


@pytest.mark.slow
@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (0.125, 0.125),
        ({"val_accuracy": 0.125, "other": 3.0}, 0.125),
        ([0.125, np.float32(0.375)], 0.25),
        (lambda history: history, None),
    ],
    ids=["float", "dict", "list", "History"],
)
def test_the_returned_value_is_the_trials(returned, value, passes):
    """With or without our callbacks; of a History the best epoch counts."""
    found, told = trained(Returning(returned, passes=passes))
    expected = max(metrics["val_accuracy"] for _, metrics in told) if value is None else value
    assert found.best_value == pytest.approx(expected)
    assert found.end_reason == result.EndReason.FINISHED
    assert found.untrained == ""
    assert len(told) == (2 if passes else 1)


@pytest.mark.slow
def test_a_returned_loss_is_minimized():
    """The metric says what a number means: KerasTuner's guide returns the loss of its own loop."""
    found, told = trained(OwnLoop(), metric="val_loss")
    assert found.best_value == pytest.approx(told[-1][1]["my_metric"])
    with pytest.raises(ModelError, match="which lies between 0 and 1"):
        trained(OwnLoop())


class ByName(Dense):
    def fit(self, hp, model, **kwargs):
        return model.fit(**kwargs)


class OfDataset(Dense):
    def fit(self, hp, model, dataset, validation_data=None, **kwargs):
        return model.fit(dataset, validation_data=validation_data, **kwargs)


class Demanding(Dense):
    def fit(self, hp, model, x, y, class_weight, **kwargs):
        return model.fit(x, y, class_weight=class_weight, **kwargs)


def test_images_and_labels_are_passed_by_name_where_there_is_no_other_place():
    """A tuner passes them as its `search` was given them, which may be by name."""
    check_fit(Space(data=Digits(), model=KerasTunerModel(ByName())), exports=True)
    found, told = trained(ByName())
    assert found.best_value == pytest.approx(max(metrics["val_accuracy"] for _, metrics in told))


@pytest.mark.parametrize(
    ("hypermodel", "reason"), [(OfDataset(), "values for argument 'validation_data'"), (Demanding(), "'class_weight'")]
)
def test_a_fit_that_takes_other_arguments_is_refused(hypermodel, reason):
    """It would fail in every trial."""
    message = rf"(?s)cannot be called with arrays of .*{reason}.*def fit\(self, hp, model, x, y, validation_data"
    with pytest.raises(ModelError, match=message):
        check_fit(Space(data=Digits(), model=KerasTunerModel(hypermodel)), exports=True)


@pytest.mark.slow
@pytest.mark.parametrize("passes", [True, False])
def test_what_it_does_not_return_is_measured(passes):
    """A fit without a return, or a History without the metric, leaves the model that it has trained to be judged."""
    found, told = trained(Returning(None, passes=passes))
    assert found.best_value == max(metrics["val_accuracy"] for _, metrics in told)

    def without_validation(history):
        history.history = {"loss": history.history["loss"]}
        return history

    found, told = trained(Returning(without_validation, passes=passes))
    assert found.best_value == max(metrics["val_accuracy"] for _, metrics in told)


@pytest.mark.slow
@pytest.mark.parametrize("returned", [{"accuracy": 0.5}, "good", []])
def test_what_is_no_value_ends_the_run(returned):
    """Every other trial would meet it too."""
    with pytest.raises(EveryTrialError, match="val_accuracy"):
        trained(Returning(returned))


def test_a_returned_nan_is_a_training_that_diverged():
    """The trial is pruned, and its reason says where the number came from."""
    found, _ = trained(Returning(float("nan")))
    assert (found.end_reason, found.best_epoch, found.reason) == (
        result.EndReason.DIVERGED,
        None,
        "Returning.fit() returned nan",
    )


class Folds(Dense):
    """Judges clones of its model fold by fold, and trains the model itself at the end where it is told to."""

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


@pytest.mark.parametrize("passes", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_folds_are_judged_by_what_is_returned(passes):
    """Epochs of other models are not those of the trial's, with our callbacks or without."""
    hypermodel = Folds(at_the_end=True, passes=passes)
    found, told = trained(hypermodel)
    assert found.best_value == pytest.approx(np.mean(hypermodel.scores))
    assert [epoch for epoch, _ in told] == [1, 2]
    assert found.untrained == ""


@pytest.mark.slow
@pytest.mark.parametrize("passes", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_model_that_was_never_trained_is_told(passes):
    """The value counts, and the training says that there is nothing to export."""
    hypermodel = Folds(passes=passes)
    found, told = trained(hypermodel)
    assert found.best_value == pytest.approx(np.mean(hypermodel.scores))
    assert found.untrained.startswith("model: Folds.fit() never trains the model")
    assert [epoch for epoch, _ in told] == [1]
    with pytest.raises(ModelError, match="never trains"):
        trained(hypermodel, validation=False, epochs=1)


class Wrapping(Dense):
    """Trains its model inside another one."""

    def fit(self, hp, model, *args, **kwargs):
        whole = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.GaussianNoise(0.01), model])
        whole.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return whole.fit(*args, **kwargs)


def test_a_model_inside_another_is_trained_by_it():
    """Its epochs count, and its own weights of the best epoch are kept."""
    found, told = trained(Wrapping())
    assert len(told) == 3
    assert found.best_value == max(metrics["val_accuracy"] for _, metrics in told)
    assert found.model.layers[-1].units == 10


@pytest.mark.parametrize(
    ("hypermodel", "totals"),
    [
        (Returning(0.5), [2]),
        (Silent(), [1]),
        pytest.param(Folds(at_the_end=True, passes=True), [2], marks=pytest.mark.slow),
        (OwnLoop(), []),
    ],
)
def test_the_number_of_epochs_follows_fit(hypermodel, totals):
    """Epochs that fit sets are told before the first one ends; one that is silent is a single epoch."""
    found, told = trained(hypermodel, metric="val_loss", on_total=(heard := []).append)
    assert heard == totals
    assert found.best_epoch <= len(found.history) == len(told)


class Raising(Dense):
    """Raises an error in its `fit`."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def fit(self, hp, model, *args, **kwargs):
        raise self.error


@pytest.mark.parametrize("error", [optuna.TrialPruned("too slow"), FailedTrialError("too large")])
def test_an_error_that_ends_a_trial_passes_as_it_is(error):
    """What it means is for the study to say."""
    with pytest.raises(type(error), match=str(error)):
        trained(Raising(error))


def test_a_fatal_error_ends_the_run():
    """As in KerasTuner, with the user's own line."""
    with pytest.raises(EveryTrialError, match=r"failed in .*test_own_fit.py, line \d+, with FatalValueError: no data"):
        trained(Raising(FatalValueError("no data")))


class Catching(Dense):
    """Goes on after any error."""

    def fit(self, hp, model, *args, **kwargs):
        try:
            model.fit(*args, **kwargs)
        except Exception:  # noqa: BLE001 - as a user may write it
            return 0.5


def test_our_own_errors_cannot_be_caught():
    """A disk that is full is no failure of one fold."""

    def on_epoch(epoch):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        trained(Catching(), on_epoch=on_epoch)


class Pruned(Dense):
    """Trains twice, whatever happens."""

    def fit(self, hp, model, *args, **kwargs):
        model.fit(*args, **kwargs)
        model.fit(*args, **kwargs)
        return 0.99


def test_a_pruned_trial_stays_pruned():
    """Later calls of `model.fit` change nothing, and what they return does not count."""
    found, told = trained(Pruned(), on_epoch=lambda epoch: epoch < 2)
    assert found.end_reason == result.EndReason.PRUNED
    assert [epoch for epoch, _ in told] == [1, 2]
    assert found.best_value != 0.99
