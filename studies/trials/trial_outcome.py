"""How a trial ended: what its training, or the error that it raised, means for the study."""

from collections.abc import Mapping

import optuna

from spaces.errors import EveryTrialError, ModelError, OneTrialError, SearchError
from spaces.space import Recipe
from spaces.training import METRICS
from studies.backend.error_text import error_reason
from studies.database.enqueued import RefusedValues
from studies.database.errors import DATABASE_ERRORS
from studies.models.out_of_memory import is_out_of_memory
from studies.outcome import COMPLETE, FAILED, PRUNED, WAITING, Progress, TrialOutcome
from studies.stop_request import StopReason, StopRequest
from studies.training.result import EndReason, TrainingResult


def after_training(
    trained: TrainingResult, recipe: Recipe, epochs: int, seconds: float, before: Progress, stop: StopRequest
) -> TrialOutcome:
    """Return how a trial ended whose training raised no error.

    Args:
        trained: Result of the training.
        recipe: What was trained.
        epochs: Maximum number of epochs.
        seconds: Duration of the trial.
        before: Progress of the study before the trial.
        stop: Says why the training was stopped.
    """
    value = trained.best_value if trained.best_epoch else None
    reached = (value, trained.best_epoch, len(trained.history), seconds)
    if trained.end_reason == EndReason.STOPPED:
        # A part of the folds, or of a user's own `fit`, compares with no whole trial: it counts only if there is none.
        comparable = (recipe.folds is None and trained.is_comparable) or before.best is None
        is_best = value is not None and (before.best is None or beats(value, before.best.value, recipe.metric))
        if comparable and is_best and not stop.requested:
            return TrialOutcome(COMPLETE, *reached, "cut short by the time limit", trained.best_loss)
        return TrialOutcome(WAITING, *reached, stop.reason or StopReason.TIME_LIMIT)
    if trained.end_reason == EndReason.PRUNED:
        return TrialOutcome(PRUNED, *reached, f"pruned after {_reached(trained, recipe, epochs)}")
    if trained.end_reason == EndReason.DIVERGED or value is None:
        reason = trained.reason or f"the loss was not finite in epoch {len(trained.history)}"
        return TrialOutcome(PRUNED, *reached, f"diverged: {reason}")
    return TrialOutcome(COMPLETE, *reached, loss=trained.best_loss)


def after_error(error: Exception, steps: Mapping[int, float], seconds: float, trained_on: str) -> TrialOutcome:
    """Return how a trial ended whose training raised: a sampler learns from a pruned trial, never from a failed one.

    The steps are the values that were reported.
    """
    state, epochs, is_refused = FAILED, 0, isinstance(error, RefusedValues)
    reason = error_reason(error)
    if isinstance(error, optuna.TrialPruned):
        state, epochs, text = PRUNED, max(steps, default=0), str(error)
        reason = f"pruned by the model's own code: {text}" if text else "pruned by the model's own code"
    elif isinstance(error, SearchError):
        reason = str(error)
    elif is_out_of_memory(error):
        state, reason = PRUNED, f"out of memory ({type(error).__name__})"
    return TrialOutcome(state, None, None, epochs, seconds, reason, trained_on=trained_on, refused=is_refused)


def ends_the_run(error: Exception, before: Progress) -> bool:
    """Return True if an error concerns more than its trial.

    Errors of the database, of the images and of every trial do; while no trial has ended, so does a recipe that cannot
    be built, since the user can fix it.
    """
    if not isinstance(error, SearchError) or isinstance(error, RefusedValues):
        return isinstance(error, DATABASE_ERRORS)
    if not isinstance(error, ModelError) or isinstance(error, EveryTrialError):
        return True
    return before.done == 0 and not isinstance(error, OneTrialError)


def beats(value: float, other: float, metric: str) -> bool:
    """Return True if a value is better than another."""
    return value > other if METRICS[metric] == "maximize" else value < other


def _reached(trained: TrainingResult, recipe: Recipe, epochs: int) -> str:
    """Return the last step of a trial, in words."""
    if recipe.folds:
        return f"fold {trained.history[-1]['fold']:.0f} of {recipe.folds}"
    return f"epoch {len(trained.history)} of {epochs}"
