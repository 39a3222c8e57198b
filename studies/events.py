"""What happens during a run, as told to whoever watches it: the terminal, a log, a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from spaces.parameters import Scalar
from studies.outcome import Progress, WorkerInfo
from studies.stop_request import StopReason


@dataclass(frozen=True)
class DataReady:
    """The images are there.

    Args:
        classes: Names of the classes.
        image_shape: (height, width, channels) of one image.
        images: Of `train`, `validation` and `test`: the number of images of each class, in the order of `classes`.
        skipped: Files that were left out, each with the reason in a few words.
        notices: What the user should know about the images, one sentence each.
    """

    classes: Sequence[str]
    image_shape: Sequence[int]
    images: Mapping[str, Sequence[int]]
    skipped: Sequence[tuple[str, str]] = ()
    notices: Sequence[str] = ()


@dataclass(frozen=True)
class StudyOpened:
    """The study is ready.

    Args:
        name: Its name.
        storage: Its database, without a password.
        metric: What is compared.
        direction: `maximize` or `minimize`.
        resumed: It was there before.
        progress: How far it is.
        timeout_seconds: Seconds from the opening to the end of the time limit, or None.
        device: What trains, such as `2 CPU cores` or `GPU NVIDIA H200`.
        sampler: Name of the sampler.
        pruner: Name of the pruner.
        seed: Seed of the study.
        notices: What the user should know, one sentence each.
        identity: What no other study has.
    """

    name: str
    storage: str
    metric: str
    direction: str
    resumed: bool
    progress: Progress
    timeout_seconds: float | None
    device: str
    sampler: str
    pruner: str
    seed: int
    notices: tuple[str, ...] = ()
    identity: str = ""


@dataclass(frozen=True)
class TrialStarted:
    """A trial begins, or begins again after an interruption (`again`)."""

    number: int
    params: Mapping[str, Scalar]
    epochs: int
    resumed: bool = False


@dataclass(frozen=True)
class EpochEnded:
    """An epoch of a trial (or of the retraining, where `number` is None) has ended."""

    number: int | None
    epoch: int
    epochs: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrialEnded:
    """A trial has ended, or was handed back (`waiting`) for the next run.

    Args:
        number: Its number.
        state: `complete`, `pruned`, `failed` or `waiting`.
        value: Its value, or None.
        epoch: The epoch of that value, counted from 1, or None.
        epochs: Epochs that were trained.
        seconds: How long it took.
        reason: Why it was pruned, failed or handed back; empty when complete.
        progress: How far the study is now.
    """

    number: int
    state: str
    value: float | None
    epoch: int | None
    epochs: int
    seconds: float
    reason: str
    progress: Progress


@dataclass(frozen=True)
class RetrainingStarted:
    """The best trial's recipe is trained on train plus validation."""

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
    """A worker process exits with an error.

    Args:
        exit_code: Its exit code.
        error_type: Class of the error.
        message: What happened, and possibly a line with a hint.
    """

    exit_code: int
    error_type: str
    message: str


@dataclass(frozen=True)
class WorkerLine:
    """A line for people: a label and a text."""

    label: str
    text: str


WorkerEvent: TypeAlias = DataProgress | DataReady | FeaturesProgress | StudyJoined | WorkerFailed | WorkerLine
"""What a worker process reports to its supervisor."""


class RunListener:
    """Does nothing with what happens; subclasses override what they show. Called from the run's own thread."""

    def on_data_progress(self, done: int, total: int) -> None:
        """So many of the images are decoded."""

    def on_data_ready(self, event: DataReady) -> None:
        """The images are there."""

    def on_study_opened(self, event: StudyOpened) -> None:
        """The study is ready."""

    def on_features_progress(self, done: int, total: int) -> None:
        """A frozen backbone has read so many of the images; at the end the training goes on."""

    def on_trial_started(self, event: TrialStarted) -> None:
        """A trial begins."""

    def on_epoch_ended(self, event: EpochEnded) -> None:
        """An epoch has ended."""

    def on_trial_ended(self, event: TrialEnded) -> None:
        """A trial has ended."""

    def on_waiting(self) -> None:
        """No trial is left to begin, but others are still at work and may be lost."""

    def on_worker_count(self, count: int) -> None:
        """So many workers share the study, this one among them."""

    def on_workers_changed(self, workers: Sequence[WorkerInfo]) -> None:
        """The workers of the study, on whatever machine: those alive, and those lost lately."""

    def on_worker_output(self, label: str, text: str) -> None:
        """A worker reports a line for people: a label and a text."""

    def on_worker_lost(self, text: str) -> None:
        """A worker was lost, or a process of this run died and is replaced: in words."""

    def on_retraining(self, event: RetrainingStarted) -> None:
        """The search is over, the best recipe is trained once more."""

    def on_exporting(self, trial: int | None = None) -> None:
        """The model is tested, written and compared; without time to retrain, with the weights of that trial."""

    def on_stopping(self, reason: StopReason) -> None:
        """A signal asked for an end; the current step is finished first."""
