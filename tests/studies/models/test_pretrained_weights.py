import h5py
import keras
import numpy as np
import pytest

from spaces import Digits, Pretrained, Space
from spaces.errors import ModelError
from studies.backend.quiet import quiet_keras
from studies.models.build import build_model, inference_model
from studies.models.weights import load_weights
from tests.studies.models.weights_files import SHAPE, WRITERS, mobilenet, write_current


def build(weights, folder=None):
    backbone = Pretrained("MobileNet", weights=weights, alpha=0.25)
    recipe = Space(data=Digits(), backbone=backbone, augment=None, dropout=0.0)
    return recipe, build_model(recipe, SHAPE, 2, folder=folder)


def test_models_have_the_weights_of_a_file_relative_to_the_folder(tmp_path):
    """The trained and the inference model have the file's weights; relative paths start at the folder."""
    source = mobilenet()
    write_current(source, tmp_path / "file")
    recipe, model = build("file", tmp_path)
    for found in (model, inference_model(recipe, model, SHAPE, 2)):
        network = next(layer for layer in found.layers if isinstance(layer, keras.Model))
        assert all(np.array_equal(a, b) for a, b in zip(source.get_weights(), network.get_weights(), strict=True))
    with pytest.raises(ModelError, match=rf"{tmp_path}/sub/file not found"):
        build("file", tmp_path / "sub")


@pytest.mark.parametrize("kind", ["current", "legacy"])
def test_file_without_some_weights_is_refused(kind, tmp_path):
    """No weight stays random silently."""
    WRITERS[kind](mobilenet(), tmp_path / "file")
    paths = []
    with h5py.File(tmp_path / "file", "a") as content:
        content.visititems(lambda path, item: paths.append(path) if hasattr(item, "shape") else None)
        del content[paths[-1]]
    with pytest.raises(ModelError, match=r"do not fit MobileNet|damaged"):
        build(tmp_path / "file")


@pytest.mark.slow
def test_efficientnet_deviations_are_read_as_keras_reads_them(tmp_path, monkeypatch):
    """The deviations in Keras' files become variances, whether Keras finds the file or the user passes it."""
    options = {"include_top": False, "input_shape": SHAPE}
    source = keras.applications.EfficientNetB0(weights=None, **options)
    normalization = next(layer for layer in source.layers if isinstance(layer, keras.layers.Normalization))
    count = normalization.get_weights()[2]
    normalization.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), count])
    file = tmp_path / "b0.weights.h5"
    write_current(source, file)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *args, **more: str(file))
    monkeypatch.setattr("studies.models.weights.imagenet_file", lambda *args: file)
    with quiet_keras():
        expected = keras.applications.EfficientNetB0(weights="imagenet", **options)
    images = np.random.default_rng(0).integers(0, 256, (1, *SHAPE)).astype(np.float32)
    for weights in ("imagenet", str(file)):
        network = keras.applications.EfficientNetB0(weights=None, **options)
        load_weights(network, Pretrained("EfficientNetB0", weights=weights), None)
        np.testing.assert_allclose(network(images), expected(images), atol=1e-5)
