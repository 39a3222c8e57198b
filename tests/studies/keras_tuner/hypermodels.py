"""Small hypermodels that use all of KerasTuner's hyperparameters."""

import keras
import keras_tuner
from keras import layers

SHAPE = (8, 8, 1)


class Dense(keras_tuner.HyperModel):
    """One dense network, compiled by itself."""

    def __init__(self, outputs=10, activation="softmax", loss="sparse_categorical_crossentropy", metrics=("accuracy",)):
        super().__init__()
        self.outputs, self.activation, self.loss, self.metrics = outputs, activation, loss, metrics

    def build(self, hp):
        hidden = layers.Dense(hp.Int("units", 16, 64, step=16, default=32), activation="relu")
        last = layers.Dense(self.outputs, activation=self.activation)
        model = keras.Sequential([keras.Input(SHAPE), layers.Flatten(), hidden, last])
        rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log", default=1e-2)
        model.compile(optimizer=keras.optimizers.Adam(rate), loss=self.loss, metrics=list(self.metrics))
        return model


class OwnFit(Dense):
    """Sets the batch size and the epochs in its own `fit`."""

    def fit(self, hp, model, *args, **kwargs):
        size = hp.Choice("batch_size", [64, 128], default=128)
        return model.fit(*args, batch_size=size, epochs=hp.Int("epochs", 2, 3), **kwargs)


class OwnLoop(Dense):
    """Trains in a custom loop, which calls the callbacks as in KerasTuner's guide."""

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        for callback in callbacks:
            callback.set_model(model)
        for epoch in range(2):
            for start in range(0, len(x), 128):
                model.train_on_batch(x[start : start + 128], y[start : start + 128])
            loss = float(model.evaluate(*validation_data, verbose=0)[0])
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_metric": loss})
        return loss


class Silent(Dense):
    """Does not call the callbacks."""

    def fit(self, hp, model, x, y, **kwargs):
        model.train_on_batch(x, y)
        return 0.5


def two_kinds(hp):
    """One name under two conditions, a name scope, nested conditions."""
    kind = hp.Choice("kind", ["mlp", "wide"])
    units = 8
    with hp.conditional_scope("kind", ["mlp"]):
        if kind == "mlp":
            units = hp.Int("units", 8, 16)
            hp.Boolean("bias", default=True)
            with hp.conditional_scope("bias", [True]):
                hp.Float("start", 0.0, 1.0)
    with hp.conditional_scope("kind", ["wide"]):
        if kind == "wide":
            units = hp.Choice("units", [32, 64])
    with hp.name_scope("head"):
        hp.Fixed("seed", 3)
        rate = hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2)
    last = [layers.Dense(units), layers.Dropout(rate), layers.Dense(10)]
    return keras.Sequential([keras.Input(SHAPE), layers.Flatten(), *last])
