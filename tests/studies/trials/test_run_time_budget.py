"""Dividing the time of a command between search, retraining and export."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.outcome import Costs
from studies.stop_request import StopReason, StopRequest
from studies.trials.run_time_budget import (
    MARGIN,
    MAX_EXPORT_FRACTION,
    TimeBudget,
    export_seconds,
    has_time_to_retrain,
    reserve_seconds,
    retrained_share,
    retraining_seconds,
    times_slower,
)
from studies.trials.trial_meter import TrialClock

COSTS = Costs(start_seconds=2.0, epoch_seconds=3.0, image_seconds=0.01, layers=20)


@pytest.fixture
def time():
    """Return a clock that is set by hand."""
    return SimpleNamespace(now=0.0)


@pytest.fixture
def budget(time):
    """Return a function that makes the budget of a command that may take `limit` seconds."""

    def make(limit, best_epochs=None, **named):
        made = TimeBudget(StopRequest(deadline=limit, clock=lambda: time.now), **named)
        made.begin()
        if best_epochs is not None:
            made.best_is(COSTS, (best_epochs, 0), 1.0, test_images=10)
        return made

    return make


@pytest.mark.parametrize(
    ("steps", "epochs", "expected"),
    [
        ([(5.0, 1), (6.0, 3), (7.0, 5)], [], Costs(5.0, 5.0, 0.05)),
        ([(5.0, 1), (6.0, 3), (7.0, 5)], [9.0], Costs(5.0, 4.0, 0.04)),
        ([(0.0, 1)], [1.0, 2.0, 3.0, 13.0], Costs(0.0, 10.0, 0.1)),
        ([], [8.0], Costs(0.0, 8.0, 0.08)),
        ([], [], None),
    ],
    ids=["steps", "epoch", "slower machine", "no steps", "nothing"],
)
def test_training_is_measured_by_its_steps_and_epochs(time, steps, epochs, expected):
    """The start ends with the first step; an epoch costs the median or the last one, if the machine became slower."""
    measured = TrialClock(batch_size=10, images=100, clock=lambda: time.now)
    for time.now, number in steps:
        measured.step_ended(number)
    for time.now in epochs:
        measured.epoch_ended()
    assert measured.costs == expected


@pytest.mark.parametrize(("epochs", "expected"), [((4, 0), 2 + 4 * 3 * 1.5), ((4, 2), 4 + 6 * 3 * 1.5)])
def test_retraining_costs_its_epochs_and_a_start_of_each_phase(epochs, expected):
    """Fine-tuning compiles a second time; the epochs cost more by the ratio of images."""
    assert retraining_seconds(COSTS, epochs, 1.5) == pytest.approx(MARGIN * expected)


@pytest.mark.parametrize("folds", [None, 4])
def test_retraining_trains_on_the_validation_images_too(folds):
    """Validating on an image takes about a third of training on it; over folds every image validates once."""
    assert retrained_share(90, 30, folds=folds) == pytest.approx(1.2)


@pytest.mark.slow
@given(st.floats(0, 1e5), st.floats(0, 1e4), st.floats(0, 1e4))
def test_reserved_time_is_enough_to_retrain(left, retraining, export):
    """Time is reserved for a retraining exactly if it fits."""
    reserved = reserve_seconds(left, retraining, export)
    assert reserved in (export, retraining + export)
    assert (reserved > export) <= has_time_to_retrain(left, retraining, export)
    if has_time_to_retrain(left, retraining, export):
        assert has_time_to_retrain(min(left, reserved), retraining, export)


def test_export_time_grows_with_layers_test_images_and_slowness():
    """Each is part of the expected time; the number of layers may be unknown."""
    base = export_seconds(COSTS, 100)
    assert export_seconds(COSTS, 200) == pytest.approx(base + 1.0)
    assert all(export_seconds(replace(COSTS, layers=layers), 100) > base for layers in (120, None))
    assert export_seconds(COSTS, 0, slower=3.0) == pytest.approx(3 * export_seconds(COSTS, 0))


def test_measured_start_corrects_the_slowness():
    """Compiling was measured in this run; where only a head was trained it says nothing of the network."""
    idle = export_seconds(COSTS, 0)
    assert export_seconds(COSTS, 0, slower=6.0, starts=0.1) == idle
    assert idle < export_seconds(COSTS, 0, slower=6.0, starts=4.0) < export_seconds(COSTS, 0, slower=6.0)
    head = replace(COSTS, is_whole=False)
    assert export_seconds(head, 0, slower=6.0, starts=0.1) == export_seconds(head, 0, slower=6.0)


@pytest.mark.parametrize(
    ("cpu_seconds", "load", "expected"), [(0.0, 0.0, 1.0), (10.0, 0.0, 2.0), (1.0, 6.0, 3.0), (50.0, 50.0, 6.0)]
)
def test_slowness_follows_from_processor_and_load(cpu_seconds, load, expected):
    """The factor is at least 1 and limited."""
    assert times_slower(cpu_seconds, load, cores=2) == expected


def test_search_ends_in_time_for_retraining_and_export(time, budget):
    """The time limit includes both; the trial that ends with the search does not change the reserve."""
    made = budget(100.0, best_epochs=4)
    needed = retraining_seconds(COSTS, (4, 0), 1.0) + export_seconds(COSTS, 10)
    time.now = 100.0 - needed - 0.1
    assert not made.stop.out_of_time
    time.now = 100.0 - needed + 3.0
    assert made.stop.out_of_time
    made.best_is(COSTS, (4, 0), 1.0, test_images=10)
    assert made.stop.out_of_time
    assert made.end_search()
    assert not made.stop.out_of_time


def test_search_gets_the_time_of_a_retraining_that_does_not_fit(time, budget):
    """Then time is reserved for the export alone, of the trial's own weights."""
    made = budget(100.0)
    time.now = 70.0
    made.best_is(COSTS, (40, 0), 1.0, test_images=10)
    time.now = 90.0
    assert not made.stop.out_of_time
    time.now = 100.0 - export_seconds(COSTS, 10) + 0.1
    assert made.stop.out_of_time
    assert not made.end_search()


@pytest.mark.parametrize(
    ("limit", "slower", "expected"),
    [(50.0, 1.0, export_seconds(COSTS, 200) + 1.0), (10.0, 50.0, 10.0 * MAX_EXPORT_FRACTION)],
    ids=["idle machine", "loaded machine"],
)
def test_first_trial_reserves_time_to_validate_and_export_it(budget, limit, slower, expected):
    """A loaded machine may look too slow, but time to train remains: without a step there is nothing to export."""
    made = budget(limit, slower=lambda: slower)
    made.trial_runs(COSTS, judged_images=100, test_images=200)
    assert made.stop.reserve_seconds == pytest.approx(expected)


def test_trial_begins_only_with_time_for_more_than_its_start(time, budget):
    """While there is no result, less time is enough."""
    made = budget(20.0)
    made.trial_ended(COSTS)
    time.now = 18.1
    assert made.has_time_to_begin()
    time.now = 19.0
    assert not made.has_time_to_begin()
    made.best_is(COSTS, (1, 0), 1.0, test_images=0)
    assert not made.has_time_to_begin()


@pytest.mark.parametrize(("seconds", "expected"), [(0.2, True), (5.0, False)])
def test_retraining_of_a_head_needs_no_time_left(time, budget, seconds, expected):
    """One that takes less than a second is done even at the limit."""
    made = budget(100.0)
    time.now = 99.0
    made.best_is(Costs(seconds, 0.0, 0.01, 20, is_whole=False), (1, 0), 1.0, test_images=10)
    assert made.end_search() == expected


def test_first_head_waits_for_features_for_a_part_of_the_time(budget):
    """It is solved on fewer images otherwise; once a trial is complete, the limit ends the computation."""
    made = budget(100.0)
    assert made.has_time_for_features(59.0, COSTS)
    assert not made.has_time_for_features(61.0, COSTS)
    made.best_is(COSTS, (1, 0), 1.0, test_images=0)
    assert made.has_time_for_features(61.0, COSTS)


def test_first_trial_waits_for_features_if_it_cannot_train_on_images(budget):
    """Where neither fits, they are computed for the next run."""
    made = budget(100.0)
    quick, slow = Costs(1.0, 0.0, 0.1, 20, is_whole=False), Costs(40.0, 0.0, 0.1, 20, is_whole=False)
    assert made.has_time_to_prepare(49.0, quick)
    assert not made.has_time_to_prepare(51.0, quick)
    assert made.has_time_to_prepare(51.0, slow)
    made.best_is(COSTS, (1, 0), 1.0, test_images=0)
    assert made.has_time_to_prepare(51.0, quick)


def test_large_model_is_not_written_again_after_the_limit(time, budget):
    """A few seconds beyond the limit are tolerated."""
    made = budget(10.0)
    assert made.has_time_to_write(100)
    time.now = 10.0
    assert made.has_time_to_write(20)
    assert not made.has_time_to_write(100)


def test_everything_has_time_without_a_limit(time, budget):
    """Nothing is reserved, and the best trial is always retrained."""
    made = budget(None, best_epochs=1000)
    time.now = 1e9
    assert all((made.has_time_to_begin(), made.has_time_to_restart(1e9), made.has_time_to_write(10**6)))
    assert (made.stop.out_of_time, made.stop.seconds_left, made.end_search()) == (False, math.inf, True)


def test_nothing_is_reserved_without_an_export(budget):
    """The search may use all the time."""
    made = budget(30.0, best_epochs=4, exports=False)
    made.trial_runs(COSTS, judged_images=100, test_images=200)
    assert made.stop.reserve_seconds == 0.0
    assert not made.can_measure_batch(0)


def test_unfinished_model_is_validated_on_at_least_one_batch(time, budget):
    """More batches follow while the export has time; none after Ctrl-C."""
    made = budget(30.0)
    made.trial_runs(COSTS, judged_images=100, test_images=0)
    time.now = 29.0
    assert made.can_measure_batch(0)
    assert not made.can_measure_batch(1)
    made.stop.request(StopReason.SIGINT)
    assert not made.can_measure_batch(0)
