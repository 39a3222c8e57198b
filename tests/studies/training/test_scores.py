"""Scores of probabilities, compared with scikit-learn."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from spaces.errors import DataError, ModelError
from studies.training.scores import class_probabilities, compute_scores, predict_probabilities


def digits():
    """Return real probabilities of an imperfect classifier."""
    images, labels = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=20, tol=10).fit(images[:60], labels[:60])
    return model.predict_proba(images[900:]), labels[900:]


def guesses():
    """Return probabilities of ten classes that favour the true one, without ties."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 200)
    logits = rng.normal(size=(200, 10)) + np.eye(10)[labels]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def test_scores_equal_scikit_learn():
    """Every score is that of scikit-learn, with macro means over the classes."""
    probabilities, labels = digits()
    scores = compute_scores(probabilities, labels, [str(digit) for digit in range(10)])
    predicted = probabilities.argmax(axis=1)
    assert scores.images == len(labels)
    assert scores.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert scores.loss == pytest.approx(log_loss(labels, np.clip(probabilities, 1e-7, 1)), rel=1e-5)
    assert scores.precision == pytest.approx(precision_score(labels, predicted, average="macro", zero_division=0))
    assert scores.recall == pytest.approx(recall_score(labels, predicted, average="macro", zero_division=0))
    assert scores.f1 == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0))
    assert scores.confusion_matrix == tuple(map(tuple, confusion_matrix(labels, predicted).tolist()))
    assert [each.recall for each in scores.classes] == pytest.approx(recall_score(labels, predicted, average=None))
    assert sum(each.images for each in scores.classes) == len(labels)


def test_two_classes_are_scored_from_one_column():
    """The single column of a two-class model is the probability of the second class."""
    scores = compute_scores(np.array([[0.9], [0.2], [0.6]]), np.array([1, 0, 0]), ["cat", "dog"])
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.loss == pytest.approx(-np.log([0.9, 0.8, 0.4]).mean())
    assert scores.confusion_matrix == ((1, 1), (0, 1))
    np.testing.assert_allclose(class_probabilities(np.array([[0.25]])), [[0.75, 0.25]])


def test_auc_equals_scikit_learn():
    """The AUC is scikit-learn's: of each class against the rest, the mean; none where all images are of one class."""
    probabilities, labels = guesses()
    names = [str(digit) for digit in range(10)]
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert compute_scores(probabilities, labels, names).auc == pytest.approx(expected)
    two = labels < 2
    second = probabilities[two, 1:2]
    assert compute_scores(second, labels[two], ["0", "1"]).auc == pytest.approx(roc_auc_score(labels[two], second))
    assert compute_scores(second[:1], labels[two][:1], ["0", "1"]).auc is None


def test_top_5_accuracy_equals_scikit_learn():
    """With five classes or fewer it is None."""
    probabilities, labels = guesses()
    scores = compute_scores(probabilities, labels, [str(digit) for digit in range(10)])
    assert scores.top_5_accuracy == pytest.approx(top_k_accuracy_score(labels, probabilities, k=5))
    assert 1 > scores.top_5_accuracy > scores.accuracy
    alike = compute_scores(np.full((10, 10), 0.1), np.arange(10), [str(digit) for digit in range(10)])
    assert (alike.accuracy, alike.top_5_accuracy) == (0.1, 0.5)
    assert compute_scores(np.array([[0.9], [0.2]]), np.array([1, 0]), ["cat", "dog"]).top_5_accuracy is None


def test_second_of_two_classes_is_scored():
    """Precision, recall and F1 of two classes are scikit-learn's `binary`."""
    probabilities, labels = np.array([[0.9], [0.2], [0.6], [0.4]]), np.array([1, 0, 0, 1])
    scores, predicted = compute_scores(probabilities, labels, ["cat", "dog"]), probabilities[:, 0] > 0.5
    expected = [score(labels, predicted) for score in (precision_score, recall_score, f1_score)]
    assert [scores.precision, scores.recall, scores.f1] == pytest.approx(expected)


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


class Mean:
    """A model that returns the mean of each image."""

    output_shape = (None, 1)

    def __init__(self):
        self.sizes = []

    def predict_on_batch(self, images):
        self.sizes.append(len(images))
        return images.mean(axis=(1, 2, 3))[:, None]


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (8, [4, 4]), (9, [4, 4, 4])])
def test_predictions_come_in_batches_of_one_size(count, sizes):
    """The last batch is padded, and every image has its prediction."""
    images = np.random.default_rng(0).integers(0, 256, (count, 5, 5, 1), np.uint8)
    model = Mean()
    answers = predict_probabilities(model, images, batch_size=4)
    np.testing.assert_allclose(answers[:, 0], images.mean(axis=(1, 2, 3)), rtol=1e-6)
    assert answers.shape == (count, 1)
    assert model.sizes == sizes
