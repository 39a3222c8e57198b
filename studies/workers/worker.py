"""Loop of a worker: claims and evaluates trials one by one until none is left."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import optuna

from spaces.errors import NoResultError
from spaces.space import Space
from studies.database import stored_trials
from studies.database.claims import ClaimLostError, NoTrialLeft, TrialQueue
from studies.database.enqueued import RefusedValues
from studies.database.open_study import OpenStudy
from studies.events import TrialEnded
from studies.outcome import FAILED, WAITING, Activity, Progress, TrialOutcome
from studies.settings import Study
from studies.training.epochs import max_epochs
from studies.trials.claimed_trial import ClaimedTrial, claim_next_trial
from studies.trials.pruners import make_pruner
from studies.trials.repeats import Recipes, max_distinct_trials, size_of
from studies.trials.run_context import RunContext
from studies.trials.samplers import make_sampler, trial_seed

MAX_FAILURES_AT_FIRST = 5
"""Failed trials, without any other, after which the search ends."""

IDLE_SECONDS = 0.5

Evaluate = Callable[..., TrialOutcome]


@dataclass(frozen=True)
class Worker:
    """Evaluates trials of a study, next to any number of other workers.

    Args:
        opened: The study.
        space: Its space.
        settings: How it is searched.
        queue: Queue from which trials are claimed.
        evaluate: Evaluates one trial: takes the claimed trial, its recipe and the progress before it.
        context: What all parts of the run share.
        can_start: Returns True if there is time for one more trial.
        ended: Called one after the other with the progress after each trial.
        should_restart: Takes the number of evaluated trials; returns True if a new process should continue.
        wait: Waits for a number of seconds.
    """

    opened: OpenStudy
    space: Space
    settings: Study
    queue: TrialQueue
    evaluate: Evaluate
    context: RunContext
    can_start: Callable[[], bool] = lambda: True
    ended: Sequence[Callable[[Progress], None]] = ()
    should_restart: Callable[[int], bool] = lambda evaluated: False
    wait: Callable[[float], None] = time.sleep

    def run(self) -> bool:
        """Evaluate trials until all are done, a stop is requested, or this process should restart.

        Returns:
            True if the search is over for this process; False if a new process should continue.

        Raises:
            NoResultError: The first trials have all failed.
        """
        study = self.opened.study
        study.pruner = make_pruner(self.settings.pruner, self.space.folds or max_epochs(self.space))
        evaluated = 0
        while not self.context.stop() and self.can_start():
            if self.should_restart(evaluated):
                return False
            claimed = claim_next_trial(
                study, self.queue, self._sampler, self._max_trials(), self.context.listener, self.context.activity
            )
            if isinstance(claimed, NoTrialLeft):
                if claimed.study_finished:
                    return True
                # The trials of other workers are requeued if these are lost.
                self.context.activity.show(Activity.WAITING)
                self.context.listener.on_waiting()
                self.wait(IDLE_SECONDS)
                continue
            self._evaluate(claimed)
            evaluated += 1
        return True

    @cached_property
    def _recipes(self) -> Recipes:
        return Recipes(self.space, self.settings, self.queue)

    def _max_trials(self) -> float:
        """Return the number of trials that can differ, which a finite space limits."""
        if math.isinf(size_of(self.space)) and self.settings.sampler != "stepwise":
            return math.inf
        trials = self.opened.study.get_trials(deepcopy=False)
        return max_distinct_trials(self.space, trials, self.settings.sampler, len(self.queue.assignments))

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        return make_sampler(self.settings.sampler, trial_seed(self.settings.seed, number))

    def _evaluate(self, claimed: ClaimedTrial) -> None:
        outcome = TrialOutcome(WAITING, None, None, 0, 0.0, "interrupted")
        self.context.listener.on_worker_count(self.context.activity.workers_alive)
        try:
            try:
                outcome = self._outcome(claimed)
            finally:
                # Also if the run ends with an error: another worker resumes the trial.
                claimed.end(outcome)
        except ClaimLostError as error:
            outcome = TrialOutcome(WAITING, None, None, 0, 0.0, str(error))
        finally:
            self.context.activity.show(Activity.BETWEEN_TRIALS)
        now = self.opened.progress(claimed.claim.trial_budget)
        for call in self.ended:
            call(now)
        self.context.listener.on_trial_ended(TrialEnded(claimed.number, outcome, now))
        self._require_success(now)

    def _outcome(self, claimed: ClaimedTrial) -> TrialOutcome:
        """Evaluate a trial. One that was enqueued with values outside the space fails, and the search continues."""
        try:
            recipe = self._recipes.of(claimed)
        except RefusedValues as error:
            return TrialOutcome(FAILED, None, None, 0, 0.0, str(error), refused=True)
        claimed.begin(recipe)
        return self.evaluate(claimed, recipe, self.opened.progress(claimed.claim.trial_budget))

    def _require_success(self, now: Progress) -> None:
        if now.complete or now.pruned:
            return
        outcomes = [stored_trials.outcome_of(trial) for trial in self.opened.study.get_trials(deepcopy=False)]
        failed = [outcome for outcome in outcomes if outcome is not None and not outcome.refused]
        if len(failed) >= MAX_FAILURES_AT_FIRST:
            reason = failed[-1].reason or "no reason"
            hint = f"hint: see `search trials {self.opened.name}`"
            raise NoResultError(f"the first {len(failed)} trials all failed, the last with: {reason}\n{hint}")
