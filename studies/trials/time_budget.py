"""Divides the time of a command: when its search must end, so that retraining, test and export end within the limit."""

import math
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from studies.outcome import Costs
from studies.stop_request import StopRequest

MARGIN = 1.3
"""A retraining is expected to take this much longer than the trial's own epochs say."""

EXPORT_SECONDS, SECONDS_PER_LAYER = 2.5, 0.1
"""Writing, loading and comparing a model and drawing took 1 s and 0.04 to 0.09 s a layer on two idle cores: a CNN,
MobileNetV2, ResNet50 and EfficientNetV2B0."""

STARTS_PER_EXPORT, STARTS_OF_A_TRAINING = 1.5, 3.0
"""Ratios: of an export to compiling the network for training, and of that to compiling it for inference."""

FIRST_START_SECONDS = 1.5
TOLERANCE_SECONDS = 8.0
UNKNOWN_LAYERS = 250

START_CPU_SECONDS = 5.0
"""What Keras and Optuna take to load where the seconds above were measured."""

MOST_TIMES_SLOWER = 6.0
MOST_OF_THE_TIME = 0.6
"""Of what is left when the search begins, at most for an export: its expected time may be far too long."""


MOST_FOR_FEATURES = 0.5
"""Of the time that is left, at most for the features of the first trial."""


def retraining_seconds(costs: Costs, epochs: tuple[int, int], share: float) -> float:
    """What a retraining is expected to take.

    Args:
        costs: Of the trial that is trained again.
        epochs: Of the first and of the second phase.
        share: Images of the retraining, by those that an epoch of the trial goes over.
    """
    phases = 2 if epochs[1] else 1
    return MARGIN * (phases * costs.start_seconds + sum(epochs) * costs.epoch_seconds * share)


def retrained_share(train: int, validation: int, folds: int | None = None) -> float:
    """The images of a retraining, by those that an epoch of a trial trains on, where judging one is a third of it.

    Args:
        train: Images to train on.
        validation: Images to judge by.
        folds: Folds that both together are cut into, if the trial was trained over folds.
    """
    both = train + validation
    judged = both / folds if folds else validation
    return both / max(1.0, both - judged + judged / 3)


def export_seconds(costs: Costs, test_images: int, slower: float = 1.0, starts: float | None = None) -> float:
    """What the test and the export are expected to take.

    Args:
        costs: Of the trial that is exported.
        test_images: Images to test on.
        slower: How many times slower this machine is than the one the constants were measured on.
        starts: The longest that a training took to start; compiling the network took as long as writing it will.
    """
    layers = UNKNOWN_LAYERS if costs.layers is None else costs.layers
    least = EXPORT_SECONDS + SECONDS_PER_LAYER * layers
    expected = slower * least
    if costs.is_whole and starts is not None:
        expected = max(least, min(expected, EXPORT_SECONDS + STARTS_PER_EXPORT * starts))
    return expected + test_images * costs.image_seconds


def reserve_seconds(left: float, retraining: float, export: float) -> float:
    """What to keep of the time that is left: for retraining and export where both fit, else for the export alone."""
    return retraining + export if has_time_to_retrain(left, retraining, export) else export


def has_time_to_retrain(left: float, retraining: float, export: float) -> bool:
    """Whether to begin a retraining; the margin of its expected time was spent on coming here."""
    return left >= retraining / MARGIN + export


def times_slower(cpu_seconds: float, load: float | None = None, cores: int | None = None) -> float:
    """How many times slower than on two idle cores of the reference machine this process works, at least 1.

    Args:
        cpu_seconds: Processor time that this process took to start.
        load: Processes that want a processor; None takes the machine's average over the last minute.
        cores: Processors; None takes the machine's.
    """
    if load is None:
        try:
            load = os.getloadavg()[0]
        except OSError:
            load = 0.0
    machine, others = cpu_seconds / START_CPU_SECONDS, load / (cores or os.cpu_count() or 1)
    return min(MOST_TIMES_SLOWER, max(1.0, machine) * max(1.0, others))


def too_short(timeout: Any, reached: str) -> str:
    """What to say of a time limit that ended before the search began."""
    limit = "limit" if timeout is None else f"limit of {timeout:g} seconds"
    return (
        f"the time {limit} was reached {reached}: run the same command again with a longer "
        "--timeout; what was prepared is kept"
    )


@dataclass
class TimeBudget:
    """Keeps of a command's time limit what its last part needs, as far as trials have shown.

    Args:
        stop: Holds the limit; time is over so much earlier as is kept.
        exports: Whether the best trial is exported after the search.
        slower: Gives how many times slower this machine is than that of the constants.
    """

    stop: StopRequest
    exports: bool = True
    slower: Callable[[], float] = lambda: 1.0
    _retraining: float = field(default=math.inf, init=False)
    _export: float = field(default=EXPORT_SECONDS, init=False)
    _starts: list[float] = field(default_factory=list, init=False)
    _has_best: bool = field(default=False, init=False)
    _most: float = field(default=math.inf, init=False)

    def begin(self) -> None:
        """The search begins: an export whose expected time is most of what is left does not keep it from that."""
        self._most = MOST_OF_THE_TIME * max(0.0, self.stop.seconds_left)

    def trial_runs(self, costs: Costs, judged_images: int, test_images: int) -> None:
        """Keep what it takes to judge and to export the trial that is running: no other one is complete."""
        if self.exports and not self._has_best:
            self._export = self._export_seconds(costs, test_images)
            judging = judged_images * costs.image_seconds
            self.stop.reserve_seconds = min(self._export + judging, self._most)

    def has_time_to_prepare(self, seconds: float, backbone: Costs) -> bool:
        """Whether the first trial may wait for the features of a backbone; later ones are ended by the limit.

        Args:
            seconds: What the features will still take.
            backbone: What it took the backbone to start, and its layers.
        """
        left = self.stop.seconds_left
        if self._has_best or not self.exports or seconds <= MOST_FOR_FEATURES * left:
            return True
        # Training on images must be possible in their place.
        starts = STARTS_OF_A_TRAINING * backbone.start_seconds
        return starts + export_seconds(backbone, 0, self.slower()) > left

    def has_time_to_write(self, layers: int) -> bool:
        """Return whether to write a model with this many layers in a second format, even a little past the limit."""
        return self.stop.seconds_left + TOLERANCE_SECONDS >= self.slower() * SECONDS_PER_LAYER * layers

    def trial_ended(self, costs: Costs) -> None:
        """Note what it took to start."""
        self._starts.append(costs.start_seconds)

    def best_is(self, costs: Costs, epochs: tuple[int, int], share: float, test_images: int) -> None:
        """Keep what it takes to retrain and export the best trial; the arguments are those of the functions above."""
        self._has_best = True
        self._retraining = retraining_seconds(costs, epochs, share)
        self._export = self._export_seconds(costs, test_images)
        # Once time is over, what was kept is not given back to the search.
        if self.exports and not self.stop.out_of_time:
            self.stop.reserve_seconds = reserve_seconds(self.stop.seconds_left, self._retraining, self._export)

    def has_time_to_begin(self) -> bool:
        """Whether one more trial would do more than start."""
        if not self._has_best:
            return self._has_time(FIRST_START_SECONDS)
        return self._has_time(statistics.median(self._starts) if self._starts else 0.0)

    def has_time_to_restart(self, seconds: float) -> bool:
        """Return whether a fresh process that takes this many seconds to start would still evaluate a trial."""
        return self._has_time(2 * seconds)

    def end_search(self) -> bool:
        """Let what follows the search have the time that was kept; returns whether to retrain."""
        self.stop.end_search()
        self.stop.reserve_seconds = self._export
        return has_time_to_retrain(self.stop.seconds_left, self._retraining, self._export)

    def goes_on_judging(self, batches: int) -> bool:
        """Whether to measure one more batch of a model that was stopped within its first epoch."""
        if self.stop.requested or self._has_best or not self.exports:
            return False
        return batches == 0 or self.stop.seconds_left > self._export

    def _export_seconds(self, costs: Costs, test_images: int) -> float:
        starts = max([costs.start_seconds, *self._starts])
        return min(export_seconds(costs, test_images, self.slower(), starts), self._most)

    def _has_time(self, starts: float) -> bool:
        left = self.stop.seconds_left
        return math.isinf(left) or left - self.stop.reserve_seconds > starts
