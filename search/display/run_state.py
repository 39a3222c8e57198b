"""What is known about a run at one moment: all that the live display draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from spaces.parameters import Scalar
from studies.events import EpochEnded, RetrainingStarted, StudyOpened, TrialEnded, TrialStarted
from studies.outcome import Progress, WorkerInfo
from studies.stop_request import StopReason

RECENT = 12


@dataclass(frozen=True)
class Running:
    """The training that is going on.

    Args:
        number: Number of its trial.
        params: Its parameters by dotted name.
        epochs: Most epochs of it.
        since: When it began, on the run's clock, in seconds.
        images: How many images the retraining uses; None for a trial of the search.
        epoch: Epochs that have ended.
        metrics: Those of the last epoch.
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
    """A run at one moment; all times are seconds on the run's clock.

    Args:
        names: The space's parameters, in its order.
        phase: What is being done, in words; empty while a training says it by itself.
        since: When the phase began.
        images: Images decoded, and images in all.
        study: What was told when the study was opened.
        opened: When that was.
        progress: How far the study is.
        running: The training that is going on, or went on last.
        recent: The trials that ended last in this run, the newest first.
        ended: Trials that ended in this run.
        trained: How long these took together.
        stopping: Why the run was asked to stop, or None.
        workers: The workers of the study, where this process only watches them.
        alive: How many workers share the study.
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
        """In another phase."""
        return replace(self, phase=phase, since=now)

    def decoded(self, done: int, total: int, now: float) -> "RunState":
        """With so many images decoded."""
        since = self.since if self.images[1] else now
        return replace(self, phase="decoding images", since=since, images=(done, total))

    def computed(self, done: int, total: int, now: float) -> "RunState":
        """With the frozen backbone over so many images; the training that waits for it goes on at the end."""
        doing = "frozen backbone over the images: "
        since = self.since if self.phase.startswith(doing) else now
        return self.at("" if done == total else f"{doing}{done:,} of {total:,}", since)

    def study_opened(self, event: StudyOpened, now: float) -> "RunState":
        """With its study."""
        return replace(self, study=event, opened=now, progress=event.progress).at("starting", now)

    def trial_started(self, event: TrialStarted, now: float) -> "RunState":
        """With another trial running."""
        running = Running(event.number, event.params, event.epochs, now)
        return replace(self, running=running).at("", now)

    def epoch_ended(self, event: EpochEnded) -> "RunState":
        """One epoch later."""
        if self.running is None:
            return self
        running = replace(self.running, epoch=event.epoch, epochs=event.epochs, metrics=dict(event.metrics))
        return replace(self, running=running)

    def trial_ended(self, event: TrialEnded, now: float) -> "RunState":
        """With one more trial done, or one handed back."""
        ended = self.ended + (event.state != "waiting")
        recent = (event, *self.recent)[:RECENT]
        trained = self.trained + event.seconds
        after = replace(self, progress=event.progress, recent=recent, ended=ended, trained=trained)
        return after.at("choosing the next trial", now)

    def workers_seen(self, workers: Sequence[WorkerInfo]) -> "RunState":
        """With the workers as they are now."""
        return replace(self, workers=tuple(workers), alive=sum(worker.is_alive for worker in workers))

    def retraining(self, event: RetrainingStarted, now: float) -> "RunState":
        """With the best trial's recipe in training once more."""
        best = self.progress.best
        params = best.params if best else {}
        return replace(self, running=Running(event.number, params, event.epochs, now, event.images)).at("", now)


def seconds_left(state: RunState, now: float) -> float | None:
    """How long the search will go on: from the trials done so far and the time limit; None when nothing is known."""
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
