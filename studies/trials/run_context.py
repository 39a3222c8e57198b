"""Shared state of one run: made once, then passed to the evaluator, the worker and the exporter."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from spaces.space import Recipe
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from studies.data.dataset import Dataset
from studies.database.workers import WorkerActivity
from studies.events import RunListener
from studies.features.inputs import FeatureInputs
from studies.stop_request import StopRequest


@dataclass(frozen=True)
class RunContext:
    """Shared state of one run.

    Args:
        folder: Folder where relative paths of the space start.
        seed: Seed of the study.
        listener: Notified of what happens.
        stop: Says when to stop, and why.
        datasets: Returns the images of a recipe.
        features: Computes the features that the head of a frozen backbone is trained on.
        checkpoints: Where trials and the retraining are saved; None saves nothing.
        activity: What this worker does now; its heartbeat stores it.
    """

    folder: Path
    seed: int
    listener: RunListener
    stop: StopRequest
    datasets: Callable[[Recipe], Dataset]
    features: FeatureInputs
    checkpoints: StudyCheckpoints | None = None
    activity: WorkerActivity = field(default_factory=WorkerActivity)
