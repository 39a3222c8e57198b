import numpy as np
import pytest

from spaces import Pretrained
from spaces.backbones import APPLICATIONS
from spaces.errors import ModelError
from studies.models.known_weights import network_of, widths_of
from studies.models.pretrained import make_network
from studies.models.weights import load_weights
from studies.models.weights_content import fingerprint_of, read_content
from tests.studies.models.weights_files import SHAPE, WRITERS, mobilenet, write_current, write_legacy

NAMES = {
    "archive": ("own.keras", "own.zip"),
    "current": ("a.weights.h5", "b.h5", "c"),
    "legacy": ("a.weights.h5", "b"),
    "legacy model": ("whole.h5",),
}


FILES = [(kind, name, False) for kind in WRITERS for name in NAMES[kind]]


@pytest.mark.parametrize(("kind", "name", "top"), [*FILES, *((kind, "file", True) for kind in WRITERS)])
def test_files_are_recognised_by_content(kind, name, top, tmp_path):
    """Every format loads under every name, with a top and without."""
    source = mobilenet(top=top, classes=7)
    WRITERS[kind](source, tmp_path / name)
    record = Pretrained("MobileNet", weights=str(tmp_path / name), alpha=0.25)
    network = make_network(record, SHAPE)
    load_weights(network, record, None)
    loaded = network.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(source.get_weights()[: len(loaded)], loaded, strict=True))


@pytest.mark.parametrize("write", [write_current, write_legacy])
def test_first_different_layer_is_named(write, tmp_path):
    """A file of another width is refused with the first layer that differs, both shapes, and the file's network."""
    write(mobilenet(), tmp_path / "file.h5")
    record = Pretrained("MobileNet", weights=str(tmp_path / "file.h5"), alpha=0.5)
    with pytest.raises(ModelError) as caught:
        load_weights(make_network(record, SHAPE), record, None)
    message = str(caught.value)
    assert "do not fit MobileNet with alpha=0.5: the first layer that differs is conv1: " in message
    assert "the network has 3x3x3x16, the file has 3x3x3x8" in message
    assert message.endswith("the file belongs to MobileNet with alpha=0.25")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_network_of_keras_is_known(name):
    """The table contains every network of `Pretrained`, at every width with ImageNet weights."""
    for alpha in widths_of(name) or (None,):
        network = make_network(Pretrained(name, weights=None, alpha=alpha), (224, 224, 3))
        content = type("Content", (), {"fingerprint": fingerprint_of(weight.shape for weight in network.weights)})
        known = network_of(content)
        assert (known.name, known.alpha, known.has_top) == (name, alpha, False)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", write_current, write_legacy])
def test_damaged_files_are_refused(content, tmp_path):
    """A file without weights, or half a file, is refused by its name."""
    file = tmp_path / "x.weights.h5"
    if callable(content):
        content(mobilenet(), file)
        content = file.read_bytes()[: file.stat().st_size // 2]
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.weights\.h5"):
        read_content(file)
