"""Hides parameters from Optuna's samplers that two trials have stored with different distributions."""

import copy
from collections.abc import Iterable, Sequence

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.trial import FrozenTrial


class Agreement:
    """The distribution of each parameter, by the first trial that has it.

    Two workers that start at once may store different distributions under a new name, such as those of a hypermodel's
    `fit`. Optuna refuses to sample from such a study. The trial with the lower number counts.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[int, BaseDistribution]] = {}
        self._differing: dict[int, set[str]] = {}

    def note(self, trials: Iterable[FrozenTrial], known: Iterable[FrozenTrial]) -> None:
        """Add new and changed trials, which are among all known ones."""
        has_changed = False
        for trial in trials:
            for name, distribution in trial.distributions.items():
                number, first = self._first.setdefault(name, (trial.number, distribution))
                if trial.number < number:
                    self._first[name] = trial.number, distribution
                    has_changed = has_changed or first != distribution
            self._compare(trial)
        if has_changed:
            for trial in known:
                self._compare(trial)

    def distribution(self, name: str) -> BaseDistribution | None:
        """Return the distribution of a parameter in the first trial that has it; None without one."""
        first = self._first.get(name)
        return first[1] if first else None

    def of(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the trials without parameters whose distribution differs from the first one."""
        if not self._differing:
            return list(trials)
        return [self._without(trial, self._differing.get(trial.number, set())) for trial in trials]

    def _compare(self, trial: FrozenTrial) -> None:
        differing = {name for name, each in trial.distributions.items() if not _agree(self._first[name][1], each)}
        if differing:
            self._differing[trial.number] = differing
        else:
            self._differing.pop(trial.number, None)

    def _without(self, trial: FrozenTrial, names: set[str]) -> FrozenTrial:
        if not names:
            return trial
        kept = copy.copy(trial)
        kept.params = {name: value for name, value in trial.params.items() if name not in names}
        kept.distributions = {name: each for name, each in trial.distributions.items() if name not in names}
        return kept


def _agree(one: BaseDistribution, other: BaseDistribution) -> bool:
    if one == other:
        return True
    try:
        check_distribution_compatibility(one, other)
    except ValueError:
        return False
    return True
