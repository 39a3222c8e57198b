"""Keeps of the time limit what the best trial so far needs."""

import optuna

from spaces.space import Space
from studies.data.dataset import Dataset
from studies.database.stored_trials import costs_of
from studies.outcome import Progress
from studies.trials.time_budget import TimeBudget, retrained_share


def keep_time_for_best(budget: TimeBudget, study: optuna.Study, space: Space, dataset: Dataset, now: Progress) -> None:
    """Keep what the best trial's retraining, test and export need, if there is one and its costs are known.

    Args:
        budget: Divides the time.
        study: The study.
        space: What is searched.
        dataset: The images of the baseline: only their numbers count.
        now: How far the study is.
    """
    if now.best is None or budget.stop.deadline is None:
        return
    costs = costs_of(study, now.best.number)
    if costs is not None:
        share = retrained_share(len(dataset.train), len(dataset.validation), space.folds)
        budget.best_is(costs, now.best.epochs, share, len(dataset.test))
