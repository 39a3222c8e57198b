"""The solver of linear heads, against scikit-learn and against itself."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from studies.training.logistic_regression import solve


def clusters(classes=3, images=90, units=8, seed=0):
    """Features (n, units) of overlapping clusters, one for each class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    centres = rng.normal(0, 2, (classes, units))
    return (5 + centres[labels] + rng.normal(0, 2, (images, units))).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3])
def test_solution_is_that_of_scikit_learn(classes):
    """The strength is 1 / C on features divided by their overall standard deviation."""
    features, labels = clusters(classes)
    found = next(solve(features, labels, classes, [10.0])).probabilities(features)
    scaled = features / features.std()
    expected = LogisticRegression(C=0.1, tol=1e-6, max_iter=1000).fit(scaled, labels).predict_proba(scaled)
    assert found.shape == (90, 1 if classes == 2 else 3)
    np.testing.assert_allclose(found, expected[:, 1:] if classes == 2 else expected, atol=5e-3)


def test_each_strength_gives_the_solution_that_it_gives_alone():
    """Starting from the solution of another strength does not change the solution."""
    features, labels = clusters()
    together = list(solve(features, labels, 3, [100.0, 1.0]))
    assert [each.strength for each in together] == [100.0, 1.0]
    alone = next(solve(features, labels, 3, [1.0]))
    np.testing.assert_allclose(together[1].probabilities(features), alone.probabilities(features), atol=3e-2)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_scale_of_the_features_does_not_matter(factor):
    """A strength means the same for networks with small and with large outputs."""
    features, labels = clusters()
    one, other = (next(solve(given, labels, 3, [10.0])) for given in (features, features * np.float32(factor)))
    found, expected = other.probabilities(features * np.float32(factor)), one.probabilities(features)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_views_of_an_image_count_once():
    """The same view twice gives the solution of one view."""
    features, labels = clusters()
    one, twice = (next(solve(given, labels, 3, [10.0])) for given in (features, np.stack([features] * 2, axis=1)))
    np.testing.assert_allclose(one.probabilities(features), twice.probabilities(features), atol=1e-3)


def test_weight_of_an_image_counts_like_copies_of_it():
    """An image of weight 2 counts like two images."""
    features, labels = clusters()
    weights = np.where(labels == 0, 2.0, 1.0)
    weighted = next(solve(features, labels, 3, [10.0], weights))
    rows = np.concatenate([np.arange(90), np.flatnonzero(labels == 0)])
    copied = next(solve(features[rows], labels[rows], 3, [10.0]))
    # The copies change the standard deviation a little.
    np.testing.assert_allclose(weighted.probabilities(features), copied.probabilities(features), atol=2e-2)


@pytest.mark.parametrize("absent", [0, 2])
def test_class_without_a_training_image_is_never_predicted(absent):
    """Its probability is zero, and those of the other classes are what they are without it."""
    features, labels = clusters(classes=3)
    rows = labels != absent
    found = next(solve(features[rows], labels[rows], 3, [10.0])).probabilities(features)
    others = next(solve(features[rows], np.unique(labels[rows], return_inverse=True)[1], 2, [10.0]))
    assert found[:, absent].max() < 1e-9
    present = np.flatnonzero(np.arange(3) != absent)
    np.testing.assert_allclose(found[:, present[1]], others.probabilities(features)[:, 0], atol=1e-5)
