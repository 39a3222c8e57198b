"""Detects whether a compiled network takes integers or one-hot labels, by calling its loss and metrics with both."""

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
"""Integers (n, 1), as in Keras' CIFAR data, for a loss or metric of several outputs that needs two axes."""

_PASS_LABELS = "pass labels='integers' or labels='one-hot' to KerasTunerModel(...)"
_SMALLEST_DIFFERENCE = 1e-3
"""Relative difference between right and wrong predictions, below which a loss or metric does not read the labels."""


def one_hot_columns(record: KerasTunerModel, name: str, network: keras.Model, outputs: int) -> int:
    """Return the number of label columns that a compiled network takes; 0 for integers (n,), 1 for (n, 1).

    The hypermodel's `labels`, if set, decide. `name` is that of the hypermodel in messages.

    Raises:
        ModelError: The loss fails, or does not tell which label format it needs.
    """
    _check_names(name, network)
    if outputs == 1:
        return _columns_of_one_output(record, name, network)
    if network.loss is None and record.labels is None:
        raise ModelError(
            f"{name} compiles its model without a loss, so its label format is unknown\nhint: {_PASS_LABELS}"
        )
    form = record.labels or _detect_format(name, network, outputs)
    if record.labels is not None and network.loss is not None:
        failure = _judge(network, form, outputs)[1]
        if failure and form == INTEGERS and _judge(network, COLUMN, outputs)[0]:
            form = COLUMN
        elif failure:
            raise ModelError(f"{name}: its loss {_loss_name(network)} fails with labels={form!r}: {failure}")
    if form == INTEGERS and _is_column_needed(network, outputs):
        form = COLUMN
    return {INTEGERS: 0, COLUMN: 1, ONE_HOT: outputs}[form]


def label_format(columns: int, outputs: int) -> str:
    """Return the format of labels with this number of columns."""
    if columns == 0:
        return INTEGERS
    return ONE_HOT if columns == outputs else COLUMN


def check_metrics(name: str, network: keras.Model, outputs: int, columns: int) -> None:
    """Check that the compiled metrics take the label format of the loss, from `one_hot_columns`.

    Raises:
        ModelError: A metric fails with such labels, or needs the other format.
    """
    if type(network).compute_metrics is not keras.Model.compute_metrics:
        return
    form = label_format(columns, outputs)
    other_form = INTEGERS if form == ONE_HOT else ONE_HOT
    found, failure = _measure_metrics(network, form, outputs)
    if failure:
        raise ModelError(
            f"{name}: a compiled metric fails with {_describe_format(form)}, which the loss {_loss_name(network)} "
            f"needs: {failure.rstrip('.')}\nhint: choose metrics for {_describe_format(form)}; "
            "AUC, precision, recall and F1 are measured anyway"
        )
    other = _measure_metrics(network, other_form, outputs)[0]
    for metric, (right, wrong) in found.items():
        if _differ(right, wrong):
            continue
        if outputs == 1 and metric.endswith("accuracy"):
            raise ModelError(
                f"{name}: the metric {metric!r} is constant for a model with one output\nhint: use 'accuracy'"
            )
        if _differ(*other.get(metric, (0.0, 0.0))):
            raise ModelError(
                f"{name}: the metric {metric!r} needs {_describe_format(other_form)}, but the loss "
                f"{_loss_name(network)} needs {_describe_format(form)}\n"
                "hint: use the metric for the other format, or 'accuracy', which takes both"
            )


def _check_names(name: str, network: keras.Model) -> None:
    # Keras does not name the output of a Sequential.
    names = list(getattr(network, "output_names", []))
    if isinstance(network.loss, dict) and list(network.loss) != names:
        outputs = f"is {', '.join(map(repr, names))}" if names else "has no name, since the model is a Sequential"
        raise ModelError(
            f"{name}: the loss is for {', '.join(map(repr, network.loss))}, but the model's output {outputs}\n"
            "hint: pass the loss without a name"
        )


def _columns_of_one_output(record: KerasTunerModel, name: str, network: keras.Model) -> int:
    """Return 0 for labels (n,), or 1 if the loss or a metric takes only labels (n, 1)."""
    if record.labels == ONE_HOT:
        raise ModelError(f"{name}: labels='one-hot' needs one output per class, but the model has a single output")
    if network.loss is None or record.labels == INTEGERS:
        return 0
    judged = [_judge(network, form, 1) for form in (INTEGERS, ONE_HOT)]
    if not any(values for values, _ in judged):
        reason = judged[0][1] or "its value is the same for right and wrong predictions"
        raise ModelError(
            f"{name}: the loss {_loss_name(network)} cannot train a model with one output ({reason})\n"
            "hint: use binary_crossentropy, or Dense(2, activation='softmax')"
        )
    if not judged[0][0]:
        return 1
    if not judged[1][0]:
        return 0
    return int(bool(_measure_metrics(network, INTEGERS, 1)[1]) and not _measure_metrics(network, ONE_HOT, 1)[1])


def _detect_format(name: str, network: keras.Model, outputs: int) -> str:
    """Return the only format in which the loss tells right from wrong; integers if both give the same values."""
    judged = {form: _judge(network, form, outputs) for form in (INTEGERS, ONE_HOT)}
    fitting = [form for form, (values, _) in judged.items() if values]
    if len(fitting) == 1 or (fitting and np.allclose(judged[INTEGERS][0], judged[ONE_HOT][0], rtol=1e-3)):
        return fitting[0]
    if not fitting and _judge(network, COLUMN, outputs)[0]:
        return COLUMN
    loss = _loss_name(network)
    if fitting:
        raise ModelError(
            f"{name}: its loss {loss} accepts integers and one-hot labels, with different results\nhint: {_PASS_LABELS}"
        )
    failures = [failure for _, failure in judged.values()]
    if all(failures):
        raise ModelError(
            f"{name}: its loss {loss} fails with integers ({failures[0]}) and with one-hot labels ({failures[1]}) "
            f"for a model with {outputs} outputs"
        )
    raise ModelError(
        f"{name}: the label format of its loss {loss} cannot be detected, since the loss is the same for right and "
        f"wrong predictions\nhint: {_PASS_LABELS}"
    )


def _is_column_needed(network: keras.Model, outputs: int) -> bool:
    """Return True if a compiled metric fails with integers (n,), but neither it nor the loss fails with (n, 1)."""
    has_own_metrics = type(network).compute_metrics is not keras.Model.compute_metrics
    if has_own_metrics or not _measure_metrics(network, INTEGERS, outputs)[1]:
        return False
    is_loss_fine = network.loss is None or bool(_judge(network, COLUMN, outputs)[0])
    return is_loss_fine and not _measure_metrics(network, COLUMN, outputs)[1]


def _judge(network: keras.Model, form: str, outputs: int) -> tuple[tuple[float, ...], str]:
    """Return the losses of right and wrong predictions if the first is smaller, else (); and why the loss failed."""
    failure = ""
    # Some losses are undefined on logits, and some custom ones apply a softmax to probabilities.
    for logits in (returns_logits(network), not returns_logits(network)):
        labels, right, *wrong = predictions(form, outputs, logits)
        if outputs == 1:
            # A loss for several outputs may miss that one output predicts the same for every image.
            wrong += [np.full_like(right, right.min()), np.full_like(right, right.max())]
        try:
            values = compute_loss(network, labels, right), min(compute_loss(network, labels, each) for each in wrong)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            failure = failure or user_error(error)
            continue
        if values[0] < values[1] and np.isfinite(values[0]) and _differ(*values):
            return values, ""
    return (), failure


def compute_loss(network: keras.Model, labels: np.ndarray, answers: np.ndarray) -> float:
    """Return the compiled loss of one batch of answers."""
    # A separate model, since Keras resolves a loss for one label format on its first call.
    outputs = keras.Input(answers.shape[1:])
    probe = keras.Model(outputs, layers.Identity()(outputs))
    probe.compile(loss=single_loss(network.loss))
    value = probe.compute_loss(y=keras.ops.convert_to_tensor(labels), y_pred=keras.ops.convert_to_tensor(answers))
    return float(np.mean(keras.ops.convert_to_numpy(value)))


def single_loss(loss: Any) -> Any:
    """Return the loss of the only output, which may be in a dict or a list."""
    if isinstance(loss, dict) and len(loss) == 1:
        return next(iter(loss.values()))
    return loss[0] if isinstance(loss, list | tuple) and len(loss) == 1 else loss


def _measure_metrics(network: keras.Model, form: str, outputs: int) -> tuple[dict[str, tuple[Any, Any]], str]:
    """Return the compiled metrics of right and wrong predictions, by name; and why they failed."""
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
    """Return labels of two images per class, right predictions, and wrong ones with the same values permuted.

    The number of images differs from that of the outputs, so that other shapes do not broadcast by accident.
    """
    classes = np.tile(np.arange(max(outputs, 2)), 2)
    right = np.eye(max(outputs, 2), dtype=np.float32)[classes] * 0.9 + 0.1 / max(outputs, 2)
    right = right[:, 1:] if outputs == 1 else right
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


def _describe_format(form: str) -> str:
    return "one-hot labels" if form == ONE_HOT else "integer labels"


def _loss_name(network: keras.Model) -> str:
    loss = single_loss(network.loss)
    if isinstance(loss, str):
        return loss
    named = getattr(loss, "__name__", None) or getattr(loss, "name", None) or type(loss).__name__
    return str(named)
