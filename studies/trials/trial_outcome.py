"""How a trial ended: what its training, or the error that it raised, means for the study."""

from collections.abc import Mapping

import optuna

from spaces.errors import EveryTrialError, ModelError, OneTrialError, SearchError
from spaces.space import Recipe
from spaces.training import METRICS
from studies.backend.error_text import error_reason
from studies.models.out_of_memory import is_out_of_memory
from studies.outcome import COMPLETE, FAILED, PRUNED, WAITING, Progress, TrialOutcome
from studies.stop_request import StopReason, StopRequest
from studies.training.result import DIVERGED, REFUSED, STOPPED, TrainingResult


def after_training(
    trained: TrainingResult, recipe: Recipe, epochs: int, seconds: float, before: Progress, stop: StopRequest
) -> TrialOutcome:
    """Return how a trial ended whose training ended without an error.

    Args:
        trained: Its training.
        recipe: What it trained.
        epochs: Epochs that it was to be trained for.
        seconds: How long it took.
        before: How far the study was.
        stop: Says why it was stopped.
    """
    value = trained.best_value if trained.best_epoch else None
    reached = (value, trained.best_epoch, len(trained.history), seconds)
    if trained.end_reason == STOPPED:
        # Some of the folds, or of what a user's `fit` does, compare with no whole trial: they count only where there
        # is nothing else.
        comparable = (recipe.folds is None and trained.is_comparable) or before.best is None
        is_best = value is not None and (before.best is None or beats(value, before.best.value, recipe.metric))
        if comparable and is_best and not stop.requested:
            return TrialOutcome(COMPLETE, *reached, "cut short by the time limit", trained.best_loss)
        return TrialOutcome(WAITING, *reached, stop.reason or StopReason.TIME_LIMIT)
    if trained.end_reason == REFUSED:
        return TrialOutcome(PRUNED, *reached, f"pruned after {_reached(trained, recipe, epochs)}")
    if trained.end_reason == DIVERGED or value is None:
        reason = trained.reason or f"the loss was not finite in epoch {len(trained.history)}"
        return TrialOutcome(PRUNED, *reached, f"diverged: {reason}")
    return TrialOutcome(COMPLETE, *reached, loss=trained.best_loss)


def after_error(error: Exception, steps: Mapping[int, float], seconds: float, path: str) -> TrialOutcome:
    """Return how a trial ended that raised: a sampler learns from a pruned trial, never from a failed one.

    Args:
        error: What it raised.
        steps: What it had reported.
        seconds: How long it took.
        path: What it was trained on.
    """
    state, epochs = FAILED, 0
    reason = error_reason(error)
    if isinstance(error, optuna.TrialPruned):
        state, epochs, text = PRUNED, max(steps, default=0), str(error)
        reason = f"pruned by the model's own code: {text}" if text else "pruned by the model's own code"
    elif isinstance(error, SearchError):
        reason = str(error)
    elif is_out_of_memory(error):
        state, reason = PRUNED, f"out of memory ({type(error).__name__})"
    return TrialOutcome(state, None, None, epochs, seconds, reason, trained_on=path)


def ends_the_run(error: SearchError, before: Progress) -> bool:
    """Whether an error concerns more than its trial: while no trial has ended, any that the user can fix does."""
    if not isinstance(error, ModelError) or isinstance(error, EveryTrialError):
        return True
    return before.done == 0 and not isinstance(error, OneTrialError)


def beats(value: float, other: float, metric: str) -> bool:
    """Whether a value is better than another."""
    return value > other if METRICS[metric] == "maximize" else value < other


def _reached(trained: TrainingResult, recipe: Recipe, epochs: int) -> str:
    """The last step of a trial, in words."""
    if recipe.folds:
        return f"fold {trained.history[-1]['fold']:.0f} of {recipe.folds}"
    return f"epoch {len(trained.history)} of {epochs}"
