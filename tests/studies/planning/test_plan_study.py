"""One plan for each study, which hides no change of the declared space."""

from dataclasses import replace
from pathlib import Path

import pytest

from spaces import CNN, Choice, ImageFolder, Linear, Pretrained, Space
from spaces.heads import LINEAR_DEFAULTS
from spaces.loading import LoadedSpace
from studies import Study
from studies.events import RunListener
from studies.planning import plan_study as module
from studies.planning.photos import Plan
from studies.planning.plan_study import plan_study
from studies.study_folder import StudyRef

OPEN = Space(data=ImageFolder("photos"))
PLANNED = replace(
    OPEN,
    data=ImageFolder("photos", image_size=Choice(160, 224)),
    backbone=Pretrained("MobileNetV2", head=Linear()),
    **{**LINEAR_DEFAULTS, "folds": 5},
)
NEW = replace(OPEN, backbone=Pretrained("MobileNet", head=Linear()), **LINEAR_DEFAULTS)


@pytest.fixture
def planned(monkeypatch):
    """Return a function that plans an open space for a study with a stored space and sampler, or with none."""
    monkeypatch.setattr(module, "plan_photos", lambda space, folder: Plan(NEW))

    def plan(space, stored=None, sampler="stepwise"):
        monkeypatch.setattr(module, "stored_space", lambda ref: stored)
        ref = StudyRef("photos", "sqlite:///x", Path())
        declared = LoadedSpace("photos", space, None, Path())
        found, settings = plan_study(declared, Study(sampler=sampler), ref, RunListener())
        return found.space, settings.sampler

    return plan


def test_new_study_gets_a_plan_of_its_images(planned):
    """Nothing is stored yet."""
    assert planned(OPEN) == (NEW, "stepwise")


@pytest.mark.parametrize("change", [{"metric": "val_f1"}, {"balance": "class_weights"}, {"from_logits": True}])
def test_stored_plan_is_followed_and_changes_stay_visible(planned, change):
    """The network, the size and the folds are those of the plan; every other field is the declared one."""
    assert planned(replace(OPEN, **change), (PLANNED, "stepwise")) == (replace(PLANNED, **change), "stepwise")


def test_change_of_the_images_stays_visible(planned):
    """Other folders and splits are those that the user declares now."""
    other = replace(OPEN, data=ImageFolder("others", validation=0.3))
    space, _ = planned(other, (PLANNED, "stepwise"))
    assert space.data == ImageFolder("others", validation=0.3, image_size=Choice(160, 224))


def test_study_of_another_space_is_no_plan(planned):
    """The space is planned again, so that the change of the network is reported."""
    assert planned(OPEN, (replace(OPEN, backbone=CNN(filters=8)), "tpe")) == (NEW, "stepwise")


@pytest.mark.parametrize(("typed", "expected"), [("stepwise", "tpe"), ("random", "random")])
def test_sampler_is_that_of_the_study_unless_typed(planned, typed, expected):
    """Networks that are trained from scratch are searched by `tpe`."""
    assert planned(OPEN, (OPEN, "tpe"), typed)[1] == expected
