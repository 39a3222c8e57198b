"""CMA-ES that stores no optimizer: Optuna stores a pickle, which may hold code; this one is rebuilt from the trials."""

import copy
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial


class SafeCmaEsSampler(optuna.samplers.CmaEsSampler):
    """Optuna's sampler, which rebuilds its optimizer from all complete generations for each trial.

    A trial stores the number of the generation that it was drawn from, and nothing else. A generation is complete once
    as many of its trials are as the population has; the first of them to end count, so that several workers rebuild
    the same optimizer. A single worker draws what Optuna's own sampler draws.
    """

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the parameters of a trial from the optimizer."""
        self._space, self._direction = search_space, study.direction
        return super().sample_relative(study, trial, search_space)

    def _restore_optimizer(self, completed_trials: Sequence[FrozenTrial]) -> Any:
        """Return an optimizer that knows all generations but the last one; None if there was none before it."""
        generations = self._drawn = self._generations(completed_trials)
        last = max(generations, default=0)
        if last < 1:
            return None
        transform = _SearchSpaceTransform(self._space, transform_step=True, transform_0_1=True)
        # From another sampler, so that this one draws the same numbers as Optuna's.
        optimizer = optuna.samplers.CmaEsSampler(seed=0)._init_optimizer(transform, self._direction)
        while optimizer.generation < last:
            drawn = generations[optimizer.generation][: optimizer.population_size]
            if len(drawn) < optimizer.population_size:
                break
            optimizer.tell([(transform.transform(trial.params), self._loss(trial)) for trial in drawn])
            # Optuna stores it here: the covariances that it stores are symmetric to the last bit.
            optimizer = copy.deepcopy(optimizer)
        return optimizer

    def _get_solution_trials(self, trials: Sequence[FrozenTrial], generation: int) -> list[FrozenTrial]:
        """Return the trials of a generation, for Optuna."""
        return self._drawn[generation]

    def _generations(self, trials: Sequence[FrozenTrial]) -> Mapping[int, list[FrozenTrial]]:
        """Return the trials of each generation in the order in which they ended, without those outside the space."""
        found: dict[int, list[FrozenTrial]] = defaultdict(list)
        for trial in sorted(trials, key=_ended):
            generation = trial.system_attrs.get(self._attr_key_generation)
            if type(generation) is int and _is_within(trial, self._space):
                found[generation].append(trial)
        return found

    def _split_optimizer_str(self, optimizer_str: str) -> dict[str, str]:
        """Store nothing of the optimizer."""
        return {}

    def _loss(self, trial: FrozenTrial) -> float:
        value = float(trial.values[0])
        return value if self._direction == StudyDirection.MINIMIZE else -value


def _ended(trial: FrozenTrial) -> tuple[float, int]:
    """Return the time at which a trial ended, in seconds since 1970, and its number."""
    return trial.datetime_complete.timestamp() if trial.datetime_complete else math.inf, trial.number


def _is_within(trial: FrozenTrial, space: Mapping[str, BaseDistribution]) -> bool:
    """Return True if a trial has a value, and parameters within the space."""
    value = trial.values[0] if trial.values else None
    if not isinstance(value, float | int) or math.isnan(value):
        return False
    given = [(distribution, trial.params.get(name)) for name, distribution in space.items()]
    return all(
        isinstance(param, float | int) and np.isfinite(param) and distribution._contains(param)
        for distribution, param in given
    )
