"""A trial that this worker has taken: what its training reports, what the pruner says, and how it ends."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from studies.checkpoints.study_checkpoints import TrialCheckpoints
from studies.database.claims import Claim, ClaimLostError, NoTrialLeft, TrialQueue
from studies.database.identities import StudyDeletedError
from studies.database.stored_trials import OUTCOME, PARAMS, STATES
from studies.database.worker_storage import WorkerStorage
from studies.outcome import COMPLETE, WAITING, TrialOutcome

_TOLD = {name: state for state, name in STATES.items()}


@dataclass
class ClaimedTrial:
    """One trial, held by this worker until it ends or is handed back.

    Args:
        claim: The right to write about it.
        trial: Optuna's trial, which its parameters are asked of.
        queue: Where the study's trials are taken and ended.
        storage: Optuna's view of the study.
        judged: The last step that was reported, and judged by the pruner, before this worker took it; 0 for none.
    """

    claim: Claim
    trial: optuna.Trial
    queue: TrialQueue
    storage: WorkerStorage
    last_reported_step: int = 0
    checkpoints: TrialCheckpoints | None = field(default=None, init=False)
    claim_lost: ClaimLostError | StudyDeletedError | None = field(default=None, init=False)

    @property
    def number(self) -> int:
        """Its number in the study."""
        return self.claim.number

    @property
    def steps(self) -> Mapping[int, float]:
        """What was reported so far, by step."""
        return self.storage.get_trial(self.claim.trial_id).intermediate_values

    def ask_again(self, sampler: optuna.samplers.BaseSampler, given: Mapping[str, Any]) -> None:
        """Let a sampler propose other parameters, before any was written.

        Args:
            sampler: The sampler.
            given: Values that are taken as they are.
        """
        self.storage.forget_params(PARAMS)
        study = self.trial.study
        study._thread_local.cached_all_trials = None
        study.sampler = sampler
        self.trial = optuna.Trial(study, self.claim.trial_id)
        self.trial._fixed_params = dict(given)

    def report(self, value: float, step: int) -> None:
        """Keep the value of a step, which is an epoch or a fold, counted from 1."""
        if step in self.steps:
            # Optuna ignores a second report of one step, with a warning.
            self.storage.set_trial_intermediate_value(self.claim.trial_id, step, value)
        else:
            self.trial.report(value, step)

    def keep_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics of an epoch."""
        self.storage.record_epoch(epoch, metrics)

    def should_prune(self) -> bool:
        """Whether the pruner would end it after what was reported last."""
        return self.trial.should_prune()

    def write(self) -> bool:
        """Write what was kept since the last time, in one transaction; returns whether the trial is still ours."""
        changes = self.storage.pop_changes()
        try:
            if changes:
                self.queue.save(self.claim, changes)
        except (ClaimLostError, StudyDeletedError) as taken:
            # Raised inside Keras it would leave threads behind: the training is ended first.
            self.claim_lost = taken
        return self.claim_lost is None

    def end(self, outcome: TrialOutcome) -> None:
        """Write how it ended, in one place that the next run and every reader understands; or hand it back.

        Raises:
            ClaimLostError: The trial is another worker's by now.
            StudyDeleted: The study is gone.
        """
        try:
            if outcome.state == WAITING:
                self.queue.release(self.claim, self.storage.pop_changes())
            else:
                self._finish(outcome)
        finally:
            self.storage.detach_trial()

    def _finish(self, outcome: TrialOutcome) -> None:
        state = _TOLD[outcome.state]
        value = self._value(outcome)
        self.trial.set_user_attr(OUTCOME, asdict(outcome))
        study = self.trial.study
        values = None if value is None else [value]
        study.sampler.after_trial(study, self._frozen(), state, values)
        self.queue.finish(self.claim, self.storage.pop_changes(), state, value, outcome.epochs)
        if self.checkpoints is not None:
            self.checkpoints.clear()

    def _frozen(self) -> FrozenTrial:
        return self.storage.get_trial(self.claim.trial_id)

    def _value(self, outcome: TrialOutcome) -> float | None:
        """A complete trial's value; a pruned one's is its last report, as Optuna's samplers expect."""
        if outcome.state == COMPLETE:
            return outcome.value
        last = self.steps[max(self.steps)] if self.steps else math.nan
        return last if _TOLD[outcome.state] == TrialState.PRUNED and math.isfinite(last) else None


def claim_next_trial(
    study: optuna.Study,
    queue: TrialQueue,
    make_sampler: Callable[[int], optuna.samplers.BaseSampler],
    most: float = math.inf,
) -> ClaimedTrial | NoTrialLeft:
    """Take a trial of the study, if there is one.

    Args:
        study: The study, on a `WorkerStorage`.
        queue: Where its trials are taken.
        make_sampler: Gives the sampler for a trial of that number.
        most: How many trials there can be: a new one is created only while there are fewer.
    """
    storage = study._storage
    if not isinstance(storage, WorkerStorage):
        raise TypeError("a study whose trials are taken is opened by create_study")
    claim = queue.claim(most)
    if isinstance(claim, NoTrialLeft):
        return claim
    try:
        storage.attach_claim(claim)
        study._thread_local.cached_all_trials = None
        study.sampler = make_sampler(claim.number)
        judged = max(storage.get_trial(claim.trial_id).intermediate_values, default=0)
        return ClaimedTrial(claim, optuna.Trial(study, claim.trial_id), queue, storage, judged)
    except BaseException:
        queue.release(claim, storage.pop_changes())
        raise
