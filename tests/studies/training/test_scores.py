"""Scores of probabilities, compared with scikit-learn."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from spaces.errors import DataError, ModelError
from studies.training.scores import class_probabilities, compute_scores, predict_probabilities

NAMES = [str(digit) for digit in range(10)]


def guesses():
    """Return probabilities of ten classes that favour the true one, without ties."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 200)
    logits = rng.normal(size=(200, 10)) + np.eye(10)[labels]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def test_scores_equal_scikit_learn():
    """Every score is that of scikit-learn, with macro means over the classes."""
    probabilities, labels = guesses()
    scores, predicted = compute_scores(probabilities, labels, NAMES), probabilities.argmax(axis=1)
    expected = {
        "images": len(labels),
        "accuracy": metrics.accuracy_score(labels, predicted),
        "loss": metrics.log_loss(labels, probabilities),
        "auc": metrics.roc_auc_score(labels, probabilities, multi_class="ovr"),
        "precision": metrics.precision_score(labels, predicted, average="macro"),
        "recall": metrics.recall_score(labels, predicted, average="macro"),
        "f1": metrics.f1_score(labels, predicted, average="macro"),
        "top_5_accuracy": metrics.top_k_accuracy_score(labels, probabilities, k=5),
    }
    assert {name: getattr(scores, name) for name in expected} == pytest.approx(expected, rel=1e-5)
    assert 1 > scores.top_5_accuracy > scores.accuracy
    assert scores.confusion_matrix == tuple(map(tuple, metrics.confusion_matrix(labels, predicted).tolist()))
    recalls = metrics.recall_score(labels, predicted, average=None)
    assert [each.recall for each in scores.classes] == pytest.approx(recalls)
    assert sum(each.images for each in scores.classes) == len(labels)


def test_ties_are_won_by_the_first_classes():
    """Equal probabilities of ten classes put the first in one place and the first five in five."""
    alike = compute_scores(np.full((10, 10), 0.1), np.arange(10), NAMES)
    assert (alike.accuracy, alike.top_5_accuracy) == (0.1, 0.5)


def test_second_of_two_classes_is_scored():
    """The single column is its probability, and the scores are scikit-learn's `binary`; undefined scores are None."""
    probabilities, labels = np.array([[0.9], [0.2], [0.6], [0.4], [0.1]]), np.array([1, 0, 0, 1, 0])
    scores, predicted = compute_scores(probabilities, labels, ["cat", "dog"]), probabilities[:, 0] > 0.5
    expected = {
        "accuracy": 3 / 5,
        "loss": -np.log([0.9, 0.8, 0.4, 0.4, 0.9]).mean(),
        "auc": metrics.roc_auc_score(labels, probabilities),
        "precision": metrics.precision_score(labels, predicted),
        "recall": metrics.recall_score(labels, predicted),
        "f1": metrics.f1_score(labels, predicted),
    }
    assert {name: getattr(scores, name) for name in expected} == pytest.approx(expected)
    assert scores.confusion_matrix == ((2, 1), (1, 1))
    assert scores.top_5_accuracy is None
    assert compute_scores(probabilities[:1], labels[:1], ["cat", "dog"]).auc is None
    np.testing.assert_allclose(class_probabilities(np.array([[0.25]])), [[0.75, 0.25]])


def test_class_without_images_does_not_count():
    """A class that has no images and is never predicted scores 0 and is not part of the means."""
    scores = compute_scores(np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]), np.array([0, 1]), ["a", "b", "c"])
    assert (scores.precision, scores.recall, scores.f1) == (1.0, 1.0, 1.0)
    assert (scores.classes[2].images, scores.classes[2].f1) == (0, 0.0)
    assert len(scores.confusion_matrix) == 3


def test_loss_is_bounded():
    """A probability of 0 for the true class gives a large loss, not an infinite one."""
    assert 16 < compute_scores(np.array([[1.0]]), np.array([0]), ["a", "b"]).loss < 17


def test_scores_are_json():
    """The scores survive JSON unchanged."""
    form = compute_scores(np.array([[0.9], [0.2]]), np.array([1, 0]), ["cat", "dog"]).to_json()
    assert json.loads(json.dumps(form, allow_nan=False)) == form
    assert form["confusion_matrix"] == [[1, 0], [0, 1]]
    assert form["classes"][0] == {"label": "cat", "precision": 1.0, "recall": 1.0, "f1": 1.0, "images": 1}


def test_missing_images_and_nan_are_errors():
    """No images and outputs that are not numbers have no scores."""
    with pytest.raises(DataError, match="no images to evaluate"):
        compute_scores(np.empty((0, 3)), np.empty(0, int), ["a", "b", "c"])
    with pytest.raises(ModelError, match="not all numbers"):
        compute_scores(np.array([[np.nan]]), np.array([0]), ["a", "b"])


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (8, [4, 4]), (9, [4, 4, 4])])
def test_predictions_come_in_batches_of_one_size(count, sizes):
    """The last batch is padded, and every image has its prediction."""
    images, seen = np.random.default_rng(0).integers(0, 256, (count, 5, 5, 1), np.uint8), []

    def means(batch):
        seen.append(len(batch))
        return batch.mean(axis=(1, 2, 3))[:, None]

    model = SimpleNamespace(output_shape=(None, 1), predict_on_batch=means)
    answers = predict_probabilities(model, images, batch_size=4)
    np.testing.assert_allclose(answers, images.mean(axis=(1, 2, 3))[:, None], rtol=1e-6)
    assert seen == sizes


@pytest.mark.parametrize(("correct", "images"), [(0, 5), (5, 5), (7, 10), (355, 359), (1, 1)])
def test_interval_of_the_accuracy_is_wilsons(correct, images):
    """It agrees with SciPy, and stays within 0 and 1."""
    labels = np.zeros(images, np.int64)
    probabilities = np.where(np.arange(images) < correct, 0.1, 0.9)[:, None]
    scores = compute_scores(probabilities, labels, ["a", "b"])
    expected = binomtest(correct, images).proportion_ci(method="wilson")
    assert scores.accuracy_interval == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert scores.to_json()["accuracy_interval"] == list(scores.accuracy_interval)
