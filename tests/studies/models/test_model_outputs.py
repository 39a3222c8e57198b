import keras
import pytest
import tensorflow as tf
from keras import layers

from studies.models.outputs import returns_logits


def network(*last):
    return keras.Sequential([keras.Input((4,)), layers.Dense(3), *last])


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (lambda: (layers.Dense(3),), True),
        (lambda: (layers.Dense(3, activation="relu"),), True),
        (lambda: (layers.Dense(3, activation="softmax"),), False),
        (lambda: (layers.Dense(1, activation="sigmoid"),), False),
        (lambda: (layers.Activation("softmax"),), False),
        (lambda: (layers.Softmax(),), False),
        (lambda: (layers.Dense(3, activation="softmax"), layers.Reshape((3,))), False),
        (lambda: (layers.Softmax(), layers.Activation("linear", dtype="float32")), False),
        (lambda: (layers.Softmax(), layers.Dense(3)), True),
        (lambda: (layers.Dense(3, activation=tf.nn.softmax),), False),
        (lambda: (layers.Activation(tf.nn.sigmoid),), False),
        (lambda: (layers.SpectralNormalization(layers.Dense(3, activation="softmax")),), False),
        (lambda: (layers.SpectralNormalization(layers.Dense(3)),), True),
        (lambda: (layers.Softmax(), layers.Dropout(0.1)), False),
    ],
)
def test_logits_are_recognised_by_the_last_layer(last, expected):
    """Only a softmax or sigmoid at the end makes probabilities."""
    assert returns_logits(network(*last())) is expected


def test_outputs_are_traced_through_nested_models_and_operations():
    """A softmax counts inside a nested model, as an operation, and below a vote, a cast or a clip."""
    images = keras.Input((4,))
    votes = [layers.Dense(3, activation="softmax")(images) for _ in range(2)]
    mean = layers.Average()(votes)
    for outputs, expected in (
        (network(layers.Softmax())(images), False),
        (keras.ops.softmax(layers.Dense(3)(images)), False),
        (mean, False),
        (keras.ops.clip(keras.ops.cast(mean, "float32"), 0, 1), False),
        (layers.Average()([votes[0], layers.Dense(3)(images)]), True),
    ):
        assert returns_logits(keras.Model(images, outputs)) is expected
