"""What came of training one recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import keras


class EndReason(StrEnum):
    """Why a training ended; checkpoints of folds store the value."""

    FINISHED = "finished"
    EARLY_STOPPED = "out of patience"
    PRUNED = "refused"
    STOPPED = "stopped"
    DIVERGED = "diverged"


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and how it got there.

    Args:
        model: Holds the weights of the best epoch, or of the last one when there was no validation; None where it
            is not needed any more.
        history: The metrics of each whole epoch.
        best_epoch: The best epoch, counted from 1, or None.
        best_value: Its metric; NaN when there is none.
        best_loss: Its loss on the validation images; NaN when there is none.
        end_reason: Why training ended.
        first_phase: Epochs of the first phase that led to the model's weights: a second one begins with the best of
            the first.
        second_phase: Epochs of the second phase that led to them.
        unfinished_value: The metric of the model as it is, where training was stopped within its first epoch and
            there was time to measure it; else None.
        reason: Why it has no value, where the loss does not say it; empty otherwise.
        untrained: Why the model is not the one that was judged, and cannot be exported; empty otherwise.
        notice: What the user should know about every training of this kind; empty for nothing.
        is_comparable: Its value compares with that of a whole training, also where it was stopped.
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
    is_comparable: bool = True
