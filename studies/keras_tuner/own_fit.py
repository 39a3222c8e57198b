"""Calls a hypermodel's own `fit`, and makes of what it trained and returned the training of a trial."""

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from spaces.errors import ModelError
from spaces.keras_tuner import KerasTunerModel
from spaces.space import Recipe
from studies.data.dataset import Split
from studies.keras_tuner.callback_group import CallbackGroup, FitEnded
from studies.keras_tuner.fit_source import FitSource, source_of
from studies.keras_tuner.hyperparameters import SuggestedHyperParameters
from studies.keras_tuner.input_format import InputFormat
from studies.keras_tuner.models import name_of, run_user_code
from studies.keras_tuner.returned import check_range, has_metric, metrics_returned

KEYWORDS = ("validation_data", "callbacks", "epochs", "batch_size", "verbose")
"""Arguments that `fit` is given by name."""

_TWICE = re.compile(r"got multiple values for keyword argument '(\w+)'")


@dataclass(frozen=True)
class OwnFitResult:
    """What a call of `fit` came to.

    Args:
        value: The trial's value, as returned; None where it returned none and the measured one counts.
        metrics: The metrics that it returned, by name.
        has_trained: The weights of the network that it was given have changed.
    """

    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    has_trained: bool = True


def has_own_fit(record: KerasTunerModel) -> bool:
    """Whether the hypermodel's `fit` is more than `model.fit`."""
    import keras_tuner

    own = None if record.is_function else getattr(record.hypermodel, "fit", None)
    return own is not None and getattr(own, "__func__", own) is not keras_tuner.HyperModel.fit


def fit_source(record: KerasTunerModel) -> FitSource | None:
    """The source of the hypermodel's own `fit`, where it has one that can be read."""
    return source_of(record.hypermodel.fit) if has_own_fit(record) else None


def nothing_to_export(record: KerasTunerModel) -> str:
    """The message about a `fit` that trains other models than the one it is given."""
    source = fit_source(record)
    line = source.training_call if source else "model.fit(x, y, callbacks=callbacks)"
    model = line.partition(".")[0]
    return (
        f"{name_of(record, 'fit')} never trains the model that it is given, so nothing says which model to export. "
        f"Before it returns, train that model, or give it the weights of the best one:\n"
        f"    {line}\n"
        f"    {model}.set_weights(best.get_weights())\n"
        "For folds, leave fit() out and set Space(folds=5). With --no-export, the search needs no model."
    )


def call_fit(
    recipe: Recipe,
    network: keras.Model,
    hp: SuggestedHyperParameters,
    splits: tuple[Split, Split | None],
    form: InputFormat,
    reports: CallbackGroup,
    is_over: Callable[[], bool],
) -> OwnFitResult:
    """Call the hypermodel's `fit` with arrays, as `tuner.search(x, y, validation_data=..., ...)` does.

    A retraining makes the same calls with the same arguments; `reports` ends them where the trial was best.

    Args:
        recipe: The recipe.
        network: The compiled network.
        hp: Its hyperparameters.
        splits: The images to train on and to judge by; None instead of the latter in a retraining.
        form: How images and labels are given.
        reports: Our callbacks.
        is_over: Whether the training was ended early, so that what `fit` returns does not count.

    Raises:
        ModelError: `fit` fails.
        EveryTrialError: It returns no value of the study's metric.
    """
    if recipe.balance is not None:
        raise ModelError("balance: has no effect on a hypermodel with a fit() of its own: give class_weight there")
    before = network.get_weights()
    try:
        returned = _returned(recipe, network, hp, splits, form, reports)
    except FitEnded:
        returned = None
    for failure in (reports.failure, hp.failure):
        if failure is not None:  # caught within fit, though it is none of its own
            raise failure
    has_trained = _differ(before, network.get_weights())
    if is_over() or splits[1] is None:
        return OwnFitResult(has_trained=has_trained)
    is_measured = reports.has_counted or has_trained
    if is_measured and (returned is None or not has_metric(returned, recipe.metric)):
        return OwnFitResult(has_trained=has_trained)
    fit = name_of(recipe.model, "fit")
    metrics = metrics_returned(returned, recipe.metric, fit)
    check_range(metrics[recipe.metric], recipe.metric, fit)
    return OwnFitResult(metrics[recipe.metric], metrics, has_trained)


def _returned(
    recipe: Recipe,
    network: keras.Model,
    hp: SuggestedHyperParameters,
    splits: tuple[Split, Split | None],
    form: InputFormat,
    reports: CallbackGroup,
) -> Any:
    record = recipe.model
    x, y = form.arrays(splits[0])
    # The retraining has no validation images, but a fit may need some to run.
    held = form.arrays(splits[1]) if splits[1] else (x[: recipe.batch_size], y[: recipe.batch_size])
    source = fit_source(record)
    values = (held, [reports], recipe.epochs, recipe.batch_size, 0)
    given = dict(zip(KEYWORDS, values, strict=True))
    given = _accepted(record.hypermodel.fit, given, source.keywords_set if source else set())
    images_and_labels: tuple[Any, ...] = (x, y)
    if _takes_by_name(record.hypermodel.fit):
        images_and_labels, given = (), {"x": x, "y": y, **given}

    def call() -> Any:
        while True:
            try:
                return record.hypermodel.fit(hp, network, *images_and_labels, **given)
            except TypeError as error:
                # The hypermodel sets this argument itself, in a function that its fit calls.
                found = _TWICE.search(str(error))
                if found is None or given.pop(found.group(1), None) is None:
                    raise
                if reports.has_counted:
                    raise

    try:
        return run_user_code(record, "fit", hp, call)
    except ModelError:
        if reports.failure is not None:
            raise reports.failure from None
        raise


def check_arguments(record: KerasTunerModel) -> None:
    """Make sure that the hypermodel's own `fit` can be called with images and labels.

    Raises:
        ModelError: It cannot.
    """
    fit = record.hypermodel.fit
    try:
        signature = inspect.signature(fit)
    except (TypeError, ValueError):
        return
    given = _accepted(fit, dict.fromkeys(KEYWORDS), set())
    try:
        if _takes_by_name(fit):
            signature.bind(None, None, x=None, y=None, **given)
        else:
            signature.bind(None, None, None, None, **given)
    except TypeError as error:
        raise ModelError(
            f"{name_of(record, 'fit')} cannot be called with arrays of images and labels ({error}): write "
            "def fit(self, hp, model, x, y, validation_data=None, **kwargs)"
        ) from error


def _takes_by_name(function: Any) -> bool:
    """Whether a function has no place for images and labels but as the keywords `x` and `y`."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(kind in places for kind in kinds) == 2 and inspect.Parameter.VAR_POSITIONAL not in kinds


def _accepted(function: Any, arguments: dict[str, Any], set_by_itself: set[str]) -> dict[str, Any]:
    """The arguments that a function takes and does not set itself."""
    parameters = inspect.signature(function).parameters
    if not any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        arguments = {name: value for name, value in arguments.items() if name in parameters}
    own = set_by_itself - parameters.keys()
    return {name: value for name, value in arguments.items() if name not in own}


def _differ(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    return not all(np.array_equal(one, other, equal_nan=True) for one, other in zip(before, after, strict=True))


def not_finite(value: float | None, record: KerasTunerModel) -> str:
    """Why a trial whose `fit` returned no finite value has none; empty for any other."""
    if value is None or math.isfinite(value):
        return ""
    return f"{name_of(record, 'fit').removeprefix('model: ')} returned {value}"
