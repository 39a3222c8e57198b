"""Takes trials of a study and evaluates them, one after the other, until there are no more."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import optuna

from spaces.errors import NoResultError
from spaces.space import Space
from studies.database import stored_trials
from studies.database.claims import ClaimLostError, NoTrialLeft, TrialQueue
from studies.database.enqueued import RefusedValues
from studies.database.imported import Imports
from studies.events import TrialEnded
from studies.outcome import FAILED, WAITING, Progress, TrialOutcome
from studies.settings import Study
from studies.training.epochs import max_epochs
from studies.trials.claimed_trial import ClaimedTrial, claim_next_trial
from studies.trials.pruners import make_pruner
from studies.trials.repeats import Recipes, most_of, size_of
from studies.trials.run_context import RunContext
from studies.trials.samplers import make_sampler, trial_seed

MOST_FAILURES_AT_FIRST = 5
IDLE_SECONDS = 0.5

Evaluate = Callable[..., TrialOutcome]


@dataclass(frozen=True)
class Worker:
    """Evaluates trials of a study, beside any number of other workers.

    Args:
        study: The study, on a `WorkerStorage`.
        space: What is searched.
        settings: How.
        queue: Where its trials are taken.
        evaluate: Evaluates one trial: called with the trial that was taken, its recipe and the progress before it.
        context: What all parts of the run share.
        may_begin: Asked before each trial: whether there is time for one more.
        ended: Called with the progress after each trial.
        has_enough: Whether this process should make room for a fresh one after so many trials.
        wait: Waits for a number of seconds.
        imports: Trials that others have added to the study; None looks for none.
    """

    study: optuna.Study
    space: Space
    settings: Study
    queue: TrialQueue
    evaluate: Evaluate
    context: RunContext
    can_start: Callable[[], bool] = lambda: True
    ended: Callable[[Progress], None] = lambda progress: None
    should_restart: Callable[[int], bool] = lambda evaluated: False
    wait: Callable[[float], None] = time.sleep
    imports: Imports | None = None

    def run(self) -> bool:
        """Evaluate trials until all are done, or an end is asked for, or this process has done enough.

        Returns:
            Whether the search is over for this process: False when a fresh one should go on.

        Raises:
            NoResultError: The first trials all failed.
        """
        self.study.pruner = make_pruner(self.settings.pruner, self.space.folds or max_epochs(self.space))
        evaluated = 0
        while not self.context.stop() and self.can_start():
            if self.should_restart(evaluated):
                return False
            taken = claim_next_trial(
                self.study, self.queue, self._sampler, self._max_trials(), self.context.listener, self.context.activity
            )
            if isinstance(taken, NoTrialLeft):
                if taken.study_finished:
                    return True
                # The others may yet be lost, and their trials wait then.
                self.context.activity.show("waiting for the other workers")
                self.context.listener.on_waiting()
                self.wait(IDLE_SECONDS)
                continue
            self._evaluate(taken)
            evaluated += 1
        return True

    @cached_property
    def _recipes(self) -> Recipes:
        return Recipes(self.space, self.settings, self.queue)

    def _max_trials(self) -> float:
        """Return the number of trials that can differ, which a finite space limits."""
        if math.isinf(size_of(self.space)):
            return math.inf
        return most_of(self.space, self.study.get_trials(deepcopy=False))

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        return make_sampler(self.settings.sampler, trial_seed(self.settings.seed, number))

    def _evaluate(self, taken: ClaimedTrial) -> None:
        outcome = TrialOutcome(WAITING, None, None, 0, 0.0, "interrupted")
        self.context.listener.on_worker_count(self.context.activity.workers_alive)
        try:
            try:
                outcome = self._outcome(taken)
            finally:
                # Also when the run ends with an error: the trial waits for another worker.
                taken.end(outcome)
        except ClaimLostError as error:
            outcome = TrialOutcome(WAITING, None, None, 0, 0.0, str(error))
        finally:
            self.context.activity.show("between trials")
        now = self._progress(taken)
        self.ended(now)
        self._tell(taken.number, outcome, now)
        self._give_up_if_hopeless(now)

    def _outcome(self, taken: ClaimedTrial) -> TrialOutcome:
        """Evaluate a trial; one that was enqueued with values outside the space fails alone."""
        try:
            recipe = self._recipes.of(taken)
        except RefusedValues as error:
            return TrialOutcome(FAILED, None, None, 0, 0.0, str(error), refused=True)
        taken.begin(recipe)
        return self.evaluate(taken, recipe, self._progress(taken))

    def _progress(self, taken: ClaimedTrial) -> Progress:
        now = stored_trials.progress(self.study, taken.claim.trial_budget)
        if self.imports is not None:
            self.imports.write(self.queue.database)
        return now

    def _tell(self, number: int, outcome: TrialOutcome, now: Progress) -> None:
        self.context.listener.on_trial_ended(
            TrialEnded(
                number=number,
                state=outcome.state,
                value=outcome.value,
                epoch=outcome.epoch,
                epochs=outcome.epochs,
                seconds=outcome.seconds,
                reason=outcome.reason,
                progress=now,
            )
        )

    def _give_up_if_hopeless(self, now: Progress) -> None:
        if now.complete or now.pruned:
            return
        outcomes = [
            found for trial in self.study.get_trials(deepcopy=False) if (found := stored_trials.outcome_of(trial))
        ]
        failed = [outcome for outcome in outcomes if not outcome.refused]
        if len(failed) >= MOST_FAILURES_AT_FIRST:
            raise NoResultError(
                f"the first {len(failed)} trials all failed, the last one with: {failed[-1].reason or 'no reason'}"
            )
