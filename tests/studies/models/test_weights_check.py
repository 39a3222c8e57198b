import h5py
import keras
import numpy as np
import pytest

from spaces import Digits, Pretrained, Space
from spaces.errors import ModelError
from studies.models.weights_check import prepare_weights
from studies.models.weights_find import weights_files
from tests.studies.models.weights_files import SHAPE, WRITERS, mobilenet


def prepare(folder, name="file", alpha=None):
    """Check a file of weights of a MobileNet, as a run does before its first trial."""
    space = Space(data=Digits(), backbone=Pretrained("MobileNet", weights=name, alpha=alpha))
    return prepare_weights(space, folder, SHAPE, print).backbone


@pytest.mark.parametrize("kind", WRITERS)
def test_width_is_found_despite_another_top(kind, tmp_path):
    """The width of a network trained on ten classes, which is none of Keras', is still found."""
    WRITERS[kind](mobilenet(top=True, classes=10), tmp_path / "file")
    assert prepare(tmp_path).alpha == 0.25


@pytest.mark.parametrize("kind", WRITERS)
def test_non_finite_weights_are_refused(kind, tmp_path):
    """NaN is refused before the first trial, in every format, with the layer that holds it."""
    network = mobilenet()
    kernel, *others = network.get_weights()
    network.set_weights([np.full_like(kernel, np.nan), *others])
    WRITERS[kind](network, tmp_path / "file")
    with pytest.raises(ModelError, match=r"NaN or infinite weights in .*file, layer conv\w+"):
        prepare(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["current", "archive"])
def test_network_inside_another_model_is_named(kind, tmp_path):
    """The weights of a model around the network are refused with how to save the network alone."""
    images = keras.Input(SHAPE)
    outer = keras.Model(images, keras.layers.Dense(2)(keras.layers.Flatten()(mobilenet()(images))))
    WRITERS[kind](outer, tmp_path / "file")
    with pytest.raises(ModelError, match=r"model with MobileNet with alpha=0\.25 as one of its layers"):
        prepare(tmp_path)


def _group_as_a_weight(file):
    file.attrs["layer_names"] = [b"conv1"]
    file.create_group("conv1/kernel")
    file["conv1"].attrs["weight_names"] = [b"kernel"]


@pytest.mark.parametrize(
    "write",
    [
        _group_as_a_weight,
        lambda file: file.attrs.create("layer_names", 5),
        lambda file: file.create_dataset("layers/x", data=np.zeros(3)),
        lambda file: file.create_dataset("layers/conv2d/vars/0", data=h5py.Empty("f")),
    ],
    ids=["group as a weight", "number of layers", "weight as a layer", "weight without a shape"],
)
def test_hdf5_of_other_programs_is_refused(write, tmp_path):
    """HDF5 of another program is refused as a file, and ignored in a folder of weights."""
    with h5py.File(tmp_path / "file", "w") as file:
        write(file)
    with pytest.raises(ModelError, match="no Keras weights"):
        prepare(tmp_path)
    assert list(weights_files(tmp_path)) == []
