"""The metrics of a trial, read from the return value of `fit`."""

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
        *((0.25, 0.25), (1, 1.0)),
        *((each, 0.5) for each in (np.float32(0.5), np.array(0.5), keras.ops.convert_to_tensor(0.5))),
        *(({"val_accuracy": 0.5, "val_loss": 2.0}, 0.5), ({"val_accuracy": np.float64(0.5), "note": "text"}, 0.5)),
        *((history(val_accuracy=values), 0.6) for values in ([0.2, 0.6, 0.4], [float("nan"), 0.6])),
        *(([0.2, 0.4], 0.3), ((0.2, np.float32(0.4)), 0.3), ([0.2, {"val_accuracy": 0.4}, [0.6, 0.6]], 0.4)),
        ([{"val_accuracy": 0.2}, {"val_accuracy": 0.4}], 0.3),
        ([history(val_accuracy=[0.2, 0.1]), history(val_accuracy=[0.4])], 0.3),
        *((each, float("nan")) for each in ([0.5, float("nan")], history(val_accuracy=[float("nan")]))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_is_that_of_keras_tuner(returned, value):
    """A number counts, a dict by its metric, a History by its best epoch, a list by its mean; NaN is a value."""
    assert parse_returned(returned, "val_accuracy", "fit()")["val_accuracy"] == pytest.approx(value, nan_ok=True)


def test_lowest_loss_is_best():
    """The best epoch of a History follows the metric's direction, and brings that epoch's other metrics."""
    found = parse_returned(history(val_loss=[0.5, 0.3, 0.4], val_accuracy=[0.7, 0.8, 0.9]), "val_loss", "fit()")
    assert found == {"val_loss": 0.3, "val_accuracy": 0.8}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        *((None, "returned nothing, expected val_accuracy"), ("0.5", "returned '0.5'"), (True, "returned True")),
        *((np.array([0.5, 0.6]), "returned array"), ([], "an empty list")),
        ({}, "without val_accuracy.*it is empty"),
        ({"accuracy": 0.5, "loss": 1.0}, '(?s)without val_accuracy; it has accuracy, loss.*{"val_accuracy"'),
        ({"val_accuracy": "high"}, "returned 'high' as val_accuracy"),
        (history(accuracy=[0.5]), "(?s)a History without val_accuracy; it has accuracy\n.*validation_data"),
        ([0.5, None], "returned nothing"),
        ([{"val_accuracy": 0.5}, {"val_loss": 0.5}], "without val_accuracy"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_refused(returned, message):
    """The error names the value received, or the missing metric and those present."""
    with pytest.raises(EveryTrialError, match=message):
        parse_returned(returned, "val_accuracy", "fit()")


def test_impossible_value_of_the_metric_is_refused():
    """A loss returned as an accuracy would be maximized; a loss may be any number."""
    with pytest.raises(ModelError, match=r'(?s)returned 1.4 as val_accuracy.*set Space\(metric="val_loss"\)'):
        check_range(1.4, "val_accuracy", "fit()")
    for value, metric in ((1.0, "val_accuracy"), (-40.0, "val_loss"), (float("nan"), "val_accuracy")):
        check_range(value, metric, "fit()")
