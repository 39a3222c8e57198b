"""Checkpoints: a trial's training at the end of an epoch, kept where it outlives its worker."""

from studies.checkpoints.best_weights import PATH, BestWeights, of_params, weights_of
from studies.checkpoints.folds import FoldCheckpoints, FoldsDone
from studies.checkpoints.pace import Pace
from studies.checkpoints.snapshot import Snapshot
from studies.checkpoints.store import Checkpoints, TrialCheckpoints

__all__ = [
    "PATH",
    "BestWeights",
    "Checkpoints",
    "FoldCheckpoints",
    "FoldsDone",
    "Pace",
    "Snapshot",
    "TrialCheckpoints",
    "of_params",
    "weights_of",
]
