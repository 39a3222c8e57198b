"""search run from_keras_tuner

A KerasTuner model as it is, here over handwritten digits.

`build` is what a KerasTuner project holds, as a function or as the `build` method of a `HyperModel`: its network, its
optimizer and its loss. Its hyperparameters are searched under their own names, and their defaults are the baseline.
It needs `pip install keras-tuner`.
"""

from typing import Any

from spaces import Digits, KerasTunerModel, Space
from studies import Study


def build(hp: Any) -> Any:
    """A dense network of one to three layers, from KerasTuner's guide."""
    import keras
    from keras import layers

    model = keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten()])
    for index in range(hp.Int("layers", 1, 3)):
        units = hp.Int(f"units_{index}", 32, 256, step=32)
        model.add(layers.Dense(units, activation=hp.Choice("activation", ["relu", "tanh"])))
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(0.25))
    model.add(layers.Dense(10, activation="softmax"))
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-3)
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


space = Space(data=Digits(), model=KerasTunerModel(build), epochs=15)

study = Study(trials=20)
