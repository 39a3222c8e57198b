"""What a space or a study may name is what the code behind it knows, no more and no less."""

from dataclasses import fields

import pytest

from spaces.errors import SpaceError
from spaces.training import Augment
from studies import settings
from studies.models.augmentation import augmentation_layers
from studies.trials.pruners import PRUNERS, make_pruner
from studies.trials.samplers import SAMPLERS, make_sampler


def test_a_study_takes_the_samplers_and_pruners_that_can_be_made():
    """A name that is only in one of the two places would fail in the first trial, or never be usable."""
    assert set(SAMPLERS) == set(settings.SAMPLERS)
    assert set(PRUNERS) == set(settings.PRUNERS)


@pytest.mark.parametrize("make", [lambda: make_sampler("tpee", 0), lambda: make_pruner("tpee", 9)])
def test_an_unknown_name_is_an_error(make):
    """It never stands for another one."""
    with pytest.raises(SpaceError, match=r"must be one of .*, got 'tpee'"):
        make()


def test_every_field_of_augment_makes_a_layer():
    """A field without a layer would change nothing, and nobody would notice."""
    names = [field.name for field in fields(Augment) if field.name != "cached_views"]
    layers = augmentation_layers(Augment(**{name: "both" if name == "flip" else 0.1 for name in names}), seed=0)
    assert {layer.name for layer in layers} == {f"augment_{name}" for name in names}
    assert len({layer.seed for layer in layers}) == len(layers)
