"""Reads the metrics of a trial from the return value of a hypermodel's `fit`, by KerasTuner's rules."""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from spaces.errors import EveryTrialError, ModelError
from spaces.scalars import short_repr
from spaces.training import METRICS

_NOISE = 1e-6


def parse_returned(returned: Any, metric: str, fit: str) -> dict[str, float]:
    """Return the metrics in the return value of `fit`, including the study's metric.

    It is a number, a dict of metrics, a `History` (its best epoch counts), or a list of these (their mean).

    Raises:
        EveryTrialError: The value is something else, or lacks the metric.
    """
    if isinstance(returned, list | tuple):
        if not returned:
            raise EveryTrialError(f"{fit} returned an empty list\nhint: return {metric}, or a list of its values")
        return _mean([parse_returned(each, metric, fit) for each in returned])
    if isinstance(returned, keras.callbacks.History):
        return _from_history(returned.history, metric, fit)
    if isinstance(returned, Mapping):
        return _from_dict(returned, metric, fit)
    value = _number(returned)
    if value is None:
        got = "nothing" if returned is None else short_repr(returned)
        raise EveryTrialError(
            f"{fit} returned {got}, expected {metric} as a number, a dict of metrics, a History or a list of these"
        )
    return {metric: value}


def has_metric(returned: Any, metric: str) -> bool:
    """Return False if `fit` returned a `History` without the metric."""
    return not isinstance(returned, keras.callbacks.History) or bool(returned.history.get(metric))


def check_range(value: float, metric: str, fit: str) -> None:
    """Check that the metric can have this value: an accuracy outside 0 to 1 may be a loss.

    Raises:
        ModelError: The metric cannot have this value.
    """
    if METRICS[metric] == "maximize" and math.isfinite(value) and not -_NOISE <= value <= 1 + _NOISE:
        raise ModelError(
            f"{fit} returned {value:.6g} as {metric}, expected a value between 0 and 1\n"
            'hint: divide percentages by 100, or set Space(metric="val_loss") to minimize the value'
        )


def _from_history(history: Mapping[str, Sequence[Any]], metric: str, fit: str) -> dict[str, float]:
    values = [float(value) for value in history.get(metric, ())]
    if not values:
        raise EveryTrialError(
            f"{fit} returned a History without {metric}; {_describe_names(history)}\n"
            "hint: pass validation_data=validation_data and callbacks=callbacks to model.fit()"
        )
    sign = 1 if METRICS[metric] == "maximize" else -1
    best = max(range(len(values)), key=lambda epoch: -math.inf if math.isnan(values[epoch]) else sign * values[epoch])
    at_best = {name: _number(each[best]) for name, each in history.items() if len(each) == len(values)}
    return {name: value for name, value in at_best.items() if value is not None}


def _from_dict(returned: Mapping[Any, Any], metric: str, fit: str) -> dict[str, float]:
    if metric not in returned:
        raise EveryTrialError(
            f"{fit} returned a dict without {metric}; {_describe_names(returned)}\n"
            f'hint: return {{"{metric}": ...}}, or set Space(metric=...) to one of {", ".join(METRICS)}'
        )
    found = {str(name): _number(value) for name, value in returned.items()}
    if found[metric] is None:
        raise EveryTrialError(f"{fit} returned {short_repr(returned[metric])} as {metric}, expected a number")
    return {name: value for name, value in found.items() if value is not None}


def _mean(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = [name for name in each[0] if all(name in one for one in each)]
    return {name: sum(one[name] for one in each) / len(each) for name in names}


def _number(value: Any) -> float | None:
    """Return the value of a number or of a scalar array or tensor; None for anything else."""
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


def _describe_names(names: Mapping[Any, Any]) -> str:
    return f"it has {', '.join(map(str, names))}" if names else "it is empty"
