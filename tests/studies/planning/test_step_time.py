"""How long the next step of a plan takes, and whether there is time for it."""

import math
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState, create_trial

from spaces import Choice, ImageFolder, Linear, Pretrained, Space
from spaces.space import flatten
from studies import Study
from studies.database.imported import distribution_of
from studies.database.stored_trials import OUTCOME
from studies.planning.step_time import StepTime, expected_seconds
from studies.stop_request import StopRequest

HEAD = Linear(strength=30.0, views=Choice(None, "mirror"))
SPACE = Space(
    data=ImageFolder("photos", image_size=Choice(100, 200)), backbone=Pretrained("MobileNetV2", alpha=0.35, head=HEAD)
)


def study(*rows):
    """A study with trials of some sizes, views and seconds."""
    trials = []
    for number, (size, views, seconds) in enumerate(rows):
        params = {"data.image_size": size, "backbone.head.views": views}
        distributions = {each.name: distribution_of(each.parameter) for each in flatten(SPACE)}
        outcome = {"state": "complete", "value": 0.5, "epoch": 1, "epochs": 1, "seconds": seconds}
        trial = create_trial(
            state=TrialState.COMPLETE,
            value=0.5 + number / 10,
            params=params,
            distributions=distributions,
            user_attrs={OUTCOME: outcome},
        )
        trial.number = number
        trials.append(trial)
    return SimpleNamespace(get_trials=lambda deepcopy: trials, direction=2)


def steps(made, left=math.inf, sampler="stepwise"):
    deadline = None if math.isinf(left) else left
    return StepTime(made, SPACE, Study(sampler=sampler), StopRequest(deadline=deadline, clock=lambda: 0.0))


def test_next_step_is_extrapolated_from_pixels_and_passes():
    """Four times the pixels take four times as long; mirrored images are one more pass, the others are there."""
    assert steps(study((100, None, 5.0))).next_seconds() == pytest.approx(20.0)
    assert steps(study((100, None, 5.0), (200, None, 24.0))).next_seconds() == pytest.approx(24.0)


@pytest.mark.parametrize(("left", "first", "later"), [(math.inf, True, True), (100.0, True, True), (40.0, True, False)])
def test_step_starts_if_it_fits_the_time_left(left, first, later):
    """It may take a quarter of it, and more at the start of a run; other samplers have no steps."""
    made = steps(study((100, None, 5.0)), left)
    assert (made.fits(), made.fits()) == (first, later)
    assert steps(study((100, None, 5.0)), 1.0, "tpe").fits()


def test_expected_time_grows_with_images_and_shrinks_with_cores():
    """It covers every step, and the start and the export, which do not depend on the images."""
    one, two, four = (
        expected_seconds(SPACE, 1000, 2),
        expected_seconds(SPACE, 2000, 2),
        expected_seconds(SPACE, 2000, 4),
    )
    assert two - one == pytest.approx(one - expected_seconds(SPACE, 0, 2))
    assert four == pytest.approx(one)
