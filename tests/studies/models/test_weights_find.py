import hashlib
import http.server
import shutil
import socket
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

from spaces import CNN, Choice, Digits, Pretrained, Space
from spaces.errors import ModelError
from studies.models import weights_download
from studies.models.pretrained import make_network
from studies.models.weights import load_weights
from studies.models.weights_check import prepare_weights
from studies.models.weights_download import KerasFile, download, keras_file
from tests.studies.models.weights_files import SHAPE, mobilenet, write_current, write_legacy

QUARTER = Pretrained("MobileNet", alpha=0.25)
NAME = "mobilenet_2_5_224_tf_no_top.h5"


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    """A SEARCH_WEIGHTS folder and a Keras cache for the test, without network access."""
    folder, cache = tmp_path / "weights", tmp_path / "keras" / "models"
    folder.mkdir()
    cache.mkdir(parents=True)
    monkeypatch.setenv("SEARCH_WEIGHTS", str(folder))
    monkeypatch.setenv("KERAS_HOME", str(cache.parent))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    return folder, cache


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A local mirror of Keras' server, and the list of requested paths."""
    root, asked = tmp_path / "served", []
    root.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(root))

        def log_message(self, *args):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("SEARCH_WEIGHTS_URL", f"http://127.0.0.1:{running.server_port}/mirror/")
        yield root / "mirror", asked
        running.shutdown()
        thread.join()


def prepare(first, *others):
    """Prepare the weights of a choice of backbones; returns the space and the notices."""
    notices, space = [], Space(data=Digits(), backbone=Choice(first, *(others or [CNN()])), augment=None)
    return prepare_weights(space, Path(), SHAPE, notices.append), notices


def loaded():
    network = make_network(QUARTER, SHAPE)
    load_weights(network, QUARTER, None)
    return network.get_weights()


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_user_folder_precedes_keras_cache(places):
    """A file in SEARCH_WEIGHTS, whatever its name and depth, precedes Keras' cache, but only if it fits."""
    folder, cache = places
    source, other = mobilenet(), mobilenet()
    write_legacy(source, cache / NAME)
    write_current(mobilenet(0.5), folder / NAME)
    assert equal(loaded(), source.get_weights())
    other.set_weights([weight + 1 for weight in source.get_weights()])
    (folder / "deep").mkdir()
    write_current(other, folder / "deep" / "any-name")
    assert equal(loaded(), other.get_weights())


@pytest.mark.slow
def test_ambiguous_files_are_refused(places):
    """Files without a top precede those with one; several different ones are refused, equal copies are one file."""
    folder, _ = places
    source = mobilenet()
    write_current(mobilenet(top=True), folder / "a.h5")
    write_current(source, folder / "b.h5")
    shutil.copy(folder / "b.h5", folder / "copy.h5")
    assert equal(loaded(), source.get_weights())
    source.set_weights([weight + 1 for weight in source.get_weights()])
    write_current(source, folder / "c.h5")
    with pytest.raises(ModelError, match=r"fit MobileNet: b\.h5, c\.h5, copy\.h5"):
        loaded()


def test_missing_weights_are_downloaded_before_the_first_trial(places, server):
    """One notice, one download into Keras' cache, and none the next time."""
    root, asked = server
    source, path = mobilenet(), keras_file("MobileNet", 0.25, SHAPE).url.split("/", 3)[3]
    (root / path).parent.mkdir(parents=True)
    write_legacy(source, root / path)
    assert [prepare(QUARTER)[1] for _ in range(2)] == [[f"downloading {NAME} to {places[1]}"], []]
    assert equal(loaded(), source.get_weights())
    assert asked == [f"/mirror/{path}"]
    assert [path.name for path in places[1].iterdir() if not path.name.startswith(".")] == [NAME]


@pytest.mark.usefixtures("server")
def test_failed_download_names_the_file_and_the_alternatives(monkeypatch):
    """The error names the cause and the file, and the hint the folder variable and the argument for a file."""
    with pytest.raises(ModelError, match="404") as caught:
        prepare(QUARTER)
    assert f"put {NAME} into a folder and set SEARCH_WEIGHTS" in str(caught.value)
    assert 'Pretrained("MobileNet", weights="FILE")' in str(caught.value)
    monkeypatch.delenv("SEARCH_WEIGHTS_URL")
    with pytest.raises(ModelError, match=r"download from https://\S+ failed: .*refused"):
        prepare(QUARTER)
    monkeypatch.setattr(weights_download, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("SEARCH_WEIGHTS_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ModelError, match=r"no answer within 0 s"):
            prepare(QUARTER)


def test_damaged_download_is_removed(places, server):
    """A file with another digest than Keras knows is refused and removed."""
    root, _ = server
    (root / "x").mkdir(parents=True)
    (root / "x" / "file.h5").write_bytes(b"other")
    file = KerasFile("file.h5", "https://example.invalid/x/file.h5", hashlib.md5(b"right").hexdigest())
    with pytest.raises(ModelError, match="is damaged: its digest is not"):
        download(file, places[1], print)
    assert [path for path in places[1].iterdir() if not path.name.startswith(".")] == []
    (root / "x" / "file.h5").write_bytes(b"right")
    assert download(file, places[1], lambda _: None).read_bytes() == b"right"


def test_width_is_taken_from_the_file(tmp_path):
    """A space without alpha gets the width of the file; files of different widths are refused."""
    files = [str(tmp_path / name) for name in ("quarter", "half")]
    for file, alpha in zip(files, (0.25, 0.5), strict=True):
        write_current(mobilenet(alpha), tmp_path / file)
    assert prepare(Pretrained("MobileNet", weights=files[0]))[0].backbone.options[0].alpha == 0.25
    with pytest.raises(ModelError, match=r"different widths \(0.25, 0.5\)"):
        prepare(Pretrained("MobileNet", weights=Choice(*files)))


def test_every_option_is_checked_before_the_first_trial(tmp_path):
    """A file that does not fit is refused although the baseline does not use it."""
    write_current(mobilenet(), tmp_path / "mine")
    wrong = Pretrained("MobileNetV2", weights=str(tmp_path / "mine"))
    with pytest.raises(ModelError, match=r"do not fit MobileNetV2.*belongs to MobileNet with alpha=0\.25"):
        prepare(CNN(), wrong)


def test_impossible_requests_are_refused(places, monkeypatch):
    """A width without ImageNet weights and a SEARCH_WEIGHTS that is not a folder are errors."""
    with pytest.raises(ModelError, match="MobileNet has no such ImageNet weights"):
        prepare(Pretrained("MobileNet", alpha=0.3))
    monkeypatch.setenv("SEARCH_WEIGHTS", str(places[0] / "none"))
    with pytest.raises(ModelError, match=r"SEARCH_WEIGHTS: .*none is not a folder"):
        prepare(QUARTER)


def test_keras_downloads_are_unchanged(places):
    """Asking Keras for a file's name neither downloads nor changes how Keras downloads."""
    before = keras.utils.get_file, keras.src.utils.file_utils.get_file
    assert keras_file("VGG16", None, (64, 64, 3)).name == "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert before == (keras.utils.get_file, keras.src.utils.file_utils.get_file)
