"""Classes of unequal size: weights and sampling, on every feed."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from studies.data.dataset import Split
from studies.training.balance import class_weights, epoch_order
from studies.training.feed import ShuffledBatches, training_feed

LABELS = np.repeat([0, 1, 3], [70, 25, 8])
SPLIT = Split(np.arange(len(LABELS), dtype=np.uint8).reshape(-1, 1, 1, 1), LABELS)


def batches(feed, balance):
    """Return all batches of the second epoch as arrays, from `tf.data` or from arrays."""
    if feed == "arrays":
        found = ShuffledBatches(SPLIT, 16, seed=3, balance=balance)
        found.begin_epoch(1)
        return [found[index] for index in range(len(found))]
    made = training_feed(SPLIT, 16, 3, balance)
    made.begin_epoch(1)
    return [tuple(np.asarray(part) for part in batch) for batch in made.inputs["x"]]


def test_class_weights_are_inverse_frequencies():
    """The weights are those of scikit-learn's `balanced`: equal sums for all classes, 1 on average."""
    np.testing.assert_allclose(class_weights(LABELS), compute_sample_weight("balanced", LABELS), rtol=1e-6)


@pytest.mark.parametrize("epoch", range(4))
def test_sampling_draws_every_class_equally_often(epoch):
    """An epoch has as many images as the split; images of a class are drawn equally often, give or take one."""
    order = epoch_order(LABELS, 5, epoch, balanced=True)
    assert len(order) == len(LABELS)
    counts = np.bincount(LABELS[order])[[0, 1, 3]]
    assert counts.max() - counts.min() <= 1
    for each in (0, 1, 3):
        times = np.bincount(order, minlength=len(LABELS))[each == LABELS]
        assert times.max() - times.min() <= 1


@pytest.mark.parametrize("balanced", [False, True])
def test_order_depends_on_seed_and_epoch_alone(balanced):
    """The same seed and epoch give the same images, others give others."""
    first = epoch_order(LABELS, 5, 1, balanced=balanced)
    np.testing.assert_array_equal(first, epoch_order(LABELS, 5, 1, balanced=balanced))
    for seed, epoch in ((5, 2), (6, 1)):
        assert not np.array_equal(first, epoch_order(LABELS, seed, epoch, balanced=balanced))


@pytest.mark.parametrize("balance", [None, "class_weights", "sampling"])
def test_feeds_give_the_same_batches(balance):
    """The feeds from `tf.data` and from arrays hold the same images, labels and weights, batch by batch."""
    parts = 3 if balance == "class_weights" else 2
    for one, two in zip(batches("tf.data", balance), batches("arrays", balance), strict=True):
        assert len(one) == len(two) == parts
        for mine, other in zip(one, two, strict=True):
            mine, other = np.ravel(mine), np.ravel(other)
            np.testing.assert_array_equal(np.sort(mine), np.sort(other))


@pytest.mark.parametrize("feed", ["tf.data", "arrays"])
def test_weights_belong_to_their_images(feed):
    """Every image appears once, with its own label and weight."""
    images, labels, weights = (np.concatenate(part) for part in zip(*batches(feed, "class_weights"), strict=True))
    positions = np.ravel(images)
    np.testing.assert_array_equal(np.sort(positions), np.arange(len(LABELS)))
    np.testing.assert_array_equal(labels, LABELS[positions])
    np.testing.assert_array_equal(weights, class_weights(LABELS)[positions])
