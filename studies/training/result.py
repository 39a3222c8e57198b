"""The result of training one recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import keras

from spaces.scalars import Scalar


class EndReason(StrEnum):
    """Why a training ended; checkpoints of folds store the value."""

    FINISHED = "finished"
    EARLY_STOPPED = "out of patience"
    PRUNED = "refused"
    STOPPED = "stopped"
    DIVERGED = "diverged"


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and how its training went.

    Args:
        model: Has the weights of the best epoch, or of the last one without validation; None once it is no longer
            needed.
        history: Metrics of each whole epoch.
        best_epoch: The best epoch, counted from 1, or None.
        best_value: Metric of the best epoch; NaN without one.
        best_loss: Validation loss of the best epoch; NaN without one.
        end_reason: Why training ended.
        first_phase: Epochs of the first phase that produced the weights; the second starts from the best of them.
        second_phase: Epochs of the second phase that produced the weights.
        unfinished_value: Metric of a model that was stopped within its first epoch, if there was time to measure it.
        reason: Why there is no value, if the loss does not show it; else empty.
        untrained: Why the model is not the measured one and cannot be exported; else empty.
        notice: Notice for the user about every training of this kind; else empty.
        chosen: Values that the training chose because the recipe leaves them open, by dotted name.
        is_comparable: The value compares with that of a whole training, even if this one was stopped.
    """

    model: keras.Model
    history: tuple[Mapping[str, float], ...]
    best_epoch: int | None
    best_value: float
    best_loss: float
    end_reason: EndReason
    first_phase: int
    second_phase: int
    unfinished_value: float | None = None
    reason: str = ""
    untrained: str = ""
    notice: str = ""
    chosen: Mapping[str, Scalar] = field(default_factory=dict)
    is_comparable: bool = True
