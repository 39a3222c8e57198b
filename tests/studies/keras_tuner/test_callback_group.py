"""Events of a hypermodel's training: several calls of `model.fit`, loops that ignore a stop, retrainings."""

import contextlib

import numpy as np
import pytest

from studies.training import result
from tests.studies.keras_tuner.hypermodels import Dense, OwnFit
from tests.studies.keras_tuner.test_fit import trained
from tests.studies.keras_tuner.test_fit_source import Fits


class TwoFits(Dense):
    """Trains, then trains again at another learning rate."""

    def __init__(self, rate=1.0, returned=None):
        super().__init__()
        self.rate, self.returned = rate, returned

    def fit(self, hp, model, *args, **kwargs):
        model.fit(*args, **kwargs)
        model.optimizer.learning_rate = self.rate * model.optimizer.learning_rate
        history = model.fit(*args, **kwargs)
        return self.returned or history


@pytest.mark.parametrize("hypermodel", [TwoFits(returned=0.99), pytest.param(Dense(), marks=pytest.mark.slow)])
def test_pruned_trial_stays_pruned(hypermodel):
    """Later calls of `model.fit` train no further, and the value that `fit` returns does not count."""
    found, told = trained(hypermodel, on_epoch=lambda epoch: epoch < 2)
    assert found.end_reason == result.EndReason.PRUNED
    assert [epoch for epoch, _ in told] == [1, 2]
    assert found.best_value != 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "patience", "phases"),
    [(0.5, None, (3, 3)), (1e6, None, (3, 0)), (1e-12, 1, (3, 0)), (10.0, None, (3, 3))],
    ids=["best at the end", "best in the first", "nothing gained", "faster"],
)
def test_retraining_repeats_every_call_of_fit(rate, patience, phases):
    """It ends with the weights of the trial's best epoch, in whichever call of `model.fit` that was."""
    fields = {"metric": "val_loss", "values": {"learning_rate": 1e-3}, "patience": patience}
    found, told = trained(TwoFits(rate), **fields)
    assert [epoch for epoch, _ in told] == list(range(1, len(found.history) + 1))
    assert (found.first_phase, found.second_phase) == phases
    again, told = trained(TwoFits(rate), validation=False, epochs=phases[0], second=phases[1], **fields)
    assert len(told) == len(again.history) == sum(phases)
    for one, other in zip(found.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("hypermodel", "second", "epochs"), [(OwnFit(), None, [1]), (TwoFits(), 2, [1, 2, 3])])
def test_retraining_has_the_epochs_of_the_trial(hypermodel, second, epochs):
    """The first call of `model.fit` has the epochs that it had, and later calls the rest, whatever `fit` chooses."""
    again, told = trained(hypermodel, values={"epochs": 3}, validation=False, epochs=1, second=second)
    assert [epoch for epoch, _ in told] == epochs
    assert len(again.history) == len(epochs)


class Endless(Dense):
    """Trains in a loop that ignores `stop_training` and catches every error."""

    def __init__(self, event):
        super().__init__()
        self.event, self.rounds = event, 0

    def fit(self, hp, model, x, y, callbacks=None, **kwargs):
        for epoch in range(50):
            self.rounds += 1
            model.train_on_batch(x[:32], y[:32])
            for callback in callbacks:
                with contextlib.suppress(Exception):
                    getattr(callback, self.event)(epoch, logs={})


@pytest.mark.parametrize("event", ["on_train_batch_end", "on_epoch_end"])
def test_loop_that_ignores_a_stop_is_ended(event):
    """The time limit and Ctrl-C end it; an epoch whose validation was interrupted does not count."""
    hypermodel = Endless(event)
    found, _ = trained(hypermodel, epochs=50, stop=lambda: True)
    assert hypermodel.rounds <= 3
    assert (found.end_reason, found.history) == (result.EndReason.STOPPED, ())


def test_training_a_model_around_the_network_trains_the_network():
    """Its epochs count, and the network's weights of the best epoch are kept."""
    found, told = trained(Fits("wraps"))
    assert len(told) == 3
    assert found.best_value == max(metrics["val_accuracy"] for _, metrics in told)
    assert found.model.layers[-1].units == 10
