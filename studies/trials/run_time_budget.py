"""Divides the time limit of a run, so that retraining, test and export end within it."""

import math
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import optuna

from spaces.space import Space
from studies.data.dataset import Dataset
from studies.database.stored_trials import costs_of
from studies.outcome import Costs, Progress
from studies.stop_request import StopRequest

MARGIN = 1.3
"""Ratio of the expected time of a retraining to that of the trial's epochs."""

EXPORT_SECONDS, SECONDS_PER_LAYER = 2.5, 0.1
"""Writing, loading and comparing a model and drawing took 1 s and 0.04 to 0.09 s a layer on two idle cores: a CNN,
MobileNetV2, ResNet50 and EfficientNetV2B0."""

STARTS_PER_EXPORT, STARTS_OF_A_TRAINING = 1.5, 3.0
"""Ratios: of an export to compiling the network for training, and of that to compiling it for inference."""

FIRST_START_SECONDS = 1.5
TOLERANCE_SECONDS = 8.0
UNKNOWN_LAYERS = 250

START_CPU_SECONDS = 5.0
"""Processor time that Keras and Optuna take to load on the machine where the seconds above were measured."""

MAX_SLOWDOWN = 6.0
MAX_EXPORT_FRACTION = 0.6
"""Largest part of the time left at the start of the search that is reserved: the estimate may be far too long."""


MAX_FEATURES_FRACTION = 0.5
"""Largest part of the time left that the features of the first trial may take."""


SHORT_RETRAINING_SECONDS = 1.0
"""A retraining of at most this time, such as that of a linear head, is done whatever time is left."""

MAX_HEAD_FRACTION = 0.6
"""Largest part of the time left that the features of the first linear head may take; fewer images are used then."""


def retraining_seconds(costs: Costs, epochs: tuple[int, int], share: float) -> float:
    """Return the expected duration of a retraining over the epochs of two phases, in seconds.

    `share` is the ratio of the images of its epochs to those of the trial's.
    """
    phases = 2 if epochs[1] else 1
    return MARGIN * (phases * costs.start_seconds + sum(epochs) * costs.epoch_seconds * share)


def retrained_share(train: int, validation: int, folds: int | None = None) -> float:
    """Return the ratio of the images of a retraining to those of a trial; one to validate on counts as a third.

    The folds, if any, are of training and validation images together.
    """
    both = train + validation
    judged = both / folds if folds else validation
    return both / max(1.0, both - judged + judged / 3)


def export_seconds(costs: Costs, test_images: int, slower: float = 1.0, starts: float | None = None) -> float:
    """Return the expected duration of the test and the export of a trial, in seconds.

    Args:
        costs: Costs of the trial.
        test_images: Number of test images.
        slower: Factor by which this machine is slower than that of the constants.
        starts: Longest start of a training in seconds; compiling takes as long as writing. None if unknown.
    """
    layers = UNKNOWN_LAYERS if costs.layers is None else costs.layers
    least = EXPORT_SECONDS + SECONDS_PER_LAYER * layers
    expected = slower * least
    if costs.is_whole and starts is not None:
        expected = max(least, min(expected, EXPORT_SECONDS + STARTS_PER_EXPORT * starts))
    return expected + test_images * costs.image_seconds


def reserve_seconds(left: float, retraining: float, export: float) -> float:
    """Return the time to reserve: for retraining and export if both fit, else for the export alone."""
    return retraining + export if has_time_to_retrain(left, retraining, export) else export


def has_time_to_retrain(left: float, retraining: float, export: float) -> bool:
    """Return True if there is time to retrain; the margin of its expected time is spent by now."""
    return left >= retraining / MARGIN + export


def times_slower(cpu_seconds: float, load: float | None = None, cores: int | None = None) -> float:
    """Return the factor by which this process is slower than on two idle cores of the reference machine, at least 1.

    Args:
        cpu_seconds: Processor time of the start of this process.
        load: Number of runnable processes; None for the machine's average over the last minute.
        cores: Number of processors; None for the machine's.
    """
    if load is None:
        try:
            load = os.getloadavg()[0]
        except OSError:
            load = 0.0
    machine, others = cpu_seconds / START_CPU_SECONDS, load / (cores or os.cpu_count() or 1)
    return min(MAX_SLOWDOWN, max(1.0, machine) * max(1.0, others))


def time_limit_message(timeout: Any, reached: str) -> str:
    """Return the message for a time limit that was reached before a trial completed."""
    limit = "limit" if timeout is None else f"limit of {timeout:g} seconds"
    return f"time {limit} reached {reached}\nhint: run the same command with a longer --timeout; progress is saved"


@dataclass
class TimeBudget:
    """Reserves the part of the time limit that retraining, test and export need, as measured in trials.

    Args:
        stop: Has the time limit; the search ends earlier by the reserved time.
        exports: The best trial is exported after the search.
        slower: Returns the factor by which this machine is slower than that of the constants.
    """

    stop: StopRequest
    exports: bool = True
    slower: Callable[[], float] = lambda: 1.0
    _retraining: float = field(default=math.inf, init=False)
    _export: float = field(default=EXPORT_SECONDS, init=False)
    _starts: list[float] = field(default_factory=list, init=False)
    _has_best: bool = field(default=False, init=False)
    _max_reserve: float = field(default=math.inf, init=False)

    def begin(self) -> None:
        """Begin the search: the reserve is limited, so that even a slow export leaves time for trials."""
        self._max_reserve = MAX_EXPORT_FRACTION * max(0.0, self.stop.seconds_left)

    def trial_runs(self, costs: Costs, judged_images: int, test_images: int) -> None:
        """Reserve time to validate and export the running trial, while no other one is complete."""
        if self.exports and not self._has_best:
            self._export = self._export_seconds(costs, test_images)
            judging = judged_images * costs.image_seconds
            self.stop.reserve_seconds = min(self._export + judging, self._max_reserve)

    def has_time_to_prepare(self, seconds: float, backbone: Costs) -> bool:
        """Return True if the first trial may wait these seconds for the features of a backbone with these costs.

        The time limit ends later ones.
        """
        left = self.stop.seconds_left
        if self._has_best or not self.exports or seconds <= MAX_FEATURES_FRACTION * left:
            return True
        # Without features there must be time to train on images.
        starts = STARTS_OF_A_TRAINING * backbone.start_seconds
        return starts + export_seconds(backbone, 0, self.slower()) > left

    def has_time_for_features(self, seconds: float, backbone: Costs) -> bool:
        """Return True if the first linear head may wait these seconds for its features; the limit ends later ones."""
        return self._has_best or not self.exports or seconds <= MAX_HEAD_FRACTION * self.stop.seconds_left

    def has_time_to_write(self, layers: int) -> bool:
        """Return whether to write a model with this many layers in a second format, even a little past the limit."""
        return self.stop.seconds_left + TOLERANCE_SECONDS >= self.slower() * SECONDS_PER_LAYER * layers

    def trial_ended(self, costs: Costs) -> None:
        """Note the costs of a trial that has ended."""
        self._starts.append(costs.start_seconds)

    def best_is(self, costs: Costs, epochs: tuple[int, int], share: float, test_images: int) -> None:
        """Reserve time to retrain and export the best trial; the arguments are those of the functions above."""
        self._has_best = True
        self._retraining = retraining_seconds(costs, epochs, share)
        self._export = self._export_seconds(costs, test_images)
        # Once time is over, the search gets none of the reserve back.
        if self.exports and not self.stop.out_of_time:
            self.stop.reserve_seconds = reserve_seconds(self.stop.seconds_left, self._retraining, self._export)

    def has_time_to_begin(self) -> bool:
        """Return True if another trial would do more than start."""
        if not self._has_best:
            return self._has_time(FIRST_START_SECONDS)
        return self._has_time(statistics.median(self._starts) if self._starts else 0.0)

    def has_time_to_restart(self, seconds: float) -> bool:
        """Return whether a fresh process that takes this many seconds to start would still evaluate a trial."""
        return self._has_time(2 * seconds)

    def end_search(self) -> bool:
        """Release the reserve for what follows the search; return True if there is time to retrain."""
        self.stop.end_search()
        self.stop.reserve_seconds = self._export
        is_short = self._retraining <= SHORT_RETRAINING_SECONDS
        return is_short or has_time_to_retrain(self.stop.seconds_left, self._retraining, self._export)

    def can_measure_batch(self, batches: int) -> bool:
        """Return True to measure one more batch of a model that was stopped within its first epoch."""
        if self.stop.requested or self._has_best or not self.exports:
            return False
        return batches == 0 or self.stop.seconds_left > self._export

    def _export_seconds(self, costs: Costs, test_images: int) -> float:
        starts = max([costs.start_seconds, *self._starts])
        return min(export_seconds(costs, test_images, self.slower(), starts), self._max_reserve)

    def _has_time(self, starts: float) -> bool:
        left = self.stop.seconds_left
        return math.isinf(left) or left - self.stop.reserve_seconds > starts


def reserve_time_for_best(
    budget: TimeBudget, study: optuna.Study, space: Space, dataset: Dataset, now: Progress
) -> None:
    """Reserve what the retraining, test and export of the best trial need, if its costs are known.

    Only the numbers of the images count.
    """
    if now.best is None or budget.stop.deadline is None:
        return
    costs = costs_of(study, now.best.number)
    if costs is not None:
        share = retrained_share(len(dataset.train), len(dataset.validation), space.folds)
        budget.best_is(costs, now.best.epochs, share, len(dataset.test))
