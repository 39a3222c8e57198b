"""A trial that this worker has claimed: what its training records, what the pruner says, and how it ends."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum, auto
from typing import Any

import optuna
from optuna.trial import TrialState

from spaces.scalars import Scalar
from spaces.space import Recipe
from studies.checkpoints.study_checkpoints import TrialCheckpoints
from studies.database.claims import ClaimLostError, NoTrialLeft, TrialQueue
from studies.database.identities import StudyDeletedError
from studies.database.stored_trials import OUTCOME, PARAMS, STATES, params_of, progress
from studies.database.trial_writes import Claim
from studies.database.worker_storage import WorkerStorage
from studies.database.workers import WorkerActivity
from studies.events import EpochEnded, RunListener, TrialStarted
from studies.outcome import COMPLETE, WAITING, Activity, Best, TrialOutcome
from studies.training.epochs import total_epochs

_STATES = {name: state for state, name in STATES.items()}


class Decision(Enum):
    """What follows an epoch or a fold of a trial."""

    CONTINUE = auto()
    PRUNE = auto()
    STOP = auto()
    """This worker has lost its claim on the trial."""


@dataclass
class ClaimedTrial:
    """One trial, held by this worker until it ends or returns to the queue.

    Args:
        claim: The right to write about the trial.
        trial: Optuna's trial, which suggests its parameters.
        queue: Where the trials of the study are claimed and finished.
        storage: Optuna's view of the study.
        last_reported_step: Last step that was reported, and judged by the pruner, before this worker claimed the trial;
            0 for none.
        listener: Notified of the start and of each epoch.
        activity: What this worker does now.

    Attributes:
        epochs: Maximum number of epochs of one training.
        checkpoints: Where its training is saved; deleted when the trial ends.
        claim_lost: Why this worker can no longer write about the trial, or None.
    """

    claim: Claim
    trial: optuna.Trial
    queue: TrialQueue
    storage: WorkerStorage
    last_reported_step: int = 0
    listener: RunListener = field(default_factory=RunListener)
    activity: WorkerActivity = field(default_factory=WorkerActivity)
    epochs: int = field(default=0, init=False)
    checkpoints: TrialCheckpoints | None = field(default=None, init=False)
    claim_lost: ClaimLostError | StudyDeletedError | None = field(default=None, init=False)
    _metric: str = field(default="", init=False)
    _folds: int | None = field(default=None, init=False)

    @property
    def number(self) -> int:
        """Number of the trial in the study."""
        return self.claim.number

    @property
    def params(self) -> dict[str, Scalar]:
        """Parameters of the trial, by dotted name."""
        return params_of(self.trial)

    @property
    def steps(self) -> Mapping[int, float]:
        """Reported values, by step."""
        return self.storage.get_trial(self.claim.trial_id).intermediate_values

    def best_so_far(self) -> Best | None:
        """Return the best complete trial of the study, as of now."""
        return progress(self.trial.study, self.claim.trial_budget).best

    def ask_again(self, sampler: optuna.samplers.BaseSampler, given: Mapping[str, Any]) -> None:
        """Let a sampler suggest all parameters again but the given ones, before any is written."""
        self.storage.forget_params(PARAMS)
        study = self.trial.study
        study._thread_local.cached_all_trials = None
        study.sampler = sampler
        self.trial = optuna.Trial(study, self.claim.trial_id)
        self.trial._fixed_params = dict(given)

    def begin(self, recipe: Recipe) -> None:
        """Store the parameters, and show that the recipe is being trained."""
        self._metric, self._folds, self.epochs = recipe.metric, recipe.folds, total_epochs(recipe)
        epochs = self.epochs * (recipe.folds or 1)
        self.activity.show(Activity.TRAINING, self.number, epochs)
        self.write()
        self.listener.on_trial_started(TrialStarted(self.number, self.params, epochs, bool(self.last_reported_step)))

    def record_epoch(self, epoch: int, metrics: Mapping[str, float]) -> Decision:
        """Report, store and show an epoch, counted from 1 over all folds, and decide whether to train another one.

        With folds, whole folds are reported and pruned, not their epochs.
        """
        if self._folds:
            self._store(epoch, metrics)
            return Decision.CONTINUE if self.write() else Decision.STOP
        self.report(metrics[self._metric], epoch)
        self._store(epoch, metrics)
        return self._decide(epoch, self.epochs, metrics[self._metric])

    def record_fold(self, fold: int, mean: float) -> Decision:
        """Report the mean value of the folds so far, and decide whether to train another one."""
        self.report(mean, fold)
        return self._decide(fold, self._folds or fold, mean)

    def record_restored(self, history: Sequence[Mapping[str, float]]) -> None:
        """Store the epochs of a checkpoint, and show the last one."""
        for epoch, metrics in enumerate(history, start=1):
            # The database may have been restored from a time before the checkpoint.
            if not self._folds and epoch not in self.steps:
                self.report(metrics[self._metric], epoch)
            if epoch < len(history):
                self.storage.record_epoch(epoch, metrics)
        self._store(len(history), history[-1])

    def report(self, value: float, step: int) -> None:
        """Report the value of a step, which is an epoch or a fold, counted from 1."""
        if step in self.steps:
            # Optuna ignores a second report of one step, with a warning.
            self.storage.set_trial_intermediate_value(self.claim.trial_id, step, value)
        else:
            self.trial.report(value, step)

    def write(self) -> bool:
        """Write what was recorded since the last time in one transaction; return True if the claim still holds."""
        changes = self.storage.pop_changes()
        try:
            if changes:
                self.queue.save(self.claim, changes)
        except (ClaimLostError, StudyDeletedError) as error:
            # Raised inside Keras it would leave threads behind: the training is ended first.
            self.claim_lost = error
        return self.claim_lost is None

    def _store(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Store the metrics of an epoch with the next write, and show them."""
        self.storage.record_epoch(epoch, metrics)
        epochs = max(epoch, self.epochs * (self._folds or 1))
        now = self.activity
        now.epoch, now.epochs, now.metric_value = epoch, epochs, metrics.get(self._metric)
        self.listener.on_epoch_ended(EpochEnded(self.number, epoch, epochs, metrics))

    def _decide(self, step: int, steps: int, value: float) -> Decision:
        """Ask the pruner after a step, and write."""
        if step >= steps:
            # The last step is written with the end.
            return Decision.CONTINUE
        can_be_pruned = self.number > 0 and step > self.last_reported_step and math.isfinite(value)
        if can_be_pruned and self.trial.should_prune():
            # Written with the end: after a crash in between, it must not be judged and running.
            return Decision.PRUNE
        return Decision.CONTINUE if self.write() else Decision.STOP

    def end(self, outcome: TrialOutcome) -> None:
        """Store how the trial ended, or return it to the queue if it is waiting.

        Raises:
            ClaimLostError: Another worker has claimed the trial.
            StudyDeletedError: The study was deleted.
        """
        try:
            if outcome.state == WAITING:
                self.queue.release(self.claim, self.storage.pop_changes())
            else:
                self._finish(outcome)
        finally:
            self.storage.detach_trial()

    def _finish(self, outcome: TrialOutcome) -> None:
        state = _STATES[outcome.state]
        value = self._value(outcome)
        self.trial.set_user_attr(OUTCOME, asdict(outcome))
        study = self.trial.study
        values = None if value is None else [value]
        study.sampler.after_trial(study, self.storage.get_trial(self.claim.trial_id), state, values)
        self.queue.finish(self.claim, self.storage.pop_changes(), state, value, outcome.epochs)
        if self.checkpoints is not None:
            self.checkpoints.clear()

    def _value(self, outcome: TrialOutcome) -> float | None:
        """Return the value to store; that of a pruned trial is its last report, as Optuna's samplers expect."""
        if outcome.state == COMPLETE:
            return outcome.value
        last = self.steps[max(self.steps)] if self.steps else math.nan
        return last if _STATES[outcome.state] == TrialState.PRUNED and math.isfinite(last) else None


def claim_next_trial(
    study: optuna.Study,
    queue: TrialQueue,
    make_sampler: Callable[[int], optuna.samplers.BaseSampler],
    max_trials: float = math.inf,
    listener: RunListener | None = None,
    activity: WorkerActivity | None = None,
) -> ClaimedTrial | NoTrialLeft:
    """Claim a trial of a study on a `WorkerStorage`, if there is one.

    Args:
        study: The study.
        queue: Where its trials are claimed.
        make_sampler: Returns the sampler for the trial with a number.
        max_trials: Number of trials that can differ: a new one is created only while there are fewer.
        listener: Notified of the start and of each epoch.
        activity: What this worker does now.
    """
    storage = study._storage
    if not isinstance(storage, WorkerStorage):
        raise TypeError("trials are claimed only from a study on a WorkerStorage")
    claim = queue.claim(max_trials)
    if isinstance(claim, NoTrialLeft):
        return claim
    try:
        storage.attach_claim(claim)
        study._thread_local.cached_all_trials = None
        study.sampler = make_sampler(claim.number)
        last = max(storage.get_trial(claim.trial_id).intermediate_values, default=0)
        trial = optuna.Trial(study, claim.trial_id)
        shown = listener or RunListener(), activity or WorkerActivity()
        return ClaimedTrial(claim, trial, queue, storage, last, *shown)
    except BaseException:
        queue.release(claim, storage.pop_changes())
        raise
