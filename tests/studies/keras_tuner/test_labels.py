"""The form of labels that a loss needs is found by calling it, never by its name."""

import functools

import keras
import pytest
from keras import layers, ops

from spaces import KerasTunerModel
from spaces.errors import ModelError, SpaceError
from studies.keras_tuner.labels import check_metrics, one_hot_columns


def integers_by_wrapping(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def one_hot_called_sparse(y_true, y_pred):
    return keras.losses.categorical_crossentropy(y_true, y_pred)


def one_hot_by_arithmetic(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def either(y_true, y_pred):
    if len(y_true.shape) == 1 or y_true.shape[-1] == 1:
        y_true = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), y_pred.shape[-1])
    return keras.losses.categorical_crossentropy(y_true, y_pred)


class OwnIntegers(keras.losses.Loss):
    def call(self, y_true, y_pred):
        one_hot = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), ops.shape(y_pred)[-1])
        return -ops.sum(one_hot * ops.log(y_pred + 1e-7), axis=-1)


class OwnOneHot(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return -ops.sum(y_true * ops.log(y_pred + 1e-7), axis=-1)


def network_of(outputs, loss, metrics=None, activation="softmax"):
    images = keras.Input((4,))
    network = keras.Model(images, layers.Dense(outputs, activation=activation, name="probs")(images))
    network.compile(loss=loss, metrics=metrics)
    return network


def columns_of(outputs, loss, labels=None, **more):
    record = KerasTunerModel(lambda hp: None, labels=labels)
    return one_hot_columns(record, "build()", network_of(outputs, loss, **more), outputs)


LOGITS = functools.partial(keras.losses.sparse_categorical_crossentropy, from_logits=True)


@pytest.mark.parametrize("outputs", [2, 7])
@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "SparseCategoricalCrossentropy",
        keras.losses.SparseCategoricalCrossentropy(name="loss", ignore_class=0),
        ["sparse_categorical_crossentropy"],
        {"probs": "sparse_categorical_crossentropy"},
        integers_by_wrapping,
        lambda y_true, y_pred: keras.losses.sparse_categorical_crossentropy(y_true, y_pred),
        OwnIntegers(reduction=None),
        either,
    ],
)
def test_a_loss_that_needs_integers_gets_them(loss, outputs):
    """Names, objects, lists, dicts, functions and classes of the user's own are all tried alike."""
    assert columns_of(outputs, loss) == 0


def test_a_loss_on_logits_is_tried_with_logits():
    """A partial function over logits behind a last layer without an activation needs integers."""
    assert columns_of(4, LOGITS, activation=None) == 0
    assert columns_of(4, keras.losses.CategoricalCrossentropy(from_logits=True), activation=None) == 4


@pytest.mark.parametrize("outputs", [2, 7])
@pytest.mark.parametrize(
    "loss",
    [
        "categorical_crossentropy",
        "bce",
        "mse",
        "kl_divergence",
        "poisson",
        "cosine_similarity",
        ["mse"],
        {"probs": keras.losses.CategoricalCrossentropy(label_smoothing=0.1)},
        keras.losses.CategoricalFocalCrossentropy(),
        keras.losses.Dice(),
        one_hot_called_sparse,
        one_hot_by_arithmetic,
        functools.partial(keras.losses.categorical_crossentropy, label_smoothing=0.1),
        OwnOneHot(),
    ],
)
def test_a_loss_that_needs_one_hot_labels_gets_them(loss, outputs):
    """Also one called sparse, and one that would combine integers with outputs by broadcasting."""
    assert columns_of(outputs, loss) == outputs


@pytest.mark.parametrize("loss", ["bce", "mse", "hinge", one_hot_by_arithmetic, keras.losses.BinaryFocalCrossentropy()])
def test_one_output_takes_integers(loss):
    """There is one form for a single sigmoid."""
    assert columns_of(1, loss, activation="sigmoid") == 0


def test_a_metric_may_need_integers_in_a_column():
    """F1Score takes labels (n, 1) of a model with one output, and the loss takes them too."""
    assert columns_of(1, "bce", activation="sigmoid", metrics=[keras.metrics.F1Score(threshold=0.5)]) == 1


def first_column(y_true, y_pred):
    one_hot = ops.one_hot(ops.cast(y_true[:, 0], "int32"), y_pred.shape[-1])
    return -ops.sum(one_hot * ops.log(y_pred + 1e-7), axis=-1)


def share_of_first_column(y_true, y_pred):
    return ops.mean(ops.equal(ops.cast(y_true[:, 0], "int64"), ops.cast(ops.argmax(y_pred, axis=-1), "int64")))


@pytest.mark.parametrize("labels", [None, "integers"])
@pytest.mark.parametrize("outputs", [2, 7])
def test_integers_in_a_column_are_given_where_the_loss_or_a_metric_reads_one(outputs, labels):
    """Keras' own data sets hold labels (n, 1), and code that was written for them takes nothing else."""
    assert columns_of(outputs, first_column, labels) == 1
    assert columns_of(outputs, "sparse_categorical_crossentropy", labels, metrics=[share_of_first_column]) == 1
    check_metrics("build()", network_of(outputs, first_column, [share_of_first_column]), outputs, 1)


def constant(y_true, y_pred):
    return ops.mean(y_pred)


def broken(y_true, y_pred):
    raise RuntimeError("no such thing")


@pytest.mark.parametrize(
    ("outputs", "loss", "message"),
    [
        (3, constant, r"(?s)its loss constant cannot be detected.*labels='integers' or labels='one-hot'"),
        (3, None, r"(?s)without a loss.*pass labels="),
        (3, broken, r"loss broken fails with integers \(RuntimeError: no such thing\) and with one-hot labels"),
        (3, {"logits": "mse"}, r"loss is for 'logits', but the model's output is 'probs'"),
        (1, "sparse_categorical_crossentropy", "(?s)cannot train a model with one output.*use binary_crossentropy"),
        (1, OwnOneHot(), "(?s)cannot train a model with one output.*use binary_crossentropy"),
    ],
)
def test_what_cannot_be_detected_is_refused(outputs, loss, message):
    """Nothing is guessed: the message names the argument that decides."""
    with pytest.raises(ModelError, match=message):
        columns_of(outputs, loss, activation="sigmoid" if outputs == 1 else "softmax")


@pytest.mark.parametrize(("labels", "columns"), [("integers", 0), ("one-hot", 3)])
def test_the_user_decides_what_cannot_be_detected(labels, columns):
    """`labels` counts, also for a loss that tells nothing."""
    assert columns_of(3, constant, labels) == columns
    assert columns_of(3, None, labels) == columns


def test_a_form_that_the_loss_rejects_is_refused():
    """`labels` that contradict the loss or the outputs fail before any training."""
    with pytest.raises(ModelError, match="sparse_categorical_crossentropy fails with labels='one-hot': ValueError"):
        columns_of(3, "sparse_categorical_crossentropy", "one-hot")
    with pytest.raises(ModelError, match="the model has a single output"):
        columns_of(1, "bce", "one-hot", activation="sigmoid")
    with pytest.raises(SpaceError, match="labels: got 'numbers', expected 'integers' or 'one-hot' or None"):
        space_of(labels="numbers")


def space_of(**fields):
    from spaces import Digits, Space

    return Space(data=Digits(), model=KerasTunerModel(lambda hp: None, **fields))


@pytest.mark.parametrize(
    ("outputs", "loss", "metrics"),
    [
        (3, "mse", ["accuracy", "AUC", keras.metrics.F1Score(), keras.metrics.TopKCategoricalAccuracy(5)]),
        (3, "sparse_categorical_crossentropy", ["acc", keras.metrics.SparseTopKCategoricalAccuracy(5)]),
        (1, "bce", ["accuracy", "AUC", keras.metrics.Precision()]),
    ],
)
def test_metrics_of_the_same_form_pass(outputs, loss, metrics):
    """What takes the labels of the loss stays as it is, and is empty afterwards."""
    network = network_of(outputs, loss, metrics, "sigmoid" if outputs == 1 else "softmax")
    check_metrics("build()", network, outputs, 3 if loss == "mse" else 0)
    assert not any(float(ops.sum(variable)) for metric in network.metrics for variable in metric.variables[:1])


@pytest.mark.parametrize(
    ("outputs", "loss", "metric", "message"),
    [
        (3, "mse", "sparse_categorical_accuracy", "metric fails with one-hot labels, which the loss mse needs"),
        (2, "mse", "sparse_categorical_accuracy", "metric fails with one-hot labels, which the loss mse needs"),
        (3, "sparse_categorical_crossentropy", "categorical_accuracy", "'categorical_accuracy' needs one-hot labels"),
        (2, "sparse_categorical_crossentropy", "categorical_accuracy", "'categorical_accuracy' needs one-hot labels"),
        (3, "sparse_categorical_crossentropy", "AUC", "metric fails with integer labels"),
        (1, "bce", "categorical_accuracy", "'categorical_accuracy' is constant for a model with one output"),
    ],
)
def test_metrics_of_the_other_form_are_refused(outputs, loss, metric, message):
    """A metric never measures nonsense under a name that a search may aim at."""
    network = network_of(outputs, loss, [metric], "sigmoid" if outputs == 1 else "softmax")
    with pytest.raises(ModelError, match=message):
        check_metrics("build()", network, outputs, outputs if loss == "mse" else 0)
