"""Measures a trial while it trains, so that the time limit leaves room for its export."""

from dataclasses import dataclass, field
from typing import Any

from studies.models.layers import all_layers
from studies.outcome import Costs
from studies.trials.time_budget import TimeBudget, TrialClock


@dataclass
class TrialMeter:
    """Measures one training of a trial.

    Args:
        budget: Keeps time for what follows the search.
        clock: Of the training.
        judged_images: Images of its validation.
        test_images: Images to test on.
        backbone: What the frozen backbone costs whose features are trained on; None where the whole network is trained.
    """

    budget: TimeBudget
    clock: TrialClock
    judged_images: int
    test_images: int
    backbone: Costs | None = None
    _has_counted: bool = field(default=False, init=False)

    def steps_ended(self, model: Any, steps: int) -> None:
        """Note how many steps of an epoch of a Keras model are done."""
        if not self._has_counted:
            self._has_counted = True
            own = sum(1 for _ in all_layers(model))
            self.clock.layers = own if self.backbone is None else _sum(self.backbone.layers, own)
        self.clock.step_ended(steps)
        if (costs := self.costs) is not None:
            self.budget.trial_runs(costs, self.judged_images, self.test_images)

    @property
    def costs(self) -> Costs | None:
        """What the training cost so far, with an image's way through the whole network."""
        found = self.clock.costs
        if found is None or self.backbone is None:
            return found
        seconds = found.image_seconds + self.backbone.image_seconds
        return Costs(found.start_seconds, found.epoch_seconds, seconds, found.layers, is_whole=False)


def _sum(layers: int | None, more: int) -> int | None:
    return None if layers is None else layers + more
