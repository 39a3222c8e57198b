"""Checkpoints of a cross-validated trial: the fold in training, and the results of finished folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studies.checkpoints.checkpoint_file import TrainingState
from studies.checkpoints.study_checkpoints import TrialCheckpoints


@dataclass(frozen=True)
class FoldProgress:
    """Progress of a trial over its folds.

    Args:
        results: Results of the finished folds; JSON.
        history: Metrics of each epoch of all folds, including the fold in training.
        before: Number of epochs in `history` that belong to finished folds.
    """

    results: Sequence[Mapping[str, Any]] = ()
    history: Sequence[Mapping[str, float]] = ()
    before: int = 0


class FoldCheckpoints:
    """A trial's checkpoints in the form that the training of one fold uses.

    The caller calls `resume` once and `begin_fold` before each fold. The training of a fold uses the other methods
    like those of `TrialCheckpoints`.

    Args:
        trial: Checkpoints of the trial.
    """

    def __init__(self, trial: TrialCheckpoints) -> None:
        self._trial = trial
        self._resumed: TrainingState | None = None
        self._done = FoldProgress()

    def resume(self) -> FoldProgress:
        """Load the trial's last checkpoint and return its progress; no progress if there is none."""
        self._resumed = self._trial.load()
        if self._resumed is None:
            return FoldProgress()
        state = self._resumed.state
        return FoldProgress(state["results"], state["history"], state["before"])

    def begin_fold(self, done: FoldProgress) -> None:
        """Start or resume the next fold; `history` in `done` grows with its epochs."""
        self._done = done

    @property
    def is_due(self) -> bool:
        """Return True if the trial has trained long enough since the last checkpoint."""
        return self._trial.is_due

    @property
    def is_quick(self) -> bool:
        """Return True if checkpoints are fast enough for a worker to save one while stopping."""
        return self._trial.is_quick

    def save(self, training_state: TrainingState, *, copying_seconds: float = 0.0) -> None:
        """Write a checkpoint of the fold in training and the results of finished folds."""
        epoch = self._done.before + training_state.epoch
        state = {
            "results": self._done.results,
            "history": self._done.history[:epoch],
            "before": self._done.before,
            "fold": training_state.state,
        }
        self._trial.save(TrainingState(epoch, training_state.arrays, state), copying_seconds=copying_seconds)

    def load(self) -> TrainingState | None:
        """Return the newest training state of the fold in training."""
        resumed, self._resumed = self._resumed, None
        if resumed is None or len(resumed.state["results"]) != len(self._done.results):
            return None
        return replace(resumed, epoch=resumed.epoch - self._done.before, state=resumed.state["fold"])
