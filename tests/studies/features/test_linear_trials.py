"""Trials with a `Linear` head under a time limit."""

import pytest

from studies.data.dataset import stratified_part
from studies.features.eligibility import FEATURES
from studies.features.inputs import FeatureInputs
from studies.stop_request import StopRequest
from studies.training.options import TrainingOptions
from studies.trials import linear_trial
from studies.trials.linear_trial import train_linear_trial
from studies.trials.run_time_budget import TimeBudget
from tests.studies.features.test_linear_heads import recipe
from tests.studies.features.tiny_backbone import dataset
from tests.support.fakes import run_context


class Budget(TimeBudget):
    """Has time for the features of some images."""

    images = 0

    def has_time_for_features(self, seconds, backbone):
        return seconds <= self.images * backbone.image_seconds


@pytest.mark.slow
@pytest.mark.parametrize(("images", "used"), [(0, 26), (90, 90)])
def test_head_is_solved_on_as_many_images_as_there_is_time_for(images, used, folder, cache, monkeypatch, caplog):
    """The trial has a value under any limit, and says so; another training costs the missing features as well."""
    monkeypatch.setattr(linear_trial, "MIN_IMAGES", 24)
    budget, context = Budget(StopRequest()), run_context(features=FeatureInputs(folder, cache=cache), folder=folder)
    budget.images = images
    reported = []
    made = recipe(10.0, folds=2)
    result, costs = train_linear_trial(
        made, dataset(), context, budget, TrainingOptions(0), lambda fold, mean: reported.append(mean)
    )
    assert result.best_value == reported[-1] > 0.5
    assert (f"the head is solved on {used}" in caplog.text) == (used < 90)
    assert costs.start_seconds >= (90 - used) * costs.image_seconds
    assert context.features.for_trial(made, dataset()).trained_on == FEATURES


def test_part_of_the_images_has_every_class_and_every_split():
    """A part keeps the proportions of the classes."""
    part = stratified_part(dataset(), 30)
    assert (len(part.train), len(part.validation)) == (24, 8)
    assert part.train.counts(part.classes) == {"dark": 12, "bright": 12}
    assert part.test is not None
    assert (part.train.images[:] == dataset().train.images[:24]).all()


def test_part_keeps_enough_of_each_class_for_the_folds():
    """A small class is not cut below the number of folds."""
    part = stratified_part(dataset(), 20, least=9)
    assert set(part.train.counts(part.classes).values()) == {9}
    assert set(part.validation.counts(part.classes).values()) == {9}
