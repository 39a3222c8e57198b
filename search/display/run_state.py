"""The state of a run at one moment: everything that the live view draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from spaces.parameters import Scalar
from studies.events import EpochEnded, RetrainingStarted, StudyOpened, TrialEnded, TrialStarted
from studies.outcome import Progress, WorkerInfo
from studies.stop_request import StopReason

MAX_RECENT = 12
DECODING, FEATURES = "Decoding images", "Computing features: "


@dataclass(frozen=True)
class Running:
    """The current training.

    Args:
        number: Number of the trial.
        params: Parameters by dotted name.
        epochs: Maximum number of epochs.
        since: Start time on the run's clock, in seconds.
        images: Number of images of a retraining; None for a trial of the search.
        epoch: Number of finished epochs.
        metrics: Metrics of the last epoch.
    """

    number: int
    params: Mapping[str, Scalar]
    epochs: int
    since: float
    images: int | None = None
    epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunState:
    """State of a run; all times are seconds on the run's clock.

    Args:
        names: Parameters of the space, in its order.
        phase: Current activity in words; empty during a training.
        since: Start of the phase.
        images: Number of decoded images, and of all images.
        study: Event of the study's opening.
        opened: Time of that event.
        progress: Progress of the study.
        running: The current or last training.
        recent: Last finished trials of this run, newest first.
        ended: Number of trials that finished in this run.
        trained: Total duration of these trials.
        stopping: Why the run was asked to stop, or None.
        workers: Workers of the study, if this process is a supervisor.
        alive: Number of running workers of the study.
    """

    names: tuple[str, ...] = ()
    phase: str = ""
    since: float = 0.0
    images: tuple[int, int] = (0, 0)
    study: StudyOpened | None = None
    opened: float = 0.0
    progress: Progress = field(default_factory=lambda: Progress(trials=0))
    running: Running | None = None
    recent: tuple[TrialEnded, ...] = ()
    ended: int = 0
    trained: float = 0.0
    stopping: StopReason | None = None
    workers: tuple[WorkerInfo, ...] = ()
    alive: int = 1

    def at(self, phase: str, now: float) -> "RunState":
        """Return the state in another phase."""
        return replace(self, phase=phase, since=now)

    def decoded(self, done: int, total: int, now: float) -> "RunState":
        """Return the state with a number of decoded images."""
        since = self.since if self.images[1] else now
        return replace(self, phase=DECODING, since=since, images=(done, total))

    def computed(self, done: int, total: int, now: float) -> "RunState":
        """Return the state with features computed for a number of images; the training continues after the last."""
        since = self.since if self.phase.startswith(FEATURES) else now
        return self.at("" if done == total else f"{FEATURES}{done:,} of {total:,} images", since)

    def study_opened(self, event: StudyOpened, now: float) -> "RunState":
        """Return the state with an open study."""
        return replace(self, study=event, opened=now, progress=event.progress).at("Starting the first trial", now)

    def trial_started(self, event: TrialStarted, now: float) -> "RunState":
        """Return the state with another trial running."""
        running = Running(event.number, event.params, event.epochs, now)
        return replace(self, running=running).at("", now)

    def epoch_ended(self, event: EpochEnded) -> "RunState":
        """Return the state after an epoch."""
        if self.running is None:
            return self
        running = replace(self.running, epoch=event.epoch, epochs=event.epochs, metrics=dict(event.metrics))
        return replace(self, running=running)

    def trial_ended(self, event: TrialEnded, now: float) -> "RunState":
        """Return the state after a trial finished or returned to the queue."""
        ended = self.ended + (event.outcome.state != "waiting")
        recent = (event, *self.recent)[:MAX_RECENT]
        trained = self.trained + event.outcome.seconds
        after = replace(self, progress=event.progress, recent=recent, ended=ended, trained=trained)
        return after.at("Choosing the next trial", now)

    def workers_changed(self, workers: Sequence[WorkerInfo]) -> "RunState":
        """Return the state with the current workers."""
        return replace(self, workers=tuple(workers), alive=sum(worker.is_alive for worker in workers))

    def retraining(self, event: RetrainingStarted, now: float) -> "RunState":
        """Return the state with the best trial in retraining."""
        best = self.progress.best
        params = best.params if best else {}
        return replace(self, running=Running(event.number, params, event.epochs, now, event.images)).at("", now)


def seconds_left(state: RunState, now: float) -> float | None:
    """Return the estimated seconds until the search ends, by the trials so far and the time limit; None if unknown."""
    limits = [limit for limit in (_until_done(state, now), _until_timeout(state, now)) if limit is not None]
    return max(0.0, min(limits)) if limits else None


def _until_done(state: RunState, now: float) -> float | None:
    if not state.ended:
        return None
    mean = state.trained / state.ended
    left = max(0, state.progress.trials - state.progress.done)
    spent = min(mean, now - state.running.since) if state.running and not state.phase else 0.0
    return left * mean / max(1, state.alive) - spent


def _until_timeout(state: RunState, now: float) -> float | None:
    if state.study is None or state.study.timeout_seconds is None:
        return None
    return state.study.timeout_seconds - (now - state.opened)
