"""Measures a trial while it trains, so that the time limit leaves time for its export."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from studies.models.layers import all_layers
from studies.outcome import Costs
from studies.trials.run_time_budget import TimeBudget


@dataclass
class TrialClock:
    """Measures one training while it runs.

    Args:
        batch_size: Images in one step.
        images: Images of one epoch, validation included.
        clock: Monotonic clock, in seconds.
    """

    batch_size: int
    images: int
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    layers: int | None = None
    _first_step: tuple[float, int] | None = field(default=None, init=False)
    _last_step: tuple[float, int] | None = field(default=None, init=False)
    _epochs: list[float] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._begun = self._last_epoch = self.clock()

    def step_ended(self, steps: int) -> None:
        """Note the number of steps done in the epoch."""
        now = self.clock()
        if self._first_step is None:
            self._first_step = now, steps
            self._last_epoch = now
        if not self._epochs:
            self._last_step = now, steps

    def epoch_ended(self) -> None:
        """Note the end of an epoch, validation included."""
        now = self.clock()
        self._epochs.append(now - self._last_epoch)
        self._last_epoch = now

    @property
    def costs(self) -> Costs | None:
        """Costs measured so far; None before the first step."""
        if self._first_step is None:
            if not self._epochs:
                return None
            # The training reports no steps: only its epochs are known.
            return Costs(0.0, max(self._epochs), max(self._epochs) / max(1, self.images), self.layers)
        start = self._first_step[0] - self._begun
        if not self._epochs:
            image = self._seconds_of_image()
            return Costs(start, image * self.images, image, self.layers)
        epoch = max(statistics.median(self._epochs), self._epochs[-1])
        return Costs(start, epoch, epoch / max(1, self.images), self.layers)

    def _seconds_of_image(self) -> float:
        """Return the seconds per image, from the steps after the first, which compiles; that one is an upper bound."""
        if self._first_step is None or self._last_step is None:
            return 0.0
        (first, before), (last, done) = self._first_step, self._last_step
        if done > before:
            return (last - first) / ((done - before) * self.batch_size)
        return (first - self._begun) / max(1, before * self.batch_size)


@dataclass
class TrialMeter:
    """Measures one training of a trial.

    Args:
        budget: Reserves time for what follows the search.
        clock: Clock of the training.
        judged_images: Number of validation images.
        test_images: Number of test images.
        backbone: Costs of the frozen backbone whose features are trained on; None if the whole network is trained.
    """

    budget: TimeBudget
    clock: TrialClock
    judged_images: int
    test_images: int
    backbone: Costs | None = None
    _has_counted: bool = field(default=False, init=False)

    def steps_ended(self, model: Any, steps: int) -> None:
        """Note the number of steps that a Keras model has done in the epoch."""
        if not self._has_counted:
            self._has_counted = True
            own = sum(1 for _ in all_layers(model))
            self.clock.layers = own if self.backbone is None else _sum(self.backbone.layers, own)
        self.clock.step_ended(steps)
        if (costs := self.costs) is not None:
            self.budget.trial_runs(costs, self.judged_images, self.test_images)

    @property
    def costs(self) -> Costs | None:
        """Costs of the training so far; those of an image include the frozen backbone."""
        found = self.clock.costs
        if found is None or self.backbone is None:
            return found
        seconds = found.image_seconds + self.backbone.image_seconds
        return Costs(found.start_seconds, found.epoch_seconds, seconds, found.layers, is_whole=False)


def _sum(layers: int | None, more: int) -> int | None:
    return None if layers is None else layers + more
