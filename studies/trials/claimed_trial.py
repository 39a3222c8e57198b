"""A trial that this worker has taken: what its training reports, what the pruner says, and how it ends."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from studies.checkpoints.study_checkpoints import TrialCheckpoints
from studies.database.claims import Claim, Ledger, Nothing, TrialTaken
from studies.database.identities import StudyDeleted
from studies.database.stored_trials import OUTCOME, PARAMS, STATES
from studies.database.worker_storage import WorkerStorage
from studies.outcome import COMPLETE, WAITING, Outcome

_TOLD = {name: state for state, name in STATES.items()}


@dataclass
class TakenTrial:
    """One trial, held by this worker until it ends or is handed back.

    Args:
        claim: The right to write about it.
        trial: Optuna's trial, which its parameters are asked of.
        ledger: Where the study's trials are taken and ended.
        storage: Optuna's view of the study.
        judged: The last step that was reported, and judged by the pruner, before this worker took it; 0 for none.
    """

    claim: Claim
    trial: optuna.Trial
    ledger: Ledger
    storage: WorkerStorage
    judged: int = 0
    checkpoints: TrialCheckpoints | None = field(default=None, init=False)
    taken_away: TrialTaken | StudyDeleted | None = field(default=None, init=False)

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
        self.storage.keep_epoch(epoch, metrics)

    def should_prune(self) -> bool:
        """Whether the pruner would end it after what was reported last."""
        return self.trial.should_prune()

    def write(self) -> bool:
        """Write what was kept since the last time, in one transaction; returns whether the trial is still ours."""
        changes = self.storage.take_changes()
        try:
            if changes:
                self.ledger.write(self.claim, changes)
        except (TrialTaken, StudyDeleted) as taken:
            # Raised inside Keras it would leave threads behind: the training is ended first.
            self.taken_away = taken
        return self.taken_away is None

    def end(self, outcome: Outcome) -> None:
        """Write how it ended, in one place that the next run and every reader understands; or hand it back.

        Raises:
            TrialTaken: It is another worker's by now.
            StudyDeleted: The study is gone.
        """
        try:
            if outcome.state == WAITING:
                self.ledger.hand_back(self.claim, self.storage.take_changes())
            else:
                self._finish(outcome)
        finally:
            self.storage.forget_own()

    def _finish(self, outcome: Outcome) -> None:
        state = _TOLD[outcome.state]
        value = self._value(outcome)
        self.trial.set_user_attr(OUTCOME, asdict(outcome))
        study = self.trial.study
        values = None if value is None else [value]
        study.sampler.after_trial(study, self._frozen(), state, values)
        self.ledger.end(self.claim, self.storage.take_changes(), state, value, outcome.epochs)
        if self.checkpoints is not None:
            self.checkpoints.clear()

    def _frozen(self) -> FrozenTrial:
        return self.storage.get_trial(self.claim.trial_id)

    def _value(self, outcome: Outcome) -> float | None:
        """A complete trial's value; a pruned one's is its last report, as Optuna's samplers expect."""
        if outcome.state == COMPLETE:
            return outcome.value
        last = self.steps[max(self.steps)] if self.steps else math.nan
        return last if _TOLD[outcome.state] == TrialState.PRUNED and math.isfinite(last) else None


def take(
    study: optuna.Study,
    ledger: Ledger,
    make_sampler: Callable[[int], optuna.samplers.BaseSampler],
    most: float = math.inf,
) -> TakenTrial | Nothing:
    """Take a trial of the study, if there is one.

    Args:
        study: The study, on a `WorkerStorage`.
        ledger: Where its trials are taken.
        make_sampler: Gives the sampler for a trial of that number.
        most: How many trials there can be: a new one is created only while there are fewer.
    """
    storage = study._storage
    if not isinstance(storage, WorkerStorage):
        raise TypeError("a study whose trials are taken is opened by open_study")
    claim = ledger.take(most)
    if isinstance(claim, Nothing):
        return claim
    try:
        storage.begin(claim)
        study._thread_local.cached_all_trials = None
        study.sampler = make_sampler(claim.number)
        judged = max(storage.get_trial(claim.trial_id).intermediate_values, default=0)
        return TakenTrial(claim, optuna.Trial(study, claim.trial_id), ledger, storage, judged)
    except BaseException:
        ledger.hand_back(claim, storage.take_changes())
        raise
