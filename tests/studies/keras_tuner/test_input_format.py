"""Images and labels as a hypermodel expects them."""

import keras
import numpy as np
import pytest

from studies.data.dataset import Split
from studies.keras_tuner.input_format import InputFormat
from studies.training.feed import ShuffledBatches, evaluation_data

SPLIT = Split(np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2, 1) * 10, np.array([0, 1, 2, 1, 0]))


@pytest.mark.parametrize("make", [lambda: ShuffledBatches(SPLIT, 2, None), lambda: evaluation_data(SPLIT, 2)])
@pytest.mark.parametrize("form", [InputFormat(True, 3), InputFormat(False, 0), InputFormat(False, 1)])
def test_batches_and_arrays_have_the_same_format(make, form):
    """Every feed has the values of the arrays."""
    changed = form.format_batches(make())
    batches = [changed[index] for index in range(3)] if isinstance(changed, keras.utils.PyDataset) else list(changed)
    images, labels = form.format_split(SPLIT)
    np.testing.assert_allclose(np.concatenate([batch[0] for batch in batches]), images)
    np.testing.assert_allclose(np.concatenate([batch[1] for batch in batches]), labels)
    assert images.max() == pytest.approx(190 / 255 if form.rescale else 190)
    assert labels.shape == {0: (5,), 1: (5, 1), 3: (5, 3)}[form.one_hot]
