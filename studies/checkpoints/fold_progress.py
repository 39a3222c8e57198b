"""The checkpoints of a trial over folds: the fold in training, and the results of those before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studies.checkpoints.checkpoint_file import TrainingState
from studies.checkpoints.study_checkpoints import TrialCheckpoints


@dataclass(frozen=True)
class FoldProgress:
    """How far the folds of a trial are.

    Args:
        results: What came out of each fold that is done; JSON.
        history: The metrics of each epoch of the folds, also of the one that is in training.
        before: How many of these epochs belong to the folds that are done.
    """

    results: Sequence[Mapping[str, Any]] = ()
    history: Sequence[Mapping[str, float]] = ()
    before: int = 0


class FoldCheckpoints:
    """A trial's checkpoints as the training of each of its folds uses them.

    Whoever trains the folds calls `resume` once and `begin` before each fold; the training of a fold uses the rest as
    it would those of `TrialCheckpoints`.

    Args:
        trial: The checkpoints of the trial.
    """

    def __init__(self, trial: TrialCheckpoints) -> None:
        self._trial = trial
        self._resumed: TrainingState | None = None
        self._done = FoldProgress()

    def resume(self) -> FoldProgress:
        """How far the trial was; nothing is done where there is no checkpoint."""
        self._resumed = self._trial.load()
        if self._resumed is None:
            return FoldProgress()
        state = self._resumed.state
        return FoldProgress(state["results"], state["history"], state["before"])

    def begin_fold(self, done: FoldProgress) -> None:
        """A fold begins, or goes on, after those that are done; `history` goes on growing with its epochs."""
        self._done = done

    @property
    def is_due(self) -> bool:
        """Whether the trial has trained long enough since the last checkpoint."""
        return self._trial.is_due

    @property
    def is_quick(self) -> bool:
        """Whether a checkpoint takes so little time that a worker may take one before it leaves."""
        return self._trial.is_quick

    def save(self, snapshot: TrainingState, *, copying_seconds: float = 0.0) -> None:
        """Write a checkpoint of the fold in training, and the results of those before it."""
        epoch = self._done.before + snapshot.epoch
        state = {
            "results": self._done.results,
            "history": self._done.history[:epoch],
            "before": self._done.before,
            "fold": snapshot.state,
        }
        self._trial.save(TrainingState(epoch, snapshot.arrays, state), copying_seconds=copying_seconds)

    def load(self) -> TrainingState | None:
        """The newest checkpoint of the fold in training."""
        snapshot, self._resumed = self._resumed, None
        if snapshot is None or len(snapshot.state["results"]) != len(self._done.results):
            return None
        return replace(snapshot, epoch=snapshot.epoch - self._done.before, state=snapshot.state["fold"])
