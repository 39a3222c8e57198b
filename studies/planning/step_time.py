"""Predicts how long the next step of a plan takes, from the steps so far."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import optuna
from optuna.trial import TrialState

from spaces.parameters import Scalar
from spaces.space import Recipe, Space, baseline, resolve
from studies.database.stored_trials import ended_assignments, outcome_of, params_of, progress
from studies.features.eligibility import is_linear, is_mirrored
from studies.planning.networks import cost_of
from studies.settings import Study
from studies.stop_request import StopRequest
from studies.trials.stepwise import next_assignment, steps

MAX_FRACTION, FIRST_FRACTION = 0.25, 0.6
"""Largest part of the time left that the next step may take, and that the first step of a run may take: a run that only
resumes a study would otherwise never take a long step."""

SECONDS_PER_WORK = 4.2e-3 / (59 * 160**2)
"""Seconds for one image, one pixel and one million multiplications, measured with MobileNetV2 on two idle CPU cores."""

FIXED_SECONDS = 20.0
"""Start, decoding and export of a thousand photos on two idle CPU cores."""


@dataclass
class StepTime:
    """Compares the next step of a `stepwise` study over linear heads with the time left.

    Args:
        study: The study.
        space: Its space.
        settings: How it is searched.
        stop: Has the time limit.
    """

    study: optuna.Study
    space: Space
    settings: Study
    stop: StopRequest
    _is_first: bool = field(default=True, init=False)

    def fits(self) -> bool:
        """Return True if the next step takes a small part of the time left, or if that is not known."""
        left = self.stop.seconds_left
        if math.isinf(left) or self.settings.sampler != "stepwise":
            return True
        largest = (FIRST_FRACTION if self._is_first else MAX_FRACTION) * left
        self._is_first = False
        predicted = self.next_seconds()
        return predicted is None or predicted <= largest

    def next_seconds(self) -> float | None:
        """Return the expected duration of the next step in seconds; None if it is not known."""
        trials = self.study.get_trials(deepcopy=False)
        if any(trial.state == TrialState.WAITING for trial in trials):
            return None
        ended = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        best = progress(self.study, len(trials)).best
        if not ended or best is None:
            return None
        following = next_assignment(self.space, len(trials), best.params, {*ended_assignments(trials).values()})
        if following is None:
            return None
        recipe = resolve(self.space, following)
        if not is_linear(recipe):
            return None
        done: set[tuple[object, ...]] = set()
        rates = []
        for trial in ended:
            earlier = resolve(self.space, params_of(trial))
            if not is_linear(earlier):
                continue
            parts = passes_of(earlier)
            outcome, work = outcome_of(trial), sum(cost for part, cost in parts.items() if part not in done)
            done |= parts.keys()
            if outcome is not None and work:
                rates.append(outcome.seconds / work)
        work = sum(cost for part, cost in passes_of(recipe).items() if part not in done)
        return max(rates) * work if rates else None


def expected_seconds(space: Space, images: int, cores: int) -> float:
    """Return about how long a plan takes on a CPU, if every step is kept, with start and export."""
    base: Mapping[str, Scalar] | None = baseline(space)
    parts: dict[tuple[object, ...], float] = {}
    number = 0
    while base is not None:
        parts |= passes_of(resolve(space, base))
        number += 1
        base = next_assignment(space, number, base, ()) if number <= len(steps(space)) else None
    return FIXED_SECONDS + images * SECONDS_PER_WORK * 2 / cores * sum(parts.values())


def passes_of(recipe: Recipe) -> dict[tuple[object, ...], float]:
    """Return the passes over all images that a recipe needs, each with its relative cost."""
    size = getattr(recipe.data, "image_size", None)
    pixels = math.prod(size) if isinstance(size, tuple) else (size or 1) ** 2
    passes = (False, True) if is_mirrored(recipe) else (False,)
    return {
        (part.name, part.alpha, size, mirrored): cost_of(part.name, part.alpha) * pixels
        for part in recipe.backbone.parts
        for mirrored in passes
    }
