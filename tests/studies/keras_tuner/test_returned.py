"""What a hypermodel's `fit` returns, as metrics of its trial."""

import keras
import numpy as np
import pytest

from spaces.errors import EveryTrialError, ModelError
from studies.keras_tuner.returned import check_range, parse_returned


def history(**values):
    """A History as `model.fit` returns it."""
    found = keras.callbacks.History()
    found.history = values
    return found


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (0.25, 0.25),
        (1, 1.0),
        (np.float32(0.5), 0.5),
        (np.array(0.5), 0.5),
        (keras.ops.convert_to_tensor(0.5), 0.5),
        ({"val_accuracy": 0.5, "val_loss": 2.0}, 0.5),
        ({"val_accuracy": np.float64(0.5), "note": "text"}, 0.5),
        (history(val_accuracy=[0.2, 0.6, 0.4]), 0.6),
        (history(val_accuracy=[float("nan"), 0.6]), 0.6),
        ([0.2, 0.4], 0.3),
        ((0.2, np.float32(0.4)), 0.3),
        ([{"val_accuracy": 0.2}, {"val_accuracy": 0.4}], 0.3),
        ([history(val_accuracy=[0.2, 0.1]), history(val_accuracy=[0.4])], 0.3),
        ([0.2, {"val_accuracy": 0.4}, [0.6, 0.6]], 0.4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_value_is_the_one_that_keras_tuner_would_take(returned, value):
    """Numbers as they are, the metric of a dict, the best epoch of a History, the mean of a list."""
    assert parse_returned(returned, "val_accuracy", "fit()")["val_accuracy"] == pytest.approx(value)


def test_a_loss_is_best_where_it_is_lowest():
    """The best epoch of a History follows the metric's direction, and brings that epoch's other metrics."""
    found = parse_returned(history(val_loss=[0.5, 0.3, 0.4], val_accuracy=[0.7, 0.8, 0.9]), "val_loss", "fit()")
    assert found == {"val_loss": 0.3, "val_accuracy": 0.8}


def test_not_a_number_is_a_value():
    """A trial whose training has diverged may return NaN, also in a list."""
    assert np.isnan(parse_returned([0.5, float("nan")], "val_accuracy", "fit()")["val_accuracy"])
    assert np.isnan(parse_returned(history(val_accuracy=[float("nan")]), "val_accuracy", "fit()")["val_accuracy"])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned nothing, expected val_accuracy"),
        ("0.5", "returned '0.5'"),
        (True, "returned True"),
        (np.array([0.5, 0.6]), "returned array"),
        ([], "an empty list"),
        ({}, "without val_accuracy.*it is empty"),
        (
            {"accuracy": 0.5, "loss": 1.0},
            '(?s)without val_accuracy; it has accuracy, loss.*{"val_accuracy"',
        ),
        ({"val_accuracy": "high"}, "returned 'high' as val_accuracy"),
        (history(accuracy=[0.5]), "(?s)a History without val_accuracy; it has accuracy\n.*validation_data"),
        ([0.5, None], "returned nothing"),
        ([{"val_accuracy": 0.5}, {"val_loss": 0.5}], "without val_accuracy"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_with_what_was_returned(returned, message):
    """The message names the metric that is missing and those that are there."""
    with pytest.raises(EveryTrialError, match=message):
        parse_returned(returned, "val_accuracy", "fit()")


def test_a_value_that_the_metric_cannot_have_is_refused():
    """A loss returned as an accuracy would be maximized; as a loss any number will do."""
    with pytest.raises(ModelError, match=r'(?s)returned 1.4 as val_accuracy.*set Space\(metric="val_loss"\)'):
        check_range(1.4, "val_accuracy", "fit()")
    check_range(1.0, "val_accuracy", "fit()")
    check_range(-40.0, "val_loss", "fit()")
    check_range(float("nan"), "val_accuracy", "fit()")
