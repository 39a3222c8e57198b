"""Events of a run, for its listeners: a terminal, a log, a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from spaces.parameters import Scalar
from studies.outcome import Progress, TrialOutcome, WorkerInfo
from studies.stop_request import StopReason


@dataclass(frozen=True)
class DataReady:
    """The images are loaded.

    Args:
        classes: Names of the classes.
        image_shape: (height, width, channels) of one image.
        images: Number of images of each class, in the order of `classes`, by split.
        skipped: Files that were skipped, each with the reason in a few words.
        notices: What the user should know about the images, one sentence each.
    """

    classes: Sequence[str]
    image_shape: Sequence[int]
    images: Mapping[str, Sequence[int]]
    skipped: Sequence[tuple[str, str]] = ()
    notices: Sequence[str] = ()


@dataclass(frozen=True)
class StudyOpened:
    """The study is open.

    Args:
        name: Name of the study.
        storage: URL of its database, without the password.
        metric: Metric that is searched.
        resumed: The study existed before this run.
        progress: Its progress.
        timeout_seconds: Seconds from now to the time limit, or None.
        device: Device that trains, such as `2 CPU cores` or `GPU NVIDIA H200`.
        notices: What the user should know, one sentence each.
        identity: Unique identifier of the study.
    """

    name: str
    storage: str
    metric: str
    resumed: bool
    progress: Progress
    timeout_seconds: float | None
    device: str
    notices: tuple[str, ...] = ()
    identity: str = ""


@dataclass(frozen=True)
class TrialStarted:
    """A trial starts, or resumes (`resumed`)."""

    number: int
    params: Mapping[str, Scalar]
    epochs: int
    resumed: bool = False


@dataclass(frozen=True)
class EpochEnded:
    """An epoch of a trial, or of the retraining (`number` is None), has ended."""

    number: int | None
    epoch: int
    epochs: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrialEnded:
    """A trial has ended, or was released (`waiting`); `progress` is that of the study after it."""

    number: int
    outcome: TrialOutcome
    progress: Progress


@dataclass(frozen=True)
class RetrainingStarted:
    """Retraining of the best trial on train plus validation starts."""

    number: int
    epochs: int
    images: int


@dataclass(frozen=True)
class DataProgress:
    """Images decoded so far, of `total`."""

    done: int
    total: int


@dataclass(frozen=True)
class FeaturesProgress:
    """Images that the frozen backbone has processed so far, of `total`."""

    done: int
    total: int


@dataclass(frozen=True)
class StudyJoined:
    """A worker process has registered with the study.

    Args:
        identity: Identity of the study.
        notices: What the user should know, one sentence each.
    """

    identity: str
    notices: Sequence[str] = ()


@dataclass(frozen=True)
class WorkerFailed:
    """A worker process exits with an error: what happened, and possibly a line with a hint."""

    message: str


@dataclass(frozen=True)
class WorkerLine:
    """A line for people: a label and a text."""

    label: str
    text: str


WorkerEvent: TypeAlias = DataProgress | DataReady | FeaturesProgress | StudyJoined | WorkerFailed | WorkerLine
"""What a worker process reports to its supervisor."""


class RunListener:
    """Ignores every event; subclasses override what they show. Called from the thread of the run."""

    def on_data_progress(self, done: int, total: int) -> None:
        """Handle the number of images decoded so far."""

    def on_data_ready(self, event: DataReady) -> None:
        """Handle loaded images."""

    def on_study_opened(self, event: StudyOpened) -> None:
        """Handle the opening of the study."""

    def on_features_progress(self, done: int, total: int) -> None:
        """Handle the number of images that the frozen backbone has processed; training continues after the last."""

    def on_trial_started(self, event: TrialStarted) -> None:
        """Handle the start of a trial."""

    def on_epoch_ended(self, event: EpochEnded) -> None:
        """Handle the end of an epoch."""

    def on_trial_ended(self, event: TrialEnded) -> None:
        """Handle the end of a trial."""

    def on_waiting(self) -> None:
        """Handle waiting: no trial is left to claim, but the running ones of other workers may be requeued."""

    def on_worker_count(self, count: int) -> None:
        """Handle the number of live workers of the study, including this one."""

    def on_workers_changed(self, workers: Sequence[WorkerInfo]) -> None:
        """Handle the workers of the study on all machines: the live ones and those lost recently."""

    def on_worker_output(self, label: str, text: str) -> None:
        """Handle a line for people: a label and a text."""

    def on_worker_lost(self, text: str) -> None:
        """Handle a message about a lost worker, or a crashed process that is restarted."""

    def on_retraining(self, event: RetrainingStarted) -> None:
        """Handle the start of retraining, after the search."""

    def on_exporting(self, trial: int | None = None) -> None:
        """Handle the start of test and export; `trial` provides the weights if there is no time to retrain."""

    def on_stopping(self, reason: StopReason) -> None:
        """Handle a signal: the run stops after the current step."""
