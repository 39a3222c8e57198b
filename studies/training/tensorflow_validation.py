"""One validation step on TensorFlow: outputs of a batch, with the loss and metrics that Keras would compute."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def validation_step(model: keras.Model) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return outputs and loss for images and targets, and update the compiled metrics.

    It is cached with the model until that is compiled again, as Keras does with its functions.
    """
    kept = getattr(model, "kept_validation", None)
    if kept is None or kept.optimizer is not model.optimizer:
        kept = model.kept_validation = _Kept(model)
    step: Callable[[Any, Any], tuple[Any, Any]] = kept.step
    return step


class _Kept:
    """A traced step, and the optimizer whose compilation it belongs to."""

    def __init__(self, model: keras.Model) -> None:
        self.optimizer = model.optimizer

        def step(images: Any, targets: Any) -> tuple[Any, Any]:
            outputs = model(images, training=False)
            # In the same graph as the outputs, where Keras finds the logits behind a softmax.
            loss = model.compute_loss(images, targets, outputs, training=False)
            model.compute_metrics(images, targets, outputs)
            return outputs, loss

        jit = model.jit_compile is True
        self.step = tf.function(step, autograph=False, reduce_retracing=True, jit_compile=jit)
