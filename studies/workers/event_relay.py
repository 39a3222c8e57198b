"""What a supervisor tells the screen: the difference between two looks at the study."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from optuna.trial import FrozenTrial

from studies.database.stored_trials import STATES, outcome_of
from studies.events import RunListener, StudyOpened, TrialEnded
from studies.outcome import COMPLETE, FAILED, PRUNED, Progress, WorkerInfo
from studies.status.monitor import StudySnapshot

_COUNTS = (COMPLETE, PRUNED, FAILED)


@dataclass
class EventRelay:
    """Tells a listener what is new in a study.

    Args:
        listener: Is told.
        opened: Makes the event of the study's opening.
        told: Numbers of the trials that had ended before this run.
    """

    listener: RunListener
    opened: Callable[[StudySnapshot], StudyOpened]
    told: set[int] = field(default_factory=set)
    is_open: bool = field(default=False, init=False)
    _alive: set[str] = field(default_factory=set, init=False)
    _exporter: str = field(default="", init=False)

    def tell(self, now: StudySnapshot, own: set[int], processes: Sequence[WorkerInfo] = ()) -> None:
        """Tell what has changed.

        Args:
            now: The study.
            own: Process ids of all that this supervisor has started.
            processes: The processes that it runs at this moment.
        """
        if not self.is_open:
            self.is_open = True
            self.listener.on_study_opened(self.opened(now))
        self._tell_lost(now, own)
        self.listener.on_workers_changed(_with_starting(now.workers, processes))
        self._tell_ended(now)
        self._tell_exporting(now)

    def _tell_ended(self, now: StudySnapshot) -> None:
        new = [trial for trial in now.ended if trial.number not in self.told]
        for index, trial in enumerate(new):
            self.told.add(trial.number)
            self.listener.on_trial_ended(_event(trial, _without(now.progress, new[index + 1 :])))

    def _tell_lost(self, now: StudySnapshot, own: set[int]) -> None:
        """Workers of others; of our own processes the supervisor tells more than their silence."""
        here = socket.gethostname()[:255]
        for worker in now.workers:
            is_own = worker.host == here and worker.pid in own
            if not worker.is_alive and worker.worker_id in self._alive and not is_own:
                self.listener.on_worker_lost(f"{worker.name} was lost: its trial goes on elsewhere")
        self._alive = {worker.worker_id for worker in now.workers if worker.is_alive}

    def _tell_exporting(self, now: StudySnapshot) -> None:
        exporter = next((worker for worker in now.workers if worker.worker_id == now.control.exporter_id), None)
        if exporter is not None and exporter.is_alive and exporter.worker_id != self._exporter:
            self._exporter = exporter.worker_id
            self.listener.on_worker_output(
                "exporting", f"{exporter.name}: retraining, testing and writing the best trial"
            )


def elsewhere(now: StudySnapshot) -> str:
    """Who exports, or has exported, the best trial in the place of this run."""
    exporter = next((worker for worker in now.workers if worker.worker_id == now.control.exporter_id), None)
    if exporter is not None and exporter.is_alive:
        return f"{exporter.name} is retraining and exporting the best trial"
    known = now.control.export_info or {}
    best = now.progress.best
    if best is not None and known.get("trial") == [best.number, now.progress.done]:
        return f"exported on {known['host']}: {known['folder']}"
    return ""


def _with_starting(seen: Sequence[WorkerInfo], processes: Sequence[WorkerInfo]) -> list[WorkerInfo]:
    """The workers, with our processes that have not joined yet, and without those that they replace."""
    joined = {worker.pid for worker in seen if worker.is_alive}
    alive = {worker.name for worker in (*processes, *(worker for worker in seen if worker.is_alive))}
    shown = [worker for worker in seen if worker.is_alive or worker.name not in alive]
    shown += [process for process in processes if process.pid not in joined]
    return sorted(shown, key=lambda worker: (worker.host, worker.name))


def _without(progress: Progress, later: list[FrozenTrial]) -> Progress:
    """The progress before some trials ended, but for the best of all."""
    counts = {name: getattr(progress, name) for name in _COUNTS}
    for trial in later:
        counts[STATES[trial.state]] -= 1
    return replace(progress, **counts)


def _event(trial: FrozenTrial, progress: Progress) -> TrialEnded:
    outcome = outcome_of(trial)
    return TrialEnded(
        number=trial.number,
        state=STATES[trial.state],
        value=outcome.value if outcome else trial.value,
        epoch=outcome.epoch if outcome else None,
        epochs=outcome.epochs if outcome else len(trial.intermediate_values),
        seconds=outcome.seconds if outcome else 0.0,
        reason=outcome.reason if outcome else "",
        progress=progress,
    )
