"""Images and labels as a hypermodel expects them."""

import keras
import numpy as np
import pytest

from studies.data import Split
from studies.data.feed import ShuffledBatches, evaluation_data
from studies.keras_tuner.feed import Form, one_hot_columns

SPLIT = Split(np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2, 1) * 10, np.array([0, 1, 2, 1, 0]))


@pytest.mark.parametrize("make", [lambda: ShuffledBatches(SPLIT, 2, None), lambda: evaluation_data(SPLIT, 2)])
@pytest.mark.parametrize("form", [Form(True, 3), Form(False, 0)])
def test_batches_and_arrays_are_given_in_one_form(make, form):
    """Every feed gives what the arrays hold."""
    changed = form.batches(make())
    batches = [changed[index] for index in range(3)] if isinstance(changed, keras.utils.PyDataset) else list(changed)
    images, labels = form.arrays(SPLIT)
    np.testing.assert_allclose(np.concatenate([batch[0] for batch in batches]), images)
    np.testing.assert_allclose(np.concatenate([batch[1] for batch in batches]), labels)
    assert images.max() == pytest.approx(190 / 255 if form.rescale else 190)
    assert labels.shape == ((5, 3) if form.one_hot else (5,))


def own_loss(y_true, y_pred):
    return y_pred


@pytest.mark.parametrize(
    ("loss", "outputs", "columns"),
    [
        ("sparse_categorical_crossentropy", 3, 0),
        (keras.losses.SparseCategoricalCrossentropy(), 3, 0),
        (keras.losses.sparse_categorical_crossentropy, 3, 0),
        ("categorical_crossentropy", 3, 3),
        (keras.losses.CategoricalFocalCrossentropy(), 3, 3),
        ("mse", 3, 3),
        (own_loss, 3, 3),
        ("binary_crossentropy", 1, 0),
        ("binary_crossentropy", 2, 2),
    ],
)
def test_the_loss_tells_how_labels_are_given(loss, outputs, columns):
    """One column for each output, unless there is only one or the loss is called sparse."""
    assert one_hot_columns(loss, outputs) == columns
