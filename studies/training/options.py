"""Options of one training: seed, length, checkpoints and callbacks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from spaces.scalars import Scalar
from studies.checkpoints.fold_progress import FoldCheckpoints
from studies.checkpoints.study_checkpoints import TrialCheckpoints
from studies.training.model_cache import CompiledModelCache

History: TypeAlias = Sequence[Mapping[str, float]]
"""Metrics of each epoch."""

OnEpoch: TypeAlias = Callable[[int, Mapping[str, float]], bool]
"""Called after each whole epoch, counted from 1, with its metrics; returns True to continue."""


@dataclass(frozen=True)
class TrainingOptions:
    """Options of one training. A hypermodel ignores `cooldown`, `model_cache`, `checkpoints` and `on_restored`.

    Args:
        seed: Seed of the weights, the dropout, the augmentation and the order of images.
        epochs: Epochs of the first phase; None for the recipe's.
        second_epochs: Epochs of the second phase, numbered after those of the first; None for the recipe's, 0 for no
            second phase.
        cooldown: Fraction of the last phase's steps in which the learning rate falls to zero, whatever its schedule;
            for trainings whose last weights are kept. A model that compiles itself has none.
        stop: Called after each execution of steps; returns True to end at once.
        on_epoch: Called after each epoch.
        on_steps: Called after each execution of steps with the model and the number of steps done in the epoch.
        on_restored: Called with the metrics of the epochs in a checkpoint, which are not trained again.
        on_epochs_changed: Called with the number of epochs when the `fit` of a hypermodel sets another one.
        can_measure_batch: Called with the number of validation batches measured, when training was stopped within its
            first epoch; returns True to measure one more.
        checkpoints: Where the training is saved after `on_epoch`, and resumed from: it ends like one that was never
            interrupted. None saves nothing.
        model_cache: Compiled models of earlier trainings; the next training may use the returned model. None for none.
        suggest: Returns the value of a hyperparameter that the `fit` of a hypermodel asks for; None for its default.
    """

    seed: int
    epochs: int | None = None
    second_epochs: int | None = None
    cooldown: float = 0.0
    stop: Callable[[], bool] = lambda: False
    on_epoch: OnEpoch = lambda epoch, metrics: True
    on_steps: Callable[[Any, int], None] = lambda model, steps: None
    on_restored: Callable[[History], None] = lambda history: None
    on_epochs_changed: Callable[[int], None] = lambda epochs: None
    can_measure_batch: Callable[[int], bool] = lambda batches: False
    checkpoints: TrialCheckpoints | FoldCheckpoints | None = None
    model_cache: CompiledModelCache | None = None
    suggest: Callable[[Any], Scalar] | None = None
