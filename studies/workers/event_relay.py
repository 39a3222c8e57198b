"""Reports to a listener what has changed between two readings of a study."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from optuna.trial import FrozenTrial

from studies.database.stored_trials import STATES, outcome_as_far_as_known
from studies.events import RunListener, StudyOpened, TrialEnded
from studies.outcome import COMPLETE, FAILED, PRUNED, Progress, WorkerInfo
from studies.status.monitor import StudySnapshot

_COUNTS = (COMPLETE, PRUNED, FAILED)


@dataclass
class EventRelay:
    """Reports to a listener what is new in a study.

    Args:
        listener: Receives the events.
        opening_event: Returns the event of the study's opening.
        reported: Numbers of the trials that need no report, since they ended before this run.
    """

    listener: RunListener
    opening_event: Callable[[StudySnapshot], StudyOpened]
    reported: set[int] = field(default_factory=set)
    _is_open: bool = field(default=False, init=False)
    _alive: set[str] = field(default_factory=set, init=False)
    _exporter: str = field(default="", init=False)

    def relay(self, now: StudySnapshot, own: set[int], processes: Sequence[WorkerInfo] = ()) -> None:
        """Report what has changed since the last call.

        This supervisor has started all `own` process ids, and currently runs the `processes`.
        """
        if not self._is_open:
            self._is_open = True
            self.listener.on_study_opened(self.opening_event(now))
        self._relay_lost(now, own)
        self.listener.on_workers_changed(_with_starting(now.workers, processes))
        self._relay_ended(now)
        self._relay_export(now)

    def _relay_ended(self, now: StudySnapshot) -> None:
        new = [trial for trial in now.ended if trial.number not in self.reported]
        for index, trial in enumerate(new):
            self.reported.add(trial.number)
            progress = _without(now.progress, new[index + 1 :])
            self.listener.on_trial_ended(TrialEnded(trial.number, outcome_as_far_as_known(trial), progress))

    def _relay_lost(self, now: StudySnapshot, own: set[int]) -> None:
        """Report lost workers of other supervisors; the supervisor itself reports its own, with more detail."""
        here = socket.gethostname()[:255]
        for worker in now.workers:
            is_own = worker.host == here and worker.pid in own
            if not worker.is_alive and worker.worker_id in self._alive and not is_own:
                self.listener.on_worker_lost(f"lost worker {worker.name}; its trial was requeued")
        self._alive = {worker.worker_id for worker in now.workers if worker.is_alive}

    def _relay_export(self, now: StudySnapshot) -> None:
        exporter = next((worker for worker in now.workers if worker.worker_id == now.control.exporter_id), None)
        if exporter is not None and exporter.is_alive and exporter.worker_id != self._exporter:
            self._exporter = exporter.worker_id
            self.listener.on_worker_output(
                "exporting", f"{exporter.name}: retraining, testing and exporting the best trial"
            )


def elsewhere(now: StudySnapshot) -> str:
    """Return where the best trial is being exported, or was, in place of this run; empty if nowhere."""
    exporter = next((worker for worker in now.workers if worker.worker_id == now.control.exporter_id), None)
    if exporter is not None and exporter.is_alive:
        return f"{exporter.name} is retraining and exporting the best trial"
    known = now.control.export_info or {}
    best = now.progress.best
    if best is not None and known.get("trial") == [best.number, now.progress.done]:
        return f"exported on {known['host']}: {known['folder']}"
    return ""


def _with_starting(workers: Sequence[WorkerInfo], processes: Sequence[WorkerInfo]) -> list[WorkerInfo]:
    """Add the own processes that have not joined yet, and remove the lost ones that they replace."""
    alive = [worker for worker in workers if worker.is_alive]
    joined = {worker.pid for worker in alive}
    names = {worker.name for worker in (*processes, *alive)}
    shown = [worker for worker in workers if worker.is_alive or worker.name not in names]
    shown += [process for process in processes if process.pid not in joined]
    return sorted(shown, key=lambda worker: (worker.host, worker.name))


def _without(progress: Progress, later: list[FrozenTrial]) -> Progress:
    """Return the progress before some trials ended; the best trial stays that of now."""
    counts = {name: getattr(progress, name) for name in _COUNTS}
    for trial in later:
        counts[STATES[trial.state]] -= 1
    return replace(progress, **counts)
