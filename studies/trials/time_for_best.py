"""Reserves the part of the time limit that the best trial so far needs."""

import optuna

from spaces.space import Space
from studies.data.dataset import Dataset
from studies.database.stored_trials import costs_of
from studies.outcome import Progress
from studies.trials.run_time_budget import TimeBudget, retrained_share


def reserve_time_for_best(
    budget: TimeBudget, study: optuna.Study, space: Space, dataset: Dataset, now: Progress
) -> None:
    """Reserve what the retraining, test and export of the best trial need, if its costs are known.

    Args:
        budget: Divides the time limit.
        study: The study.
        space: The space.
        dataset: Images of the baseline; only their counts matter.
        now: Progress of the study.
    """
    if now.best is None or budget.stop.deadline is None:
        return
    costs = costs_of(study, now.best.number)
    if costs is not None:
        share = retrained_share(len(dataset.train), len(dataset.validation), space.folds)
        budget.best_is(costs, now.best.epochs, share, len(dataset.test))
