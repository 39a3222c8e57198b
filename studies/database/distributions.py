"""Keeps from Optuna's samplers what two trials have stored under one name with different values to choose from."""

import copy
from collections.abc import Iterable, Sequence

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.trial import FrozenTrial


class Agreement:
    """Knows for each parameter's name the values that the first trial with it could choose from.

    Two workers that begin at once may each store options of their own under a name that is new to both, as a
    hypermodel's `fit` may ask for; Optuna refuses to sample from such a study. The trial of the lower number counts.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[int, BaseDistribution]] = {}
        self._differing: dict[int, set[str]] = {}

    def note(self, trials: Iterable[FrozenTrial], known: Iterable[FrozenTrial]) -> None:
        """Take in trials that were read.

        Args:
            trials: Those that are new, or have changed.
            known: All that are known, the new ones among them.
        """
        moved = False
        for trial in trials:
            for name, distribution in trial.distributions.items():
                number, first = self._first.setdefault(name, (trial.number, distribution))
                if trial.number < number:
                    self._first[name] = trial.number, distribution
                    moved = moved or first != distribution
            self._compare(trial)
        if moved:
            for trial in known:
                self._compare(trial)

    def distribution(self, name: str) -> BaseDistribution | None:
        """What the first trial with a parameter of that name could choose from; None while there is none."""
        first = self._first.get(name)
        return first[1] if first else None

    def of(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The trials without the parameters that differ from the first of their name."""
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
