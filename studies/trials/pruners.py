"""Ends trials early that are unlikely to be the best."""

from collections.abc import Callable, Mapping

import optuna

from spaces.registry import look_up

ETA = 3

PRUNERS: Mapping[str, Callable[[int], optuna.pruners.BasePruner]] = {
    # Li et al., 2018.
    "hyperband": lambda epochs: optuna.pruners.HyperbandPruner(
        min_resource=1, max_resource=epochs, reduction_factor=ETA
    ),
    # Asynchronous successive halving, Li et al., 2020.
    "asha": lambda epochs: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=ETA),
    # Below the median of the earlier trials at the same epoch.
    "median": lambda epochs: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=max(1, epochs // 6)),
    "none": lambda epochs: optuna.pruners.NopPruner(),
}
"""Pruners of a study, by the names that `Study` accepts: each function makes one from the maximum number of epochs."""


def make_pruner(name: str, epochs: int) -> optuna.pruners.BasePruner:
    """Return a pruner of `PRUNERS` for the maximum number of steps: folds if there are any, else epochs, from 1 on.

    Raises:
        SpaceError: There is no such pruner.
    """
    return look_up(PRUNERS, name, "pruner")(epochs)
