"""Takes trials of a study and evaluates them, one after the other, until there are no more."""

from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from spaces.errors import NoResultError
from spaces.space import Space
from studies import trials
from studies.epochs import most_epochs, total_epochs
from studies.events import WAITING, TrialEnded, TrialStarted, Watcher
from studies.pruning import make_pruner
from studies.sampling import laid_down, make_sampler, seed_of, suggest
from studies.stopping import StopRequest
from studies.study import Study
from studies.trials import Outcome

MOST_FAILURES_AT_FIRST = 5

Evaluate = Callable[..., Outcome]


@dataclass(frozen=True)
class Worker:
    """Evaluates the trials of a study.

    Args:
        study: The study in its database.
        space: What is searched.
        settings: How.
        trials: Trials to evaluate in all.
        evaluate: Evaluates one trial: called with the trial, its recipe and the progress before it.
        watcher: Is told what happens.
        stop: Asked between trials whether to end.
    """

    study: optuna.Study
    space: Space
    settings: Study
    trials: int
    evaluate: Evaluate
    watcher: Watcher
    stop: StopRequest

    def run(self) -> None:
        """Evaluate trials until all are done or an end is asked for.

        Raises:
            NoResultError: The first trials all failed.
        """
        points = laid_down(self.space, self.settings.sampler, self.settings.seed)
        self.study.pruner = make_pruner(self.settings.pruner, self.space.folds or most_epochs(self.space))
        trials.hand_back_abandoned(self.study)
        while not self.stop():
            number = self._next_number()
            self.study.sampler = make_sampler(self.settings.sampler, seed_of(self.settings.seed, number))
            trial = trials.take_next(self.study, self.trials, points)
            if trial is None:
                return
            if self._evaluate(trial).state == WAITING:
                return
            self._give_up_if_hopeless()

    def _next_number(self) -> int:
        known = self.study.get_trials(deepcopy=False)
        waiting = [trial.number for trial in known if trial.state == TrialState.WAITING]
        return min(waiting, default=len(known))

    def _evaluate(self, trial: optuna.Trial) -> Outcome:
        outcome = Outcome(WAITING, None, None, 0, 0.0, "interrupted")
        try:
            recipe = suggest(trial, self.space)
            again = bool(trial.storage.get_trial(trial._trial_id).intermediate_values)
            epochs = total_epochs(recipe) * (recipe.folds or 1)
            self.watcher.trial_started(TrialStarted(trial.number, trials.params_of(trial), epochs, again))
            outcome = self.evaluate(trial, recipe, trials.progress(self.study, self.trials))
        finally:
            # Also when the run ends with an error: the trial waits for the next run.
            trials.end(self.study, trial, outcome)
        self._tell(trial, outcome)
        return outcome

    def _tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        self.watcher.trial_ended(
            TrialEnded(
                number=trial.number,
                state=outcome.state,
                value=outcome.value,
                epoch=outcome.epoch,
                epochs=outcome.epochs,
                seconds=outcome.seconds,
                reason=outcome.reason,
                progress=trials.progress(self.study, self.trials),
            )
        )

    def _give_up_if_hopeless(self) -> None:
        now = trials.progress(self.study, self.trials)
        if now.complete == 0 and now.pruned == 0 and now.failed >= MOST_FAILURES_AT_FIRST:
            raise NoResultError(f"the first {now.failed} trials all failed, the last one with: {self._last_reason()}")

    def _last_reason(self) -> str:
        known = self.study.get_trials(deepcopy=False)
        outcomes = [found for trial in known if (found := trials.outcome_of(trial))]
        return outcomes[-1].reason if outcomes else "no reason"
