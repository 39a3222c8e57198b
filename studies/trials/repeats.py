"""Prevents a study from evaluating a recipe twice, and detects that a finite space is exhausted."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import optuna
from optuna.trial import FrozenTrial

from spaces.keras_tuner import KerasTunerModel
from spaces.parameters import Scalar
from spaces.space import Recipe, Space, combinations
from studies.database.claims import TrialQueue
from studies.database.reservations import reserve
from studies.database.stored_trials import ended_assignments, key_of, params_of
from studies.outcome import Progress
from studies.settings import Study
from studies.trials.claimed_trial import ClaimedTrial
from studies.trials.samplers import (
    MAX_GRID_SIZE,
    grid_assignments,
    initial_assignments,
    make_sampler,
    suggest,
    trial_seed,
)

MAX_SUGGESTIONS = 5
"""Number of times that a sampler is asked again when it suggests a recipe that was tried."""


def size_of(space: Space) -> float:
    """Return the number of recipes of a space; infinity for a hypermodel, whose parameters are not known before."""
    return math.inf if isinstance(space.model, KerasTunerModel) else combinations(space)


def most_of(space: Space, trials: Sequence[FrozenTrial]) -> float:
    """Return the number of trials of a study once each recipe has one: some recipes may have been tried twice.

    Args:
        space: The space.
        trials: The trials of the study so far.
    """
    size = size_of(space)
    if math.isinf(size):
        return size
    recipes = ended_assignments(trials)
    settled = sum(trial.number in recipes or trial.state.is_finished() for trial in trials)
    return size - len(set(recipes.values())) + settled


def is_exhausted(space: Space, progress: Progress) -> bool:
    """Return True if every recipe of a space has been evaluated."""
    return progress.recipes >= size_of(space)


@dataclass(frozen=True)
class Recipes:
    """Gives every trial a recipe that no other trial has, if there is one.

    Args:
        space: The space.
        settings: Settings of the study.
        queue: Where its trials are claimed.
    """

    space: Space
    settings: Study
    queue: TrialQueue

    @property
    def can_repeat(self) -> bool:
        """Return True if two trials may get the same recipe, which is unlikely if a number has no step."""
        return not math.isinf(size_of(self.space)) or isinstance(self.space.model, KerasTunerModel)

    def of(self, taken: ClaimedTrial) -> Recipe:
        """Return the recipe of a claimed trial.

        Raises:
            RefusedValues: It was enqueued with values that the space does not have.
        """
        is_wanted = self._is_wanted(taken)
        recipe = suggest(taken.trial, self.space)
        if not self.can_repeat:
            return recipe
        for attempt in range(1, MAX_SUGGESTIONS + 1):
            if self._is_new(taken, is_wanted=is_wanted):
                return recipe
            recipe = self._again(taken, attempt)
        while not self._is_new(taken, is_wanted=is_wanted):
            assignment = self._untried(taken)
            if assignment is None:
                self._is_new(taken, is_wanted=True)
                return recipe
            taken.ask_again(taken.trial.study.sampler, assignment)
            recipe = suggest(taken.trial, self.space)
        return recipe

    def _is_wanted(self, taken: ClaimedTrial) -> bool:
        """Return True if a trial keeps its recipe: the baseline, an enqueued trial, one that was begun before."""
        number, given = taken.number, taken.trial._fixed_params
        is_initial = 0 < number < len(self.queue.assignments) and given == self.queue.assignments[number]
        return number == 0 or bool(taken.trial.params) or (bool(given) and not is_initial)

    def _is_new(self, taken: ClaimedTrial, *, is_wanted: bool) -> bool:
        """Reserve the trial's recipe, unless another trial has it."""
        key = key_of(params_of(taken.trial))
        others = ended_assignments(self._trials(taken.trial.study), but=taken.number)
        if not is_wanted and key in others.values():
            return False
        if reserve(self.queue.database, self.queue.worker.study_id, taken.claim, key, is_requested=is_wanted):
            return True
        taken.storage.refresh_later()
        return False

    def _again(self, taken: ClaimedTrial, attempt: int) -> Recipe:
        if self.settings.sampler == "grid":
            assignment = self._untried(taken)
            taken.ask_again(taken.trial.study.sampler, assignment or {})
        else:
            seed = trial_seed(self.settings.seed, taken.number, attempt)
            taken.ask_again(make_sampler(self.settings.sampler, seed), {})
        return suggest(taken.trial, self.space)

    def _untried(self, taken: ClaimedTrial) -> Mapping[str, Scalar] | None:
        """Return an assignment that no trial has: the next one of a grid, else one drawn with the trial's seed."""
        others = {*ended_assignments(self._trials(taken.trial.study), but=taken.number).values()}
        left = [assignment for key, assignment in self._assignments if key not in others]
        if not left:
            return None
        if self.settings.sampler == "grid":
            return left[0]
        return random.Random(trial_seed(self.settings.seed, taken.number, 0)).choice(left)

    @cached_property
    def _assignments(self) -> list[tuple[str, Mapping[str, Scalar]]]:
        """Every recipe of a space that is small enough to list, with its key."""
        if size_of(self.space) > MAX_GRID_SIZE:
            return []
        if self.settings.sampler == "grid":
            every = initial_assignments(self.space, "grid", self.settings.seed)
        else:
            every = list(grid_assignments(self.space))
        return [(key_of(assignment), assignment) for assignment in every]

    @staticmethod
    def _trials(study: optuna.Study) -> Sequence[FrozenTrial]:
        return study.get_trials(deepcopy=False)
