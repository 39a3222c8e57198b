"""Which recipes are trained on features."""

from dataclasses import replace

import pytest

from spaces import CNN, Augment
from spaces.training import FineTune
from studies.features.eligibility import CACHED_VIEWS, FEATURES, FEATURES_ENV, IMAGES, training_input
from tests.studies.features.tiny_backbone import BACKBONE, RECIPE, VIEWS


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, FEATURES),
        ({"augment": Augment()}, FEATURES),
        ({"augment": Augment(cached_views=4)}, FEATURES),
        ({"augment": VIEWS}, CACHED_VIEWS),
        ({"augment": Augment(zoom=0.1)}, IMAGES),
        ({"backbone": replace(BACKBONE, trainable_layers=1)}, IMAGES),
        ({"backbone": replace(BACKBONE, weights=None)}, IMAGES),
        ({"backbone": replace(BACKBONE, weights="imagenet")}, FEATURES),
        ({"backbone": CNN()}, IMAGES),
        ({"fine_tune": FineTune()}, IMAGES),
        ({"precision": "mixed_bfloat16"}, FEATURES),
    ],
)
def test_features_replace_images_only_if_they_never_change(changes, path):
    """The backbone must be frozen, with known weights and no random augmentation before it."""
    assert training_input(replace(RECIPE, **changes)) == path


@pytest.mark.parametrize("name", FEATURES_ENV)
def test_feature_cache_can_be_turned_off(monkeypatch, name):
    """SEARCH_FEATURE_CACHE=off trains every trial on images, and so does the variable's old name."""
    monkeypatch.setenv(name, "off")
    assert training_input(RECIPE) == training_input(replace(RECIPE, augment=VIEWS)) == IMAGES
