"""What a supervisor tells the screen: the difference between two looks at the study."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from optuna.trial import FrozenTrial

from studies.events import COMPLETE, FAILED, PRUNED, Progress, StudyOpened, TrialEnded, Watcher
from studies.trials import STATES, outcome_of
from studies.watching import Snapshot

_COUNTS = (COMPLETE, PRUNED, FAILED)


@dataclass
class Teller:
    """Tells a watcher what is new in a study.

    Args:
        watcher: Is told.
        opened: Makes the event of the study's opening.
        told: Numbers of the trials that had ended before this run.
    """

    watcher: Watcher
    opened: Callable[[Snapshot], StudyOpened]
    told: set[int] = field(default_factory=set)
    is_open: bool = field(default=False, init=False)
    _alive: dict[str, str] = field(default_factory=dict, init=False)

    def tell(self, now: Snapshot, own: set[int]) -> None:
        """Tell what has changed.

        Args:
            now: The study.
            own: Process ids of all that this supervisor has started.
        """
        if not self.is_open:
            if not is_joined(now, own):
                return
            self.is_open = True
            self.watcher.study_opened(self.opened(now))
        self._tell_lost(now, own)
        self.watcher.workers_seen(now.workers)
        self._tell_ended(now)

    def _tell_ended(self, now: Snapshot) -> None:
        new = [trial for trial in now.ended if trial.number not in self.told]
        for index, trial in enumerate(new):
            self.told.add(trial.number)
            self.watcher.trial_ended(_event(trial, _without(now.progress, new[index + 1 :])))

    def _tell_lost(self, now: Snapshot, own: set[int]) -> None:
        """Workers of others; of our own processes the supervisor tells more than their silence."""
        here = socket.gethostname()[:255]
        for worker in now.workers:
            is_own = worker.host == here and worker.pid in own
            if not worker.lives and self._alive.pop(worker.worker_id, "") and not is_own:
                self.watcher.worker_ended(f"{worker.name} was lost: its trial goes on elsewhere")
        self._alive |= {worker.worker_id: worker.name for worker in now.workers if worker.lives}


def is_joined(now: Snapshot | None, own: set[int]) -> bool:
    """Whether one of these processes of this machine works on the study."""
    here = socket.gethostname()[:255]
    return now is not None and any(worker.host == here and worker.pid in own for worker in now.workers)


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
