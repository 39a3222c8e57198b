"""When a trial is not worth going on with."""

import optuna

ETA = 3


def make_pruner(name: str, epochs: int) -> optuna.pruners.BasePruner:
    """The pruner of a study; its steps are epochs, or folds where there are any, counted from 1.

    Args:
        name: `hyperband` (Li et al., 2018), `asha` (asynchronous successive halving, Li et al., 2020), `median`
            (below the median of the earlier trials at the same epoch), or `none`.
        epochs: Most epochs of any trial of the space, or its folds.
    """
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=ETA)
    if name == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=ETA)
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=max(1, epochs // 6))
    return optuna.pruners.NopPruner()
