"""Checks the source of a hypermodel's own `fit` before the first trial."""

from spaces.errors import ModelError
from spaces.keras_tuner import KerasTunerModel
from spaces.space import Space
from spaces.training import METRICS
from studies.keras_tuner.models import name_of
from studies.keras_tuner.own_fit import check_arguments, fit_source, has_own_fit, nothing_to_export


def check_fit(space: Space, *, exports: bool) -> list[str]:
    """Check that a hypermodel's own `fit`, if any, trains the model to export and returns the study's metric.

    Returns:
        Notices for the user.

    Raises:
        ModelError: The source shows that `fit` does not.
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
                f"{fit} returns a dict of {', '.join(names) or 'nothing'}, without {space.metric}\n"
                f'hint: return {{"{space.metric}": ...}}, or set Space(metric=...) to one of {", ".join(METRICS)}'
            )
    if METRICS[space.metric] == "maximize":
        if source.returns_evaluation:
            raise ModelError(
                f"{fit} returns the loss and the metrics of evaluate(); their mean would be the trial's value\n"
                f"hint: return only the {space.metric}, as in model.evaluate(...)[1]"
            )
        if source.returns_an_error_rate:
            raise ModelError(
                f"{fit} returns an error rate, but {space.metric} is maximized\nhint: return the accuracy itself"
            )
        if source.returns_a_loss:
            raise ModelError(
                f"{fit} returns a loss, but {space.metric} is maximized\n"
                f'hint: set Space(metric="val_loss"), or return the {space.metric}'
            )
    return [] if source.may_report else [_no_pruning_notice(record)]


def silence_notice(record: KerasTunerModel) -> str:
    """Return a notice about a `fit` that called none of its callbacks; empty if `check_fit` has returned it."""
    source = fit_source(record)
    return "" if source is not None and not source.may_report else _no_pruning_notice(record)


def _no_pruning_notice(record: KerasTunerModel) -> str:
    fit = name_of(record, "fit").removeprefix("model: ")
    return (
        f"{fit} does not use its callbacks: its trials cannot be pruned, and each counts as one epoch. To change "
        "that, call model.fit(..., callbacks=callbacks)."
    )
