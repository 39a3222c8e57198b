"""Finds out whether a compiled network takes integers or one-hot labels, by calling its loss and metrics with both."""

from typing import Any

import keras
import numpy as np
from keras import layers

from spaces.errors import ModelError
from spaces.keras_tuner import INTEGERS, ONE_HOT, KerasTunerModel
from studies.models.out_of_memory import is_out_of_memory
from studies.models.outputs import returns_logits
from studies.models.user_code import user_error

COLUMN = "integers in a column"
"""Integers (n, 1), as Keras' own CIFAR data holds them, for a loss or metric of several outputs that needs two axes."""

_SMALLEST_DIFFERENCE = 1e-3
"""Relative; a loss or metric that differs by less for right and wrong predictions does not read the labels."""


def one_hot_columns(record: KerasTunerModel, name: str, network: keras.Model, outputs: int) -> int:
    """Number of columns of the labels that a compiled network is trained on; 0 for integers (n,), 1 for (n, 1).

    Args:
        record: Says how labels are passed, where the user has decided it.
        name: What the hypermodel is called in messages.
        network: The compiled network.
        outputs: Its number of outputs.

    Raises:
        ModelError: The loss fails, or cannot tell right predictions from wrong ones in one form of labels alone.
    """
    _check_names(name, network)
    if outputs == 1:
        return _of_one_output(record, name, network)
    if network.loss is None and record.labels is None:
        raise ModelError(
            f"{name} compiles its model without a loss, so the form of its labels is unknown: "
            "pass labels='integers' or labels='one-hot' to KerasTunerModel(...)"
        )
    form = record.labels or _needed(name, network, outputs)
    if record.labels is not None and network.loss is not None:
        failure = _judged(network, form, outputs)[1]
        if failure and form == INTEGERS and _judged(network, COLUMN, outputs)[0]:
            form = COLUMN
        elif failure:
            raise ModelError(f"{name}: its loss {_loss_name(network)} fails with labels={form!r}: {failure}")
    if form == INTEGERS and _is_column_needed(network, outputs):
        form = COLUMN
    return {INTEGERS: 0, COLUMN: 1, ONE_HOT: outputs}[form]


def form_of(columns: int, outputs: int) -> str:
    """Return the form of labels that have this many columns."""
    if columns == 0:
        return INTEGERS
    return ONE_HOT if columns == outputs else COLUMN


def check_metrics(name: str, network: keras.Model, outputs: int, columns: int) -> None:
    """Make sure that the compiled metrics read labels in the form that the loss needs.

    Args:
        name: What the hypermodel is called in messages.
        network: The compiled network.
        outputs: Its number of outputs.
        columns: What `one_hot_columns` gave.

    Raises:
        ModelError: A metric fails with such labels, or needs the other form.
    """
    if type(network).compute_metrics is not keras.Model.compute_metrics:
        return
    form = form_of(columns, outputs)
    other_form = INTEGERS if form == ONE_HOT else ONE_HOT
    found, failure = _metrics(network, form, outputs)
    if failure:
        raise ModelError(
            f"{name}: a compiled metric fails with {_words(form)}, which the loss {_loss_name(network)} needs: "
            f"{failure.rstrip('.')}. Choose metrics for {_words(form)}; "
            "AUC, precision, recall and F1 are measured anyway"
        )
    other = _metrics(network, other_form, outputs)[0]
    for metric, (right, wrong) in found.items():
        if _differ(right, wrong):
            continue
        if outputs == 1 and metric.endswith("accuracy"):
            raise ModelError(f"{name}: the metric {metric!r} is constant for a model with one output: use 'accuracy'")
        if _differ(*other.get(metric, (0.0, 0.0))):
            raise ModelError(
                f"{name}: the metric {metric!r} needs {_words(other_form)}, but the loss {_loss_name(network)} needs "
                f"{_words(form)}: use the metric's other form, or 'accuracy', which takes both"
            )


def _check_names(name: str, network: keras.Model) -> None:
    # Keras itself finds no name of a Sequential's output.
    names = list(getattr(network, "output_names", []))
    if isinstance(network.loss, dict) and list(network.loss) != names:
        outputs = (
            f"is called {', '.join(map(repr, names))}" if names else "has no name, since the model is a Sequential"
        )
        raise ModelError(
            f"{name}: the loss is given for {', '.join(map(repr, network.loss))}, but the model's output {outputs}: "
            "pass the loss alone"
        )


def _of_one_output(record: KerasTunerModel, name: str, network: keras.Model) -> int:
    """0 for labels (n,), or 1 for labels (n, 1) where the loss or a metric takes only these."""
    if record.labels == ONE_HOT:
        raise ModelError(f"{name}: labels='one-hot' needs one output for each class, but the model has a single output")
    if network.loss is None or record.labels == INTEGERS:
        return 0
    judged = [_judged(network, form, 1) for form in (INTEGERS, ONE_HOT)]
    if not any(values for values, _ in judged):
        reason = judged[0][1] or "its value is the same for right and wrong predictions"
        raise ModelError(
            f"{name}: the loss {_loss_name(network)} cannot train a model with one output ({reason}): "
            "use binary_crossentropy, or Dense(2, activation='softmax')"
        )
    if not judged[0][0]:
        return 1
    return int(bool(judged[1][0] and _metrics(network, INTEGERS, 1)[1] and not _metrics(network, ONE_HOT, 1)[1]))


def _needed(name: str, network: keras.Model, outputs: int) -> str:
    """The one form in which the loss tells right from wrong; integers where both give the same values."""
    judged = {form: _judged(network, form, outputs) for form in (INTEGERS, ONE_HOT)}
    fitting = [form for form, (values, _) in judged.items() if values]
    if len(fitting) == 1 or (fitting and np.allclose(judged[INTEGERS][0], judged[ONE_HOT][0], rtol=1e-3)):
        return fitting[0]
    if not fitting and _judged(network, COLUMN, outputs)[0]:
        return COLUMN
    advice = "pass labels='integers' or labels='one-hot' to KerasTunerModel(...)"
    loss = _loss_name(network)
    if fitting:
        raise ModelError(
            f"{name}: its loss {loss} accepts integers and one-hot labels, with different results: {advice}"
        )
    failures = [failure for _, failure in judged.values()]
    if all(failures):
        raise ModelError(
            f"{name}: its loss {loss} fails with integers ({failures[0]}) and with one-hot labels ({failures[1]}) "
            f"for a model with {outputs} outputs"
        )
    raise ModelError(
        f"{name}: the form of labels that its loss {loss} needs cannot be detected, since it is the same for right and "
        f"wrong predictions: {advice}"
    )


def _is_column_needed(network: keras.Model, outputs: int) -> bool:
    """Whether a compiled metric fails with integers (n,), but neither it nor the loss does with (n, 1)."""
    if type(network).compute_metrics is not keras.Model.compute_metrics or not _metrics(network, INTEGERS, outputs)[1]:
        return False
    is_loss_fine = network.loss is None or bool(_judged(network, COLUMN, outputs)[0])
    return is_loss_fine and not _metrics(network, COLUMN, outputs)[1]


def _judged(network: keras.Model, form: str, outputs: int) -> tuple[tuple[float, ...], str]:
    """The loss of right and of wrong predictions if the first is smaller, else nothing; and why the loss failed."""
    failure = ""
    # Some losses are not defined on logits, and some custom ones apply a softmax to probabilities.
    for logits in (returns_logits(network), not returns_logits(network)):
        labels, right, *wrong = predictions(form, outputs, logits)
        if outputs == 1:
            # A loss made for several outputs may not see that one output gives the same answer for every image.
            wrong += [np.full_like(right, right.min()), np.full_like(right, right.max())]
        try:
            values = loss_of(network, labels, right), min(loss_of(network, labels, each) for each in wrong)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            failure = failure or user_error(error)
            continue
        if values[0] < values[1] and np.isfinite(values[0]) and _differ(*values):
            return values, ""
    return (), failure


def loss_of(network: keras.Model, labels: np.ndarray, answers: np.ndarray) -> float:
    """The compiled loss of one batch of answers."""
    # A model of its own: Keras resolves a loss on its first call, for one form of labels.
    outputs = keras.Input(answers.shape[1:])
    probe = keras.Model(outputs, layers.Identity()(outputs))
    probe.compile(loss=single_loss(network.loss))
    value = probe.compute_loss(y=keras.ops.convert_to_tensor(labels), y_pred=keras.ops.convert_to_tensor(answers))
    return float(np.mean(keras.ops.convert_to_numpy(value)))


def single_loss(loss: Any) -> Any:
    """The loss of the only output, which may be given by the output's name or in a list."""
    if isinstance(loss, dict) and len(loss) == 1:
        return next(iter(loss.values()))
    return loss[0] if isinstance(loss, list | tuple) and len(loss) == 1 else loss


def _metrics(network: keras.Model, form: str, outputs: int) -> tuple[dict[str, tuple[Any, Any]], str]:
    """The values of the compiled metrics for right and for wrong predictions, by name; and why they failed."""
    labels, *answers = predictions(form, outputs, returns_logits(network))
    values = []
    try:
        for each in answers:
            network.reset_metrics()
            found = network.compute_metrics(None, labels, keras.ops.convert_to_tensor(each))
            values.append({name: keras.ops.convert_to_numpy(value) for name, value in found.items()})
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return {}, user_error(error)
    finally:
        network.reset_metrics()
    return {name: (value, values[1][name]) for name, value in values[0].items()}, ""


def predictions(form: str, outputs: int, logits: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels with two images of each class, right predictions, and wrong ones with the same values in other places.

    Never as many images as outputs, so that labels and outputs of other shapes are not combined by accident.
    """
    classes = np.tile(np.arange(max(outputs, 2)), 2)
    share = np.eye(max(outputs, 2), dtype=np.float32)[classes] * 0.9 + 0.1 / max(outputs, 2)
    right = share[:, 1:] if outputs == 1 else share
    right = np.log(right / (1 - right)) if logits else right
    wrong = right[::-1] if outputs == 1 else np.roll(right, 1, axis=1)
    labels: np.ndarray = classes
    if form == COLUMN:
        labels = classes[:, None]
    elif form == ONE_HOT:
        labels = np.eye(outputs, dtype=np.float32)[classes] if outputs > 1 else classes[:, None].astype(np.float32)
    return labels, right, wrong


def _differ(right: Any, wrong: Any) -> bool:
    return not np.allclose(right, wrong, rtol=_SMALLEST_DIFFERENCE, atol=1e-9, equal_nan=True)


def _words(form: str) -> str:
    return "one-hot labels" if form == ONE_HOT else "integer labels"


def _loss_name(network: keras.Model) -> str:
    loss = single_loss(network.loss)
    if isinstance(loss, str):
        return loss
    named = getattr(loss, "__name__", None) or getattr(loss, "name", None) or type(loss).__name__
    return str(named)
