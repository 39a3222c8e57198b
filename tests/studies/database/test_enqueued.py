"""Enqueued trials with values outside the space fail with a reason."""

import dataclasses
import math
import re

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from spaces import CNN, Choice, Float, Int, Pretrained
from studies import Study
from studies.database.stored_trials import outcome_of
from tests.support.fakes import TINY, load_plainly, run_tiny

SPACE = dataclasses.replace(
    TINY,
    backbone=Choice(
        CNN(filters=Int(2, 8, step=2), blocks=1, batch_norm=False), Pretrained("MobileNetV2", weights=None)
    ),
    dropout=Float(0.0, 0.5, step=0.1, default=0.1),
)
REFUSED = {
    "out of range": ({"dropout": 0.9}, "dropout: enqueued with 0.9, which is not one of its values"),
    "off its step": ({"dropout": 0.15}, "dropout: enqueued with 0.15, which is not one of its values"),
    "off the step of an Int": ({"backbone": "cnn", "backbone.cnn.filters": 3}, "backbone.cnn.filters: enqueued with 3"),
    "text for a number": ({"learning_rate": "0.01"}, "learning_rate: enqueued with '0.01'"),
    "fraction for an Int": ({"backbone": "cnn", "backbone.cnn.filters": 2.5}, "enqueued with 2.5"),
    "True for a number": ({"backbone": "cnn", "backbone.cnn.filters": True}, "enqueued with True"),
    "NaN": ({"learning_rate": math.nan}, "learning_rate: enqueued with nan"),
    "None": ({"learning_rate": None}, "learning_rate: enqueued with None"),
    "list": ({"batch_size": [64]}, "batch_size: enqueued with \\[64\\]"),
    "no option": ({"batch_size": 96}, "batch_size: enqueued with 96, which is not one of its values: Choice\\(64, 128"),
    "unknown": ({"dropuot": 0.1}, "the space has no such parameter: did you mean dropout"),
    "fixed": ({"epochs": 3}, "epochs: enqueued with 3, but the space fixes it to 9"),
    "option not taken": ({"backbone": "mobilenetv2", "backbone.cnn.filters": 4}, "exists only with backbone='cnn'"),
}
ACCEPTED = {
    "whole number as a fraction": ({"backbone": "cnn", "backbone.cnn.filters": 4.0}, {"backbone.cnn.filters": 4}),
    "noise of binary fractions": ({"dropout": 0.1 + 0.2}, {"dropout": 0.3}),
    "option as a fraction": ({"batch_size": 128.0}, {"batch_size": 128}),
    "whole number for a Float": ({"dropout": 0}, {"dropout": 0.0}),
    "fixed to the same value": ({"epochs": 9, "dropout": 0.4}, {"dropout": 0.4}),
    "some parameters": ({"dropout": 0.5}, {"dropout": 0.5}),
}


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Run a study with a baseline, one enqueued trial for each case, and a further trial."""
    folder = tmp_path_factory.mktemp("enqueued")
    run_tiny(folder, Study(trials=1, sampler="random"), space=SPACE)
    study = load_plainly(folder)
    for values, _ in (*REFUSED.values(), *ACCEPTED.values()):
        study.enqueue_trial(values)
    run_tiny(folder, Study(trials=2 + len(REFUSED) + len(ACCEPTED), sampler="random"), space=SPACE)
    trials = load_plainly(folder).trials
    last = trials[-1]
    assert (last.number, last.state.is_finished()) == (1 + len(REFUSED) + len(ACCEPTED), True)
    assert not outcome_of(last).refused
    return trials


@pytest.mark.parametrize("case", REFUSED)
def test_value_outside_space_fails_trial(started, case):
    """The reason names the parameter, the value and the possible values."""
    trial = started[1 + list(REFUSED).index(case)]
    assert trial.state == TrialState.FAIL
    assert re.search(REFUSED[case][1], outcome_of(trial).reason), outcome_of(trial).reason


@pytest.mark.parametrize("case", ACCEPTED)
def test_equal_value_is_used(started, case):
    """A value that equals one of the space is used; the sampler chooses the others."""
    trial = started[1 + len(REFUSED) + list(ACCEPTED).index(case)]
    assert trial.state in (TrialState.COMPLETE, TrialState.PRUNED), outcome_of(trial)
    wanted = ACCEPTED[case][1]
    assert repr({name: trial.params[name] for name in wanted}) == repr(wanted)
    assert {"backbone", "dropout", "learning_rate", "batch_size"} <= trial.params.keys()


@pytest.mark.slow
def test_created_trial_is_checked_like_enqueued_trial(tmp_path):
    """Its distributions may differ: equal values are used, others fail the trial."""
    run_tiny(tmp_path, Study(trials=1, sampler="random"), space=SPACE)
    study = load_plainly(tmp_path)
    wide, other = FloatDistribution(0, 1), CategoricalDistribution((64, 128))
    for state in (TrialState.WAITING, TrialState.RUNNING):
        for params in ({"dropout": 0.4, "batch_size": 64}, {"dropout": 0.9, "batch_size": 64}):
            trial = create_trial(state=state, params=params, distributions={"dropout": wide, "batch_size": other})
            study.add_trial(trial)
    run_tiny(tmp_path, Study(trials=6, sampler="random"), space=SPACE)
    trials = load_plainly(tmp_path).trials
    assert [trial.state == TrialState.FAIL for trial in trials] == [False, False, True, False, True, False]
    used = trials[1]
    assert (used.params["dropout"], used.distributions["dropout"]) == (0.4, trials[0].distributions["dropout"])
