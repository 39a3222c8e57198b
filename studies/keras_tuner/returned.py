"""What a hypermodel's `fit` returns, as metrics of its trial: the rules are KerasTuner's."""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from spaces.errors import EveryTrialError, ModelError
from spaces.scalars import short_repr
from spaces.training import METRICS

_NOISE = 1e-6


def metrics_returned(returned: Any, metric: str, fit: str) -> dict[str, float]:
    """The metrics that `fit` returned, the one that the study compares among them.

    Args:
        returned: A number, a dict of metrics, a `History` (its best epoch counts), or a list of these (their mean).
        metric: What the study compares, such as `val_accuracy`.
        fit: What `fit` is called in messages.

    Raises:
        EveryTrialError: It is something else, or holds no such metric.
    """
    if isinstance(returned, list | tuple):
        if not returned:
            raise EveryTrialError(f"{fit} returned an empty list: return the trial's {metric}, or a list of its values")
        return _mean([metrics_returned(each, metric, fit) for each in returned])
    if isinstance(returned, keras.callbacks.History):
        return _best_epoch(returned.history, metric, fit)
    if isinstance(returned, Mapping):
        return _of_dict(returned, metric, fit)
    value = _number(returned)
    if value is None:
        got = "nothing" if returned is None else short_repr(returned)
        raise EveryTrialError(
            f"{fit} must return the trial's {metric}: a number, a dict of metrics, a History or a list of these; "
            f"it returned {got}"
        )
    return {metric: value}


def has_metric(returned: Any, metric: str) -> bool:
    """Return True unless `fit` returned the `History` of a training that did not measure the metric."""
    return not isinstance(returned, keras.callbacks.History) or bool(returned.history.get(metric))


def check_range(value: float, metric: str, fit: str) -> None:
    """Make sure that the metric can have a value: what cannot be an accuracy may be a loss.

    Raises:
        ModelError: It cannot.
    """
    if METRICS[metric] == "maximize" and math.isfinite(value) and not -_NOISE <= value <= 1 + _NOISE:
        raise ModelError(
            f"{fit} returned {value:.6g} as {metric}, which lies between 0 and 1 and is maximized: "
            'divide percentages by 100, or set Space(metric="val_loss") to minimize what fit() returns'
        )


def _best_epoch(history: Mapping[str, Sequence[Any]], metric: str, fit: str) -> dict[str, float]:
    values = [float(value) for value in history.get(metric, ())]
    if not values:
        raise EveryTrialError(
            f"{fit} returned a History without {metric}: {_known(history)}; give model.fit() "
            "validation_data=validation_data and callbacks=callbacks"
        )
    sign = 1 if METRICS[metric] == "maximize" else -1
    best = max(range(len(values)), key=lambda epoch: -math.inf if math.isnan(values[epoch]) else sign * values[epoch])
    at_best = {name: _number(each[best]) for name, each in history.items() if len(each) == len(values)}
    return {name: value for name, value in at_best.items() if value is not None}


def _of_dict(returned: Mapping[Any, Any], metric: str, fit: str) -> dict[str, float]:
    if metric not in returned:
        raise EveryTrialError(
            f"{fit} returned a dict without {metric}, which the study compares: {_known(returned)}; "
            f'return {{"{metric}": ...}}, or set Space(metric=...) to another one of {", ".join(METRICS)}'
        )
    found = {str(name): _number(value) for name, value in returned.items()}
    if found[metric] is None:
        raise EveryTrialError(f"{fit} must return a number as {metric}, got {short_repr(returned[metric])}")
    return {name: value for name, value in found.items() if value is not None}


def _mean(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = [name for name in each[0] if all(name in one for one in each)]
    return {name: sum(one[name] for one in each) / len(each) for name in names}


def _number(value: Any) -> float | None:
    """The value of a number, or of an array or tensor that holds a single one; None for anything else."""
    if isinstance(value, bool | str | bytes) or "bool" in str(getattr(value, "dtype", "")):
        return None
    if isinstance(value, numbers.Real):
        return float(value)
    if getattr(value, "shape", None) != ():
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _known(names: Mapping[Any, Any]) -> str:
    return f"it has {', '.join(map(str, names))}" if names else "it is empty"
