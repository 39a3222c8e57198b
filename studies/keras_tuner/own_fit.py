"""Calls a hypermodel's own `fit`, and reads the trial's value from what it trained and returned."""

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
from studies.keras_tuner.returned import check_range, has_metric, parse_returned

KEYWORDS = ("validation_data", "callbacks", "epochs", "batch_size", "verbose")
"""Arguments passed to `fit` by name."""

_TWICE = re.compile(r"got multiple values for keyword argument '(\w+)'")


@dataclass(frozen=True)
class OwnFitResult:
    """Result of a call of `fit`.

    Args:
        value: The trial's value that `fit` returned; None if the measured value counts.
        metrics: Metrics that `fit` returned, by name.
        has_trained: Whether the weights of the network have changed.
    """

    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    has_trained: bool = True


def has_own_fit(record: KerasTunerModel) -> bool:
    """Return True if the hypermodel overrides `HyperModel.fit`."""
    import keras_tuner

    own = None if record.is_function else getattr(record.hypermodel, "fit", None)
    return own is not None and getattr(own, "__func__", own) is not keras_tuner.HyperModel.fit


def fit_source(record: KerasTunerModel) -> FitSource | None:
    """Return the source of the hypermodel's own `fit`; None without one or if it cannot be read."""
    return source_of(record.hypermodel.fit) if has_own_fit(record) else None


def nothing_to_export(record: KerasTunerModel) -> str:
    """Return the error message about a `fit` that does not train the model it receives."""
    source = fit_source(record)
    line = source.training_call if source else "model.fit(x, y, callbacks=callbacks)"
    model = line.partition(".")[0]
    return (
        f"{name_of(record, 'fit')} never trains the model that it receives, so there is no model to export\n"
        f"hint: before it returns, train that model, or set the weights of the best one:\n"
        f"    {line}\n"
        f"    {model}.set_weights(best.get_weights())\n"
        "For folds, remove fit() and set Space(folds=5). With --no-export, no model is needed"
    )


@dataclass(frozen=True)
class FitCall:
    """A call of a hypermodel's `fit` with arrays, as in `tuner.search(x, y, validation_data=..., ...)`.

    A retraining makes the same call with the same arguments; `reports` ends it at the trial's best epoch.

    Args:
        recipe: The recipe.
        network: The compiled network.
        hp: Hyperparameters of the network.
        splits: Training and validation images; None for the latter in a retraining.
        form: Format of images and labels.
        reports: The callbacks.
    """

    recipe: Recipe
    network: keras.Model
    hp: SuggestedHyperParameters
    splits: tuple[Split, Split | None]
    form: InputFormat
    reports: CallbackGroup

    def run(self, is_over: Callable[[], bool]) -> OwnFitResult:
        """Call `fit`; the value that it returns is ignored if `is_over` returns True: the training was ended early.

        Raises:
            ModelError: `fit` fails.
            EveryTrialError: `fit` returns no value of the study's metric.
        """
        metric = self.recipe.metric
        if self.recipe.balance is not None:
            raise ModelError(
                "balance: has no effect on a hypermodel with its own fit()\nhint: use class_weight in fit()"
            )
        before = self.network.get_weights()
        try:
            returned = self._call()
        except FitEnded:
            returned = None
        for failure in (self.reports.failure, self.hp.failure):
            if failure is not None:  # `fit` caught an error that is not its own
                raise failure
        has_trained = _differ(before, self.network.get_weights())
        if is_over() or self.splits[1] is None:
            return OwnFitResult(has_trained=has_trained)
        is_measured = self.reports.has_epochs or has_trained
        if is_measured and (returned is None or not has_metric(returned, metric)):
            return OwnFitResult(has_trained=has_trained)
        fit = name_of(self.recipe.model, "fit")
        metrics = parse_returned(returned, metric, fit)
        check_range(metrics[metric], metric, fit)
        return OwnFitResult(metrics[metric], metrics, has_trained)

    def _call(self) -> Any:
        recipe, record = self.recipe, self.recipe.model
        x, y = self.form.format_split(self.splits[0])
        # A retraining has no validation images, but `fit` may need some to run.
        held_out = self.splits[1]
        validation = self.form.format_split(held_out) if held_out else (x[: recipe.batch_size], y[: recipe.batch_size])
        source = fit_source(record)
        values = (validation, [self.reports], recipe.epochs, recipe.batch_size, 0)
        arguments = dict(zip(KEYWORDS, values, strict=True))
        arguments = _select_arguments(record.hypermodel.fit, arguments, source.keywords_set if source else set())
        images_and_labels: tuple[Any, ...] = (x, y)
        if _takes_by_name(record.hypermodel.fit):
            images_and_labels, arguments = (), {"x": x, "y": y, **arguments}

        def call() -> Any:
            while True:
                try:
                    return record.hypermodel.fit(self.hp, self.network, *images_and_labels, **arguments)
                except TypeError as error:
                    # A function that `fit` calls sets this argument itself.
                    found = _TWICE.search(str(error))
                    if found is None or arguments.pop(found.group(1), None) is None or self.reports.has_epochs:
                        raise

        try:
            return run_user_code(record, "fit", self.hp, call)
        except ModelError:
            if self.reports.failure is not None:
                raise self.reports.failure from None
            raise


def check_arguments(record: KerasTunerModel) -> None:
    """Check that the hypermodel's own `fit` can be called with images and labels.

    Raises:
        ModelError: `fit` cannot be called with these arguments.
    """
    fit = record.hypermodel.fit
    try:
        signature = inspect.signature(fit)
    except (TypeError, ValueError):
        return
    given = _select_arguments(fit, dict.fromkeys(KEYWORDS), set())
    try:
        images_and_labels = {"x": None, "y": None} if _takes_by_name(fit) else {}
        signature.bind(*[None] * (4 - len(images_and_labels)), **images_and_labels, **given)
    except TypeError as error:
        raise ModelError(
            f"{name_of(record, 'fit')} cannot be called with arrays of images and labels ({error})\n"
            "hint: write def fit(self, hp, model, x, y, validation_data=None, **kwargs)"
        ) from error


def _takes_by_name(function: Any) -> bool:
    """Return True if a function takes images and labels only as the keywords `x` and `y`."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(kind in places for kind in kinds) == 2 and inspect.Parameter.VAR_POSITIONAL not in kinds


def _select_arguments(function: Any, arguments: dict[str, Any], set_by_itself: set[str]) -> dict[str, Any]:
    """Return the arguments that a function takes and does not set itself."""
    parameters = inspect.signature(function).parameters
    if not any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        arguments = {name: value for name, value in arguments.items() if name in parameters}
    own = set_by_itself - parameters.keys()
    return {name: value for name, value in arguments.items() if name not in own}


def _differ(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    return not all(np.array_equal(one, other, equal_nan=True) for one, other in zip(before, after, strict=True))


def non_finite_reason(value: float | None, record: KerasTunerModel) -> str:
    """Return the reason of a trial whose `fit` returned a value that is not finite; empty for any other."""
    if value is None or math.isfinite(value):
        return ""
    return f"{name_of(record, 'fit').removeprefix('model: ')} returned {value}"
