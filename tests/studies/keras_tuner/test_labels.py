"""The label format of a loss is detected by calling it, never by its name."""

import contextlib
import functools

import keras
import pytest
from keras import layers, ops

from spaces import KerasTunerModel
from spaces.errors import ModelError
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


INTEGER_LOSSES = [
    *("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"),
    keras.losses.SparseCategoricalCrossentropy(name="loss", ignore_class=0),
    *(["sparse_categorical_crossentropy"], {"probs": "sparse_categorical_crossentropy"}, integers_by_wrapping),
    lambda y_true, y_pred: keras.losses.sparse_categorical_crossentropy(y_true, y_pred),
    *(OwnIntegers(reduction=None), either),
]
ONE_HOT_LOSSES = [
    *("categorical_crossentropy", "bce", "mse", "kl_divergence", "poisson", "cosine_similarity", ["mse"]),
    {"probs": keras.losses.CategoricalCrossentropy(label_smoothing=0.1)},
    *(keras.losses.CategoricalFocalCrossentropy(), keras.losses.Dice(), one_hot_called_sparse, one_hot_by_arithmetic),
    *(functools.partial(keras.losses.categorical_crossentropy, label_smoothing=0.1), OwnOneHot()),
]


@pytest.mark.parametrize("outputs", [2, 7])
@pytest.mark.parametrize(
    ("loss", "is_one_hot"), [*((loss, False) for loss in INTEGER_LOSSES), *((loss, True) for loss in ONE_HOT_LOSSES)]
)
def test_loss_gets_the_labels_that_it_needs(loss, is_one_hot, outputs):
    """Names, objects, lists, dicts, functions and classes are called; one that would broadcast needs one-hot labels."""
    assert columns_of(outputs, loss) == (outputs if is_one_hot else 0)


def first_column(y_true, y_pred):
    one_hot = ops.one_hot(ops.cast(y_true[:, 0], "int32"), y_pred.shape[-1])
    return -ops.sum(one_hot * ops.log(y_pred + 1e-7), axis=-1)


def accuracy_of_first_column(y_true, y_pred):
    return ops.mean(ops.equal(ops.cast(y_true[:, 0], "int64"), ops.cast(ops.argmax(y_pred, axis=-1), "int64")))


@pytest.mark.parametrize("labels", [None, "integers"])
@pytest.mark.parametrize("outputs", [2, 7])
def test_loss_or_metric_may_read_integers_in_a_column(outputs, labels):
    """Keras' data sets have labels (n, 1), and code written for them takes only these."""
    assert columns_of(outputs, first_column, labels) == 1
    assert columns_of(outputs, "sparse_categorical_crossentropy", labels, metrics=[accuracy_of_first_column]) == 1
    check_metrics("build()", network_of(outputs, first_column, [accuracy_of_first_column]), outputs, 1)


def constant(y_true, y_pred):
    return ops.mean(y_pred)


def broken(y_true, y_pred):
    raise RuntimeError("no such thing")


@pytest.mark.parametrize(
    ("outputs", "loss", "labels", "message"),
    [
        (3, constant, None, r"(?s)its loss constant cannot be detected.*labels='integers' or labels='one-hot'"),
        (3, None, None, r"(?s)without a loss.*pass labels="),
        (3, broken, None, r"loss broken fails with integers \(RuntimeError: no such thing\) and with one-hot labels"),
        (3, {"logits": "mse"}, None, r"loss is for 'logits', but the model's output is 'probs'"),
        (1, "sparse_categorical_crossentropy", None, "(?s)with one output.*use binary_crossentropy"),
        (1, OwnOneHot(), None, "(?s)with one output.*use binary_crossentropy"),
        (3, "sparse_categorical_crossentropy", "one-hot", "fails with labels='one-hot': ValueError"),
        (1, "bce", "one-hot", "the model has a single output"),
    ],
)
def test_unknown_or_wrong_label_format_is_refused(outputs, loss, labels, message):
    """The format is never guessed: the error names the loss, and the argument that decides."""
    with pytest.raises(ModelError, match=message):
        columns_of(outputs, loss, labels, activation="sigmoid" if outputs == 1 else "softmax")


LOGITS = functools.partial(keras.losses.sparse_categorical_crossentropy, from_logits=True)
ONE_OUTPUT_LOSSES = ("bce", "mse", "hinge", one_hot_by_arithmetic, keras.losses.BinaryFocalCrossentropy())


@pytest.mark.parametrize(
    ("outputs", "loss", "fields", "columns"),
    [
        *((1, loss, {"activation": "sigmoid"}, 0) for loss in ONE_OUTPUT_LOSSES),
        (1, "bce", {"activation": "sigmoid", "metrics": [keras.metrics.F1Score(threshold=0.5)]}, 1),
        (4, LOGITS, {"activation": None}, 0),
        (4, keras.losses.CategoricalCrossentropy(from_logits=True), {"activation": None}, 4),
        *((3, loss, {"labels": "integers"}, 0) for loss in (constant, None)),
        *((3, loss, {"labels": "one-hot"}, 3) for loss in (constant, None)),
    ],
)
def test_outputs_logits_and_the_user_decide_the_format(outputs, loss, fields, columns):
    """One output takes (n,), or (n, 1) for a metric that needs it; logits are tried; `labels` decides if set."""
    assert columns_of(outputs, loss, **fields) == columns


ONE_HOT_METRICS = ["accuracy", "AUC", keras.metrics.F1Score(), keras.metrics.TopKCategoricalAccuracy(5)]
SPARSE = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("outputs", "loss", "metrics", "message"),
    [
        (3, "mse", ONE_HOT_METRICS, ""),
        (3, SPARSE, ["acc", keras.metrics.SparseTopKCategoricalAccuracy(5)], ""),
        (1, "bce", ["accuracy", "AUC", keras.metrics.Precision()], ""),
        *((n, "mse", ["sparse_categorical_accuracy"], "metric fails with one-hot labels") for n in (2, 3)),
        *((n, SPARSE, ["categorical_accuracy"], "'categorical_accuracy' needs one-hot labels") for n in (2, 3)),
        (3, SPARSE, ["AUC"], "metric fails with integer labels"),
        (1, "bce", ["categorical_accuracy"], "'categorical_accuracy' is constant for a model with one output"),
    ],
)
def test_metrics_must_take_the_labels_of_the_loss(outputs, loss, metrics, message):
    """A metric with other labels would be a wrong value that a study may optimize; the check resets the others."""
    network = network_of(outputs, loss, metrics, "sigmoid" if outputs == 1 else "softmax")
    with pytest.raises(ModelError, match=message) if message else contextlib.nullcontext():
        check_metrics("build()", network, outputs, outputs if loss == "mse" else 0)
    if not message:
        assert not any(float(ops.sum(variable)) for metric in network.metrics for variable in metric.variables[:1])
