import hashlib
import http.server
import shutil
import socket
import threading

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

NAME = "mobilenet_2_5_224_tf_no_top.h5"


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    """A SEARCH_WEIGHTS folder and a Keras cache of the test's own, and no way out of the machine."""
    folder, cache = tmp_path / "weights", tmp_path / "keras" / "models"
    folder.mkdir()
    cache.mkdir(parents=True)
    monkeypatch.setenv("SEARCH_WEIGHTS", str(folder))
    monkeypatch.setenv("KERAS_HOME", str(cache.parent))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    return folder, cache


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server on this machine that is asked in place of Keras' own; lists the paths that were asked for."""
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


def serve(root, file, source):
    """Put a file where Keras' address leads on the mirror."""
    target = root / file.url.split("/", 3)[3]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def space_of(*backbones):
    return Space(data=Digits(), backbone=Choice(*backbones, CNN()), augment=None)


def prepare(space, folder):
    """Prepare the weights of a space; returns it and the notices."""
    notices = []
    return prepare_weights(space, folder, SHAPE, notices.append), notices


def loaded(**fields):
    record = Pretrained("MobileNet", **{"alpha": 0.25, **fields})
    network = make_network(record, SHAPE)
    load_weights(network, record, None)
    return network.get_weights()


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_users_folder_comes_first(places):
    """A file in SEARCH_WEIGHTS is taken, whatever its name and depth, before the one in Keras' cache."""
    folder, cache = places
    source = mobilenet()
    (folder / "deep").mkdir()
    write_current(source, folder / "deep" / "any-name")
    shutil.copy(folder / "deep" / "any-name", cache / NAME)
    other = mobilenet()
    other.set_weights([weight + 1 for weight in source.get_weights()])
    write_legacy(other, cache / NAME)
    assert equal(loaded(), source.get_weights())


def test_keras_cache_comes_second(places):
    """A file in Keras' cache is taken where the user's folder has none that fits."""
    folder, cache = places
    write_current(mobilenet(0.5), folder / NAME)
    source = mobilenet()
    write_legacy(source, cache / NAME)
    assert equal(loaded(), source.get_weights())


def test_a_file_without_a_top_comes_first(places):
    """Of two files of one network, the one without its top is taken."""
    folder, _ = places
    source = mobilenet()
    write_current(mobilenet(top=True), folder / "a.h5")
    write_current(source, folder / "b.h5")
    assert equal(loaded(), source.get_weights())


@pytest.mark.slow
def test_two_files_that_could_be_meant_are_refused(places):
    """Nothing is guessed: both names are told, and equal copies are one file."""
    folder, _ = places
    source = mobilenet()
    write_current(source, folder / "a.h5")
    shutil.copy(folder / "a.h5", folder / "copy.h5")
    assert equal(loaded(), source.get_weights())
    source.set_weights([weight + 1 for weight in source.get_weights()])
    write_current(source, folder / "b.h5")
    with pytest.raises(ModelError, match=r"fit MobileNet: a\.h5, b\.h5, copy\.h5"):
        loaded()


def test_missing_weights_are_downloaded_before_the_first_trial(places, server):
    """One notice, one download into Keras' cache, and none the next time."""
    root, asked = server
    source = mobilenet()
    file = keras_file("MobileNet", 0.25, SHAPE)
    write_legacy(source, root.parent / "file")
    serve(root, file, root.parent / "file")
    for notices in ([f"downloading {NAME} to {places[1]}"], []):
        assert prepare(space_of(Pretrained("MobileNet", alpha=0.25)), root)[1] == notices
    assert equal(loaded(), source.get_weights())
    assert asked == ["/mirror/" + file.url.split("/", 3)[3]]
    assert [path.name for path in places[1].iterdir() if not path.name.startswith(".")] == [NAME]


def test_a_download_that_fails_is_told_before_the_first_trial(places, server):
    """The message names the file, the folder variable, and the argument that takes a file."""
    with pytest.raises(ModelError) as caught:
        prepare(space_of(Pretrained("MobileNet", alpha=0.25)), places[0])
    message = str(caught.value)
    assert "404" in message
    assert f"put {NAME} into a folder and set SEARCH_WEIGHTS" in message
    assert 'Pretrained("MobileNet", weights="FILE")' in message


def test_without_network(places):
    """A connection that is refused is told."""
    with pytest.raises(ModelError, match=r"download from https://\S+ failed: .*refused"):
        prepare(space_of(Pretrained("MobileNet", alpha=0.25)), places[0])


def test_a_server_that_never_answers(places, monkeypatch):
    """The connection is given up after a time limit."""
    monkeypatch.setattr(weights_download, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("SEARCH_WEIGHTS_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ModelError, match=r"no answer within 0 s"):
            prepare(space_of(Pretrained("MobileNet", alpha=0.25)), places[0])


def test_a_damaged_download_leaves_nothing(places, server):
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


def test_the_width_is_taken_from_the_file(places, tmp_path):
    """Where alpha is left out, the space gets the width that the file has."""
    write_current(mobilenet(), tmp_path / "mine")
    space, _ = prepare(space_of(Pretrained("MobileNet", weights=str(tmp_path / "mine"))), tmp_path)
    assert space.backbone.options[0].alpha == 0.25


def test_different_widths_of_one_record_are_refused(places, tmp_path):
    """One record cannot have two widths: nothing is guessed."""
    write_current(mobilenet(), tmp_path / "quarter")
    write_current(mobilenet(0.5), tmp_path / "half")
    files = Choice(str(tmp_path / "quarter"), str(tmp_path / "half"))
    with pytest.raises(ModelError, match=r"different widths \(0.25, 0.5\)"):
        prepare(space_of(Pretrained("MobileNet", weights=files)), tmp_path)


def test_every_option_is_checked_before_the_first_trial(places, tmp_path):
    """A file that does not fit is refused although the baseline does not use it."""
    write_current(mobilenet(), tmp_path / "mine")
    wrong = Pretrained("MobileNetV2", weights=str(tmp_path / "mine"))
    with pytest.raises(ModelError, match=r"do not fit MobileNetV2.*belongs to MobileNet with alpha=0\.25"):
        prepare(Space(data=Digits(), backbone=Choice(CNN(), wrong), augment=None), tmp_path)


def test_a_width_without_imagenet_weights(places):
    """A width that was never trained on ImageNet is told as such."""
    with pytest.raises(ModelError, match="MobileNet has no such ImageNet weights"):
        prepare(space_of(Pretrained("MobileNet", alpha=0.3)), places[0])


def test_a_folder_that_is_not_there(places, monkeypatch):
    """SEARCH_WEIGHTS must be a folder."""
    monkeypatch.setenv("SEARCH_WEIGHTS", str(places[0] / "none"))
    with pytest.raises(ModelError, match=r"SEARCH_WEIGHTS: .*none is not a folder"):
        prepare(space_of(Pretrained("MobileNet", alpha=0.25)), places[0])


def test_keras_is_left_as_it_was(places):
    """Asking Keras for a file's name neither downloads nor changes how Keras downloads."""
    before = keras.utils.get_file, keras.src.utils.file_utils.get_file
    assert keras_file("VGG16", None, (64, 64, 3)).name == "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert before == (keras.utils.get_file, keras.src.utils.file_utils.get_file)
