"""Prevents a study from evaluating a recipe twice, and detects that a finite space is exhausted."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from optuna.trial import FrozenTrial

from spaces.keras_tuner import KerasTunerModel
from spaces.parameters import Scalar
from spaces.space import Recipe, Space, baseline, combinations
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
    max_trials,
    suggest,
    trial_seed,
)
from studies.trials.stepwise import next_assignment

MAX_SUGGESTIONS = 5
"""Number of times that a sampler is asked again when it suggests a recipe that was tried."""


def size_of(space: Space) -> float:
    """Return the number of recipes of a space; infinity for a hypermodel, whose parameters are not known before."""
    return math.inf if isinstance(space.model, KerasTunerModel) else combinations(space)


def max_distinct_trials(space: Space, trials: Sequence[FrozenTrial], sampler: str = "", fixed: int = 1) -> float:
    """Return the number of trials of a study once each recipe has one; some recipes may have been tried twice.

    A `stepwise` sampler ends after its last step, which follows the `fixed` first trials.
    """
    size = size_of(space)
    if sampler == "stepwise":
        return min(size, max_trials(space, sampler) + fixed - 1)
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
    """Gives each trial a recipe that no other trial has, if there is one.

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

    def of(self, claimed: ClaimedTrial) -> Recipe:
        """Return the recipe of a claimed trial.

        Raises:
            RefusedValues: It was enqueued with values that the space does not have.
        """
        keeps_recipe = self._keeps_recipe(claimed)
        follows_steps = self.settings.sampler == "stepwise" and claimed.number >= len(self.queue.assignments)
        if follows_steps and not keeps_recipe and (step := self._next_step(claimed)):
            claimed.ask_again(claimed.trial.study.sampler, step)
        recipe = suggest(claimed.trial, self.space)
        if not self.can_repeat:
            return recipe
        for attempt in range(1, MAX_SUGGESTIONS + 1):
            if self._is_new(claimed, keeps_recipe=keeps_recipe):
                return recipe
            recipe = self._suggest_again(claimed, attempt)
        while not self._is_new(claimed, keeps_recipe=keeps_recipe):
            assignment = self._untried(claimed)
            if assignment is None:
                self._is_new(claimed, keeps_recipe=True)
                return recipe
            claimed.ask_again(claimed.trial.study.sampler, assignment)
            recipe = suggest(claimed.trial, self.space)
        return recipe

    def _keeps_recipe(self, claimed: ClaimedTrial) -> bool:
        """Return True if a trial keeps its recipe: the baseline, an enqueued trial, one that was begun before."""
        number, given = claimed.number, claimed.trial._fixed_params
        is_initial = 0 < number < len(self.queue.assignments) and given == self.queue.assignments[number]
        return number == 0 or bool(claimed.trial.params) or (bool(given) and not is_initial)

    def _is_new(self, claimed: ClaimedTrial, *, keeps_recipe: bool) -> bool:
        """Reserve the recipe of a trial. Return False if another trial has it."""
        key = key_of(params_of(claimed.trial))
        others = ended_assignments(claimed.trial.study.get_trials(deepcopy=False), but=claimed.number)
        if not keeps_recipe and key in others.values():
            return False
        if reserve(self.queue.database, self.queue.worker.study_id, claimed.claim, key, is_requested=keeps_recipe):
            return True
        claimed.storage.refresh_later()
        return False

    def _suggest_again(self, claimed: ClaimedTrial, attempt: int) -> Recipe:
        if self.settings.sampler in ("grid", "stepwise"):
            assignment = self._next_step(claimed) if self.settings.sampler == "stepwise" else None
            assignment = assignment or self._untried(claimed)
            claimed.ask_again(claimed.trial.study.sampler, assignment or {})
        else:
            seed = trial_seed(self.settings.seed, claimed.number, attempt)
            claimed.ask_again(make_sampler(self.settings.sampler, seed), {})
        return suggest(claimed.trial, self.space)

    def _next_step(self, claimed: ClaimedTrial) -> Mapping[str, Scalar] | None:
        """Return the best assignment so far with the next step of the space; None if every step was tried."""
        others = ended_assignments(claimed.trial.study.get_trials(deepcopy=False), but=claimed.number)
        best = claimed.best_so_far()
        first = baseline(self.space) if best is None else best.params
        number = max(1, claimed.number - len(self.queue.assignments) + 1)
        return next_assignment(self.space, number, first, {*others.values()})

    def _untried(self, claimed: ClaimedTrial) -> Mapping[str, Scalar] | None:
        """Return an assignment that no trial has: the next one of a grid, else one drawn with the trial's seed."""
        others = {*ended_assignments(claimed.trial.study.get_trials(deepcopy=False), but=claimed.number).values()}
        left = [assignment for key, assignment in self._assignments if key not in others]
        if not left:
            return None
        if self.settings.sampler == "grid":
            return left[0]
        return random.Random(trial_seed(self.settings.seed, claimed.number, 0)).choice(left)

    @cached_property
    def _assignments(self) -> list[tuple[str, Mapping[str, Scalar]]]:
        """Return every recipe of a space that is small enough to list, with its key."""
        if size_of(self.space) > MAX_GRID_SIZE:
            return []
        if self.settings.sampler == "grid":
            every = initial_assignments(self.space, "grid", self.settings.seed)
        else:
            every = list(grid_assignments(self.space))
        return [(key_of(assignment), assignment) for assignment in every]
