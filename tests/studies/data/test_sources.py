"""Sources other than folders: digits, archives, Keras' data sets and the user's own function."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from spaces import CustomData, Digits, KerasDataset, Npz
from spaces.errors import DataError
from studies.data.keras_datasets import _CLASSES
from studies.data.sources import load
from tests.support.image_folders import all_bytes, split_sizes

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), np.uint8)
OTHERS = np.random.default_rng(1).integers(0, 256, (10, 4, 4, 3), np.uint8)
LABELS = np.tile([0, 1], 20)


def error_of(data, folder: Path = Path()) -> str:
    with pytest.raises(DataError) as caught:
        load(data, folder)
    return str(caught.value)


def test_the_digits_are_1797_grey_images():
    """Ten classes of 8 x 8 pixels with 17 levels from 0 to 255, split by the fractions of the record."""
    data = load(Digits(), Path())
    assert (data.classes, data.image_shape) == (tuple("0123456789"), (8, 8, 1))
    assert split_sizes(data) == [1150, 288, 359]
    assert split_sizes(load(Digits(validation=0.5, test=0.1), Path())) == [809, 808, 180]
    joined = np.concatenate([split.images for split in (data.train, data.validation, data.test)])
    assert (joined.min(), joined.max(), len(np.unique(joined))) == (0, 255, 17)


NAMED = {"x_train": IMAGES, "y_train": np.array(["no", "yes"])[LABELS]}
SPLIT = {
    **{"x_train": IMAGES / 255, "x_validation": OTHERS[:4] / 255, "x_test": OTHERS[4:] / 255},
    **{"y_train": LABELS, "y_validation": LABELS[:4], "y_test": LABELS[:6], "classes": np.array(["no", "yes"])},
}


@pytest.mark.parametrize(("arrays", "sizes"), [(NAMED, [24, 6, 10]), (SPLIT, [40, 4, 6])])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_is_read(tmp_path, arrays, sizes, save):
    """Arrays by their names, relative to the folder of the space file; nothing is split off given splits."""
    save(tmp_path / "x.npz", **arrays)
    data = load(Npz("x.npz", test=0.25), tmp_path)
    assert (data.classes, split_sizes(data)) == (("no", "yes"), sizes)
    assert set(all_bytes(data)) >= {image.tobytes() for image in IMAGES}


TRAIN = {"x_train": IMAGES, "y_train": LABELS}


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"classes": np.array(["a", "b"])}, "x_train, y_train missing, found classes"),
        ({"x_train": IMAGES}, "y_train missing, found x_train"),
        ({**TRAIN, "y_test": LABELS}, "x_test missing"),
        ({"x_train": IMAGES, "y_train": LABELS[:3]}, "train: 40 images but 3 labels"),
        ({"x_train": IMAGES, "y_train": LABELS.astype(object)}, "y_train=np.asarray(labels, dtype=str)"),
        ({"x_train": IMAGES.astype(object), "y_train": LABELS}, "x_train contains Python objects, which may run code"),
        ({**TRAIN, "x_val": OTHERS, "y_val": LABELS[:10]}, "a['x_validation'] = a.pop('x_val'); a['y_validation'] ="),
        ({**TRAIN, "valid_images": OTHERS}, "a['x_validation'] = a.pop('valid_images')"),
        ({**TRAIN, "testLabels": OTHERS}, "a['y_test'] = a.pop('testLabels')"),
        ({"X_train": IMAGES, "Y_train": LABELS}, "a['x_train'] = a.pop('X_train'); a['y_train'] = a.pop('Y_train')"),
        ({"images": IMAGES, "labels": LABELS}, "a['x_train'] = a.pop('images'); a['y_train'] = a.pop('labels')"),
        ({**TRAIN, "class_names": np.array(["a", "b"])}, "a['classes'] = a.pop('class_names')"),
        ({"arr_0": IMAGES, "arr_1": LABELS}, "'arr_0', 'arr_1' (expected names: x_train, y_train, x_validation,"),
        ({**TRAIN, "notes": np.arange(3)}, "del a['notes']; np.savez(file, **a)"),
        ({**TRAIN, "X_train": IMAGES}, "del a['X_train']"),
        ({**TRAIN, "weights": np.array([{}])}, "unknown arrays: 'weights'"),
    ],
)
def test_an_archive_with_other_content_is_rejected(tmp_path, arrays, expected):
    """No array is dropped, guessed or unpickled: missing names are listed, and the hint says how to rename others."""
    np.savez(tmp_path / "x.npz", **arrays)
    assert expected in error_of(Npz("x.npz"), tmp_path)


def test_the_hint_for_other_names_works(tmp_path):
    """The code in the hint makes the archive usable."""
    file = tmp_path / "x.npz"
    np.savez(file, **TRAIN, x_val=OTHERS, y_val=LABELS[:10], notes=np.arange(3))
    code = error_of(Npz(file)).split("rename or remove them: ")[1]
    exec(code, {"np": np, "file": file})
    assert len(load(Npz(file), Path()).validation) == 10


def test_files_that_are_no_archive_are_rejected(tmp_path):
    """Missing, foreign, truncated and damaged files, and folders."""
    (tmp_path / "text").write_text("no archive")
    with (tmp_path / "array").open("wb") as file:
        np.save(file, IMAGES)
    np.savez(tmp_path / "x.npz", **TRAIN)
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "bits").write_bytes(whole[:2000] + b"\0" * 100 + whole[2100:])
    assert error_of(Npz("none"), tmp_path) == f"archive not found: {tmp_path / 'none'}"
    assert all("is not a NumPy archive" in error_of(Npz(name), tmp_path) for name in ("array", "text", "cut"))
    assert "is damaged" in error_of(Npz("bits"), tmp_path)
    assert "archive" in error_of(Npz("."), tmp_path)


def fake_keras(monkeypatch, load_data) -> None:
    datasets = SimpleNamespace(**{name: SimpleNamespace(load_data=load_data) for name in _CLASSES})
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(datasets=datasets))


@pytest.mark.parametrize("name", _CLASSES)
def test_a_keras_data_set_has_its_classes_by_name(monkeypatch, tmp_path, name):
    """Its own test images are the test split, and validation is split off."""
    classes = 100 if name == "cifar100" else 10
    images = np.random.default_rng(0).integers(0, 256, (classes * 6, 4, 4), np.uint8)
    labels = np.tile(np.arange(classes), 6)[:, None].astype(np.uint8)
    fake_keras(monkeypatch, lambda: ((images[classes:], labels[classes:]), (images[:classes], labels[:classes])))
    data = load(KerasDataset(name), tmp_path)
    assert len(set(data.classes)) == classes
    assert split_sizes(data) == [classes * 4, classes, classes]


@pytest.mark.parametrize("name", _CLASSES)
def test_a_failed_download_names_the_files_and_their_places(monkeypatch, tmp_path, capsys, name):
    """Every file, its URL and its place, which KERAS_HOME sets; Keras prints nothing."""

    def fail():
        sys.stdout.write("Downloading data")
        raise Exception("URL fetch failure on https://x: None -- no network")

    fake_keras(monkeypatch, fail)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    found = error_of(KerasDataset(name))
    assert all(each in found for each in ("no network", "https://", f"as {tmp_path / 'datasets'}"))
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", _CLASSES)
def test_keras_looks_for_its_files_where_the_message_says(monkeypatch, tmp_path, name):
    """The address and the place in the message are those that Keras itself uses."""
    pytest.importorskip("keras")
    from keras.utils import get_file

    wanted: dict[str, str] = {}

    def pretend(target, origin):
        wanted[origin] = str(target)
        raise OSError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setitem(get_file.__globals__, "urlretrieve", lambda origin, target, *_: pretend(target, origin))
    monkeypatch.setitem(get_file.__globals__, "config", SimpleNamespace(keras_home=lambda: str(tmp_path)))
    found = error_of(KerasDataset(name))
    assert wanted
    for origin, target in wanted.items():
        assert f"{origin}\n    as {target}" in found


def test_a_function_may_return_all_splits():
    """A dict of pairs, with or without names of the classes."""
    pair = (IMAGES, LABELS)
    data = load(CustomData(lambda: {"train": pair, "test": [OTHERS[:4], [0, 1, 0, 1]], "classes": ["a", "b"]}), Path())
    assert data.classes == ("a", "b")
    assert split_sizes(data) == [32, 8, 4]


def broken():
    return {"train": (IMAGES, LABELS)}["test"]


def complaining():
    raise DataError("the drive is not mounted")


def test_a_failing_function_is_reported_with_its_line():
    """The user's own line and the error, without a traceback; a `DataError` of the user passes through."""
    found = error_of(CustomData(broken))
    assert found.startswith(f"broken() failed: KeyError: 'test'\n  {__file__}, line ")
    assert found.endswith('return {"train": (IMAGES, LABELS)}["test"]')
    assert error_of(CustomData(complaining)) == "the drive is not mounted"


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, "must return a dict with 'train'"),
        ((IMAGES, LABELS), "got tuple"),
        ({"test": (IMAGES, LABELS)}, "got the keys 'test'"),
        ({"train": (IMAGES, LABELS), "val": (IMAGES, LABELS)}, "got the keys 'train', 'val'"),
        ({"train": IMAGES}, "'train' must be a pair (images, labels), got ndarray"),
    ],
)
def test_a_function_that_returns_something_else_is_rejected(returned, expected):
    """The message says what it must return and what it did."""

    def give():
        return returned

    found = error_of(CustomData(give))
    assert found.startswith("give()")
    assert expected in found
