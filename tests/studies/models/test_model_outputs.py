import keras
import pytest
import tensorflow as tf
from keras import layers

from studies.models.outputs import ends_in, returns_logits


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
def test_logits_are_told_by_the_last_layer(last, expected):
    """Only a softmax or sigmoid at the end makes probabilities."""
    assert returns_logits(network(*last())) is expected


def test_nested_models_and_plain_operations():
    """A softmax counts at the end of a nested model and as an operation without a layer."""
    images = keras.Input((4,))
    assert not returns_logits(keras.Model(images, network(layers.Softmax())(images)))
    assert not returns_logits(keras.Model(images, keras.ops.softmax(layers.Dense(3)(images))))


def test_an_average_of_probabilities_is_one():
    """Several networks may vote, and the result may be cast or clipped."""
    images = keras.Input((4,))
    votes = [layers.Dense(3, activation="softmax")(images) for _ in range(2)]
    mean = layers.Average()(votes)
    assert not returns_logits(keras.Model(images, mean))
    assert not returns_logits(keras.Model(images, keras.ops.clip(keras.ops.cast(mean, "float32"), 0, 1)))
    assert returns_logits(keras.Model(images, layers.Average()([votes[0], layers.Dense(3)(images)])))


def test_ends_in():
    """The activation at the end is known by name."""
    assert ends_in(network(layers.Dense(1, activation="softmax")), "softmax")
    assert not ends_in(network(layers.Dense(1, activation="sigmoid")), "softmax")
