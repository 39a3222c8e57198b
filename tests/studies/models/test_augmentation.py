import keras
import numpy as np
import pytest

from spaces import Augment
from studies.models.augmentation import augmentation_layers

ALL = Augment(flip="horizontal", rotation=0.1, zoom=0.2, translation=0.1, contrast=0.5, brightness=0.3)
IMAGES = np.random.default_rng(1).integers(0, 256, (4, 12, 12, 3)).astype(np.float32)


def changed(augment, seed=0, training=True, images=IMAGES):
    for layer in augmentation_layers(augment, seed):
        images = layer(images, training=training)
    return keras.ops.convert_to_numpy(images)


AMOUNTS = [Augment(**{name: 0.2}) for name in ("rotation", "zoom", "translation", "contrast", "brightness")]


@pytest.mark.parametrize("augment", [*(Augment(flip=flip) for flip in ("horizontal", "vertical", "both")), *AMOUNTS])
def test_each_change_acts_in_training_only(augment):
    """Every field changes training images, keeps them from 0 to 255, and leaves others alone."""
    images = changed(augment)
    assert np.abs(images - IMAGES).max() > 1
    assert images.min() >= 0
    assert images.max() <= 255
    np.testing.assert_array_equal(changed(augment, training=False), IMAGES)
    assert augmentation_layers(None) == augmentation_layers(Augment()) == []


@pytest.mark.parametrize("augment", AMOUNTS)
def test_amount_is_the_largest_change(augment):
    """A field's amount is the bound of its layer, in either direction."""
    (layer,) = augmentation_layers(augment)
    bounds = [value for key, value in layer.get_config().items() if key.endswith("factor") and value is not None]
    assert bounds
    assert all(np.abs(bound).max() == pytest.approx(0.2) for bound in bounds)


def test_seed_decides_all_changes():
    """The same seed gives the same changes; without one, augmentation follows Keras' global seed."""
    for seed in (3, None):
        keras.utils.set_random_seed(5)
        first = changed(ALL, seed)
        keras.utils.set_random_seed(5)
        np.testing.assert_array_equal(changed(ALL, seed), first)
        keras.utils.set_random_seed(6)
        assert np.array_equal(changed(ALL, seed), first) == (seed is not None)
    assert np.abs(changed(ALL, 3) - changed(ALL, 4)).max() > 1


def test_horizontal_flip_mirrors_left_and_right():
    """A horizontal flip mirrors left and right and nothing else."""
    for image, original in zip(changed(Augment(flip="horizontal")), IMAGES, strict=True):
        assert np.array_equal(image, original) or np.array_equal(image, original[:, ::-1])


def test_moved_images_have_no_black_corners():
    """A uniform image stays uniform when it is moved."""
    images = np.full((2, 12, 12, 1), 200, np.float32)
    moved = changed(Augment(rotation=0.1, zoom=0.2, translation=0.2), images=images)
    np.testing.assert_allclose(moved, images, atol=1e-3)
