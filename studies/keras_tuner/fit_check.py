"""Checks a hypermodel's own `fit` before the first trial, as far as its source shows what it does."""

from spaces.errors import ModelError
from spaces.keras_tuner import KerasTunerModel
from spaces.space import Space
from spaces.training import METRICS
from studies.keras_tuner.models import name_of
from studies.keras_tuner.own_fit import check_arguments, fit_source, has_own_fit, nothing_to_export


def check_fit(space: Space, *, exports: bool) -> list[str]:
    """Make sure that a hypermodel's own `fit` trains the model to export and returns the metric that is compared.

    Args:
        space: The space; its hypermodel may have no `fit` of its own.
        exports: Whether the best trial's model is wanted.

    Returns:
        What the user should know about it, one sentence each.

    Raises:
        ModelError: It certainly does not.
    """
    record: KerasTunerModel = space.model
    if has_own_fit(record):
        check_arguments(record)
    source = fit_source(record)
    if source is None:
        return []
    fit = name_of(record, "fit")
    if exports and not source.may_train_its_model:
        raise ModelError(nothing_to_export(record))
    for names in source.dicts_returned:
        if space.metric not in names:
            raise ModelError(
                f"{fit} returns a dict of {', '.join(names) or 'nothing'}, without {space.metric}, which the study "
                f'compares: return {{"{space.metric}": ...}}, or set Space(metric=...) to another one of '
                f"{', '.join(METRICS)}"
            )
    if METRICS[space.metric] == "maximize" and source.returns_evaluation:
        raise ModelError(
            f"{fit} returns what evaluate() gives, the loss and the metrics, whose mean would be the trial's value: "
            f"return the {space.metric} alone, as in model.evaluate(...)[1]"
        )
    if METRICS[space.metric] == "maximize" and source.returns_an_error_rate:
        raise ModelError(
            f"{fit} returns a number that is smallest for the best accuracy, but {space.metric} is maximized: "
            "return the accuracy itself"
        )
    if METRICS[space.metric] == "maximize" and source.returns_a_loss:
        raise ModelError(
            f'{fit} returns a loss, but {space.metric} is maximized: set Space(metric="val_loss"), which is '
            f"minimized, or return the {space.metric}"
        )
    return [] if source.may_report else [_cannot_prune(record)]


def notice_of_silence(record: KerasTunerModel) -> str:
    """The notice about a `fit` that has called none of its callbacks; empty where `check_fit` has given it."""
    source = fit_source(record)
    return "" if source is not None and not source.may_report else _cannot_prune(record)


def _cannot_prune(record: KerasTunerModel) -> str:
    fit = name_of(record, "fit").removeprefix("model: ")
    return (
        f"{fit} does not pass its callbacks on: its trials cannot be pruned, and each counts as one epoch. To change "
        "that, call model.fit(..., callbacks=callbacks)."
    )
