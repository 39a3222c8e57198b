"""Dividing the time of a command between search, retraining and export."""

import math
from dataclasses import replace

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


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    """A clock at zero."""
    return Clock()


def budget(clock: Clock, limit: float | None, **named) -> TimeBudget:
    """A budget of a command that may take `limit` seconds from now."""
    made = TimeBudget(StopRequest(deadline=None if limit is None else clock() + limit, clock=clock), **named)
    made.begin()
    return made


def test_a_training_is_measured_from_its_first_step_on(clock):
    """Building and compiling are told from the epochs, which a retraining repeats."""
    measured = TrialClock(batch_size=10, images=100, clock=clock)
    assert measured.costs is None
    for clock.now, steps in ((5.0, 1), (6.0, 3), (7.0, 5)):
        measured.step_ended(steps)
    assert measured.costs == Costs(5.0, 5.0, 0.05)
    clock.now = 9.0
    measured.epoch_ended()
    assert measured.costs == Costs(5.0, 4.0, 0.04)


def test_the_last_epoch_counts_when_the_machine_has_become_slower(clock):
    """The median of the epochs is too short where others have begun to use the machine."""
    measured = TrialClock(batch_size=10, images=100, clock=clock)
    measured.step_ended(1)
    for clock.now in (1.0, 2.0, 3.0, 13.0):
        measured.epoch_ended()
    assert measured.costs == Costs(0.0, 10.0, 0.1)


def test_a_training_that_tells_of_no_steps_is_measured_by_its_epochs(clock):
    """A loop of the user's own may call nothing but the end of its epochs."""
    measured = TrialClock(batch_size=10, images=100, clock=clock)
    clock.now = 8.0
    measured.epoch_ended()
    assert measured.costs == Costs(0.0, 8.0, 0.08)


def test_a_retraining_costs_its_epochs_on_more_images_and_a_start_for_each_phase():
    """Fine-tuning compiles a second time."""
    assert retraining_seconds(COSTS, (4, 0), 1.5) == pytest.approx(MARGIN * (2 + 4 * 3 * 1.5))
    assert retraining_seconds(COSTS, (4, 2), 1.5) == pytest.approx(MARGIN * (4 + 6 * 3 * 1.5))


def test_a_retraining_sees_the_images_that_judged_too():
    """Judging an image takes about a third of training on it; over folds every image judges once."""
    assert retrained_share(90, 30) == pytest.approx(1.2)
    assert retrained_share(90, 30, folds=4) == pytest.approx(1.2)


@pytest.mark.slow
@given(st.floats(0, 1e5), st.floats(0, 1e4), st.floats(0, 1e4))
def test_a_retraining_that_time_was_kept_for_is_begun(left, retraining, export):
    """A retraining that does not fit is given up rather than begun."""
    kept = reserve_seconds(left, retraining, export)
    assert kept in (export, retraining + export)
    assert (kept > export) <= has_time_to_retrain(left, retraining, export)
    if has_time_to_retrain(left, retraining, export):
        assert has_time_to_retrain(min(left, kept), retraining, export)


def test_an_export_takes_longer_with_more_layers_more_test_images_and_on_a_slow_machine():
    """Each of them is part of its expected time."""
    base = export_seconds(COSTS, 100)
    assert export_seconds(COSTS, 200) == pytest.approx(base + 1.0)
    assert export_seconds(Costs(2.0, 3.0, 0.01, 120), 100) > base
    assert export_seconds(Costs(2.0, 3.0, 0.01, None), 100) > base
    assert export_seconds(COSTS, 0, slower=3.0) == pytest.approx(3 * export_seconds(COSTS, 0))


def test_what_compiling_took_says_how_slow_the_machine_is_now():
    """It is measured in this very run; where only a head was trained it says nothing of the network."""
    idle = export_seconds(COSTS, 0)
    assert export_seconds(COSTS, 0, slower=6.0, starts=0.1) == idle
    assert idle < export_seconds(COSTS, 0, slower=6.0, starts=4.0) < export_seconds(COSTS, 0, slower=6.0)
    head = replace(COSTS, is_whole=False)
    assert export_seconds(head, 0, slower=6.0, starts=0.1) == export_seconds(head, 0, slower=6.0)


@pytest.mark.parametrize(
    ("cpu_seconds", "load", "expected"), [(0.0, 0.0, 1.0), (10.0, 0.0, 2.0), (1.0, 6.0, 3.0), (50.0, 50.0, 6.0)]
)
def test_a_machine_is_slow_by_its_processor_and_by_its_load(cpu_seconds, load, expected):
    """Never faster than the machine of the constants, and never endlessly slower."""
    assert times_slower(cpu_seconds, load, cores=2) == expected


def test_the_search_ends_so_early_that_the_best_can_be_retrained_and_exported(clock):
    """The time limit is that of the whole command."""
    made = budget(clock, 100.0)
    made.best_is(COSTS, (4, 0), 1.0, test_images=10)
    needed = retraining_seconds(COSTS, (4, 0), 1.0) + export_seconds(COSTS, 10)
    clock.now = 100.0 - needed - 0.1
    assert not made.stop.out_of_time
    clock.now = 100.0 - needed + 0.1
    assert made.stop.out_of_time
    assert made.end_search()
    assert not made.stop.out_of_time


def test_a_retraining_that_does_not_fit_leaves_its_time_to_the_search(clock):
    """Then only the export is kept, and the trial's own weights are exported."""
    made = budget(clock, 100.0)
    clock.now = 70.0
    made.best_is(COSTS, (40, 0), 1.0, test_images=10)
    clock.now = 90.0
    assert not made.stop.out_of_time
    clock.now = 100.0 - export_seconds(COSTS, 10) + 0.1
    assert made.stop.out_of_time
    assert not made.end_search()


def test_what_was_kept_is_not_given_back_to_the_search(clock):
    """The trial that is ended for the retraining's sake changes nothing in it."""
    made = budget(clock, 100.0)
    made.best_is(COSTS, (4, 0), 1.0, test_images=10)
    clock.now = 100.0 - made.stop.reserve_seconds + 3.0
    assert made.stop.out_of_time
    made.best_is(COSTS, (4, 0), 1.0, test_images=10)
    assert made.stop.out_of_time
    assert made.end_search()


def test_a_first_trial_is_cut_short_in_time_to_judge_and_export_it(clock):
    """The step that is running says how long an image takes."""
    made = budget(clock, 50.0)
    made.trial_runs(COSTS, judged_images=100, test_images=200)
    assert made.stop.reserve_seconds == pytest.approx(export_seconds(COSTS, 200) + 1.0)


def test_an_export_that_seems_endless_leaves_time_to_train(clock):
    """A machine under load may be told to be far too slow; without a step there is nothing to export."""
    made = budget(clock, 10.0, slower=lambda: 50.0)
    made.trial_runs(COSTS, judged_images=100, test_images=200)
    assert made.stop.reserve_seconds == pytest.approx(10.0 * MAX_EXPORT_FRACTION)


def test_no_trial_begins_that_would_only_start(clock):
    """With no result yet it is worth trying with less."""
    made = budget(clock, 20.0)
    made.trial_ended(COSTS)
    clock.now = 18.1
    assert made.has_time_to_begin()
    clock.now = 19.0
    assert not made.has_time_to_begin()
    made.best_is(COSTS, (1, 0), 1.0, test_images=0)
    assert not made.has_time_to_begin()


def test_the_first_trial_waits_for_features_unless_it_can_train_on_images(clock):
    """Where neither fits, computing them goes on: they are kept for the next run."""
    made = budget(clock, 100.0)
    quick, slow = Costs(1.0, 0.0, 0.1, 20, is_whole=False), Costs(40.0, 0.0, 0.1, 20, is_whole=False)
    assert made.has_time_to_prepare(49.0, quick)
    assert not made.has_time_to_prepare(51.0, quick)
    assert made.has_time_to_prepare(51.0, slow)
    made.best_is(COSTS, (1, 0), 1.0, test_images=0)
    assert made.has_time_to_prepare(51.0, quick)


def test_a_large_model_is_not_written_a_second_time_when_time_is_over(clock):
    """A few seconds more than the limit are fine."""
    made = budget(clock, 10.0)
    assert made.has_time_to_write(100)
    clock.now = 10.0
    assert made.has_time_to_write(20)
    assert not made.has_time_to_write(100)


def test_without_a_limit_everything_has_time(clock):
    """Nothing is kept from the search, and the best is always retrained."""
    made = budget(clock, None)
    made.best_is(COSTS, (1000, 0), 1.0, test_images=10**6)
    clock.now = 1e9
    assert made.has_time_to_begin()
    assert made.has_time_to_restart(1e9)
    assert made.has_time_to_write(10**6)
    assert not made.stop.out_of_time
    assert math.isinf(made.stop.seconds_left)
    assert made.end_search()


def test_without_an_export_nothing_is_kept(clock):
    """The search may use all of the time."""
    made = budget(clock, 30.0, exports=False)
    made.trial_runs(COSTS, judged_images=100, test_images=200)
    made.best_is(COSTS, (4, 0), 1.0, test_images=10)
    assert made.stop.reserve_seconds == 0.0
    assert not made.can_measure_batch(0)


def test_an_unfinished_model_is_judged_by_one_batch_at_least(clock):
    """More are judged as long as the export has its time; none after Ctrl-C."""
    made = budget(clock, 30.0)
    made.trial_runs(COSTS, judged_images=100, test_images=0)
    clock.now = 29.0
    assert made.can_measure_batch(0)
    assert not made.can_measure_batch(1)
    made.stop.request(StopReason.SIGINT)
    assert not made.can_measure_batch(0)


def test_used_up_devices_end_the_search_alone():
    """What follows the search has its time; a limit on devices is no limit on the command."""
    stop = StopRequest()
    stop.is_used_up = True
    assert stop.out_of_time
    stop.end_search()
    assert not stop()
