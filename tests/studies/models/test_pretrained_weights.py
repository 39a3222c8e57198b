import keras
import numpy as np
import pytest

from spaces import Digits, Pretrained, Space
from spaces.errors import ModelError
from studies.backend.quiet import quiet_keras
from studies.models.build import build_model, inference_model
from studies.models.weights import load_weights

SHAPE = (32, 32, 3)


def network_of(alpha=0.25, **options):
    return keras.applications.MobileNet(weights=None, include_top=False, input_shape=SHAPE, alpha=alpha, **options)


@pytest.fixture(params=["own.weights.h5", "legacy.h5"])
def file(request, tmp_path):
    """A file of weights of MobileNet at a width of 0.25, in the new and in the old format."""
    path = tmp_path / request.param
    write(network_of(), path)
    return path


def write(network, path):
    if path.name.endswith(".weights.h5"):
        with quiet_keras():
            network.save_weights(path)
    else:
        write_legacy(network, path)


def write_legacy(network, path):
    """The old format, which Keras reads but no longer writes: the weights by layer and name."""
    import h5py

    layers = [layer for layer in network.layers if layer.weights]
    with h5py.File(path, "w") as out:
        out.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            group = out.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}" for weight in layer.weights] if layer in layers else []
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group[name] = value


def build(weights, folder=None, name="MobileNet", alpha=0.25):
    recipe = Space(data=Digits(), backbone=Pretrained(name, weights=weights, alpha=alpha), augment=None, dropout=0.0)
    return recipe, build_model(recipe, SHAPE, 2, folder=folder)


def test_a_file_is_loaded(file):
    """The network has the file's weights, and so has the inference model made from it."""
    expected = network_of()
    with quiet_keras():
        expected.load_weights(file)
    recipe, model = build(file)
    for found in (model, inference_model(recipe, model, SHAPE, 2)):
        network = next(layer for layer in found.layers if isinstance(layer, keras.Model))
        assert all(np.array_equal(a, b) for a, b in zip(expected.get_weights(), network.get_weights(), strict=True))


def test_a_relative_path_starts_at_the_folder(file):
    """A relative path is looked up from the folder that is given."""
    build(file.name, folder=file.parent)
    with pytest.raises(ModelError, match=rf"weights file {file.parent}/sub/{file.name} not found"):
        build(file.name, folder=file.parent / "sub")


def test_a_file_that_lacks_some_weights(file):
    """No weight stays random without a word."""
    import h5py

    with h5py.File(file, "a") as content:
        for path in list(_datasets(content))[-1:]:
            del content[path]
    with pytest.raises(ModelError, match=r"do not fit MobileNet|is damaged"):
        build(file)


def _datasets(content):
    found = []
    content.visititems(lambda path, item: found.append(path) if hasattr(item, "shape") else None)
    return found


@pytest.mark.parametrize("name", ["text.weights.h5", "text.h5", "text.bin"])
def test_a_file_that_is_none(name, tmp_path):
    """A file that holds no weights is refused."""
    (tmp_path / name).write_text("hello")
    with pytest.raises(ModelError, match=rf"cannot read the weights file .*{name}: not an HDF5 file"):
        build(tmp_path / name)


@pytest.mark.slow
def test_efficientnet_files_are_read_as_keras_reads_its_own(tmp_path, monkeypatch):
    """The deviations in Keras' files count as such, whether Keras finds the file or it is given."""
    options = {"include_top": False, "input_shape": SHAPE}
    source = keras.applications.EfficientNetB0(weights=None, **options)
    normalization = next(layer for layer in source.layers if isinstance(layer, keras.layers.Normalization))
    count = normalization.get_weights()[2]
    normalization.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), count])
    file = tmp_path / "b0.weights.h5"
    write(source, file)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *args, **more: str(file))
    monkeypatch.setattr("studies.models.weights.imagenet_file", lambda *args: file)
    with quiet_keras():
        expected = keras.applications.EfficientNetB0(weights="imagenet", **options)
    images = np.random.default_rng(0).integers(0, 256, (1, *SHAPE)).astype(np.float32)
    for weights in ("imagenet", str(file)):
        network = keras.applications.EfficientNetB0(weights=None, **options)
        load_weights(network, Pretrained("EfficientNetB0", weights=weights), None)
        np.testing.assert_allclose(network(images), expected(images), atol=1e-5)
