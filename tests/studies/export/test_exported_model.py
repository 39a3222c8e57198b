import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from spaces.errors import DataError, ExportError, UnreadableImagesError
from studies.backend.quiet import quiet_keras
from studies.export.exported_model import evaluate_folder, load_export, predict
from studies.export.tensorflow_saved_model import write_saved_model
from studies.training.scores import compute_scores
from tests.support.exports import digit_images, export_digits


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The folder of an export of ten classes, and the model in memory."""
    folder = tmp_path_factory.mktemp("runs") / "best"
    return folder, export_digits(folder)[0]


@pytest.fixture
def copy(export, tmp_path):
    """A copy of the export that a test may damage."""
    return shutil.copytree(export[0], tmp_path / "best")


@pytest.fixture
def photos(tmp_path):
    """Five real digits as PNG files."""
    paths = []
    for index, image in enumerate(digit_images(5)):
        paths.append(tmp_path / f"photo {index}.png")
        Image.fromarray(image[:, :, 0]).save(paths[-1])
    return paths


def test_load_export(export):
    """What was exported is loaded with its classes, its shape and its metrics."""
    loaded = load_export(export[0])
    assert loaded.labels == tuple("0123456789")
    assert loaded.image_shape == (8, 8, 1)
    assert loaded.resize == "stretch"
    assert loaded.metrics["study"] == "digits"


@pytest.mark.parametrize("batch_size", [2, 64])
def test_predict(export, photos, batch_size):
    """Each image has its three most probable classes in order, in batches of any size."""
    folder, model = export
    found = predict(load_export(folder), photos, batch_size)
    expected = np.asarray(model(digit_images(5)))
    for path, prediction, row in zip(photos, found, expected, strict=True):
        order = np.argsort(-row)[:3]
        assert prediction.path == str(path)
        assert prediction.label == str(order[0])
        assert [label for label, _ in prediction.top] == [str(index) for index in order]
        assert [probability for _, probability in prediction.top] == pytest.approx(row[order], abs=1e-6)
        assert prediction.probability == prediction.top[0][1]


def test_predict_two_classes(photos, tmp_path):
    """Of two classes both are given, and their probabilities sum to 1."""
    model, _ = export_digits(tmp_path / "best", classes=2)
    (prediction,) = predict(load_export(tmp_path / "best"), photos[:1])
    second = float(np.asarray(model(digit_images(1)))[0, 0])
    assert dict(prediction.top) == pytest.approx({"0": 1 - second, "1": second}, abs=1e-6)
    form = prediction.to_json()
    assert json.loads(json.dumps(form)) == form
    assert set(form["top"][0]) == {"label", "probability"}


def test_predict_nothing(export):
    """No images give no predictions."""
    assert predict(load_export(export[0]), []) == []


def test_predict_what_is_no_image(export, tmp_path):
    """A file that is not an image is an error that names it."""
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(DataError, match=r"text\.jpg"):
        predict(load_export(export[0]), [tmp_path / "text.jpg"])


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_broken_images_among_others(export, photos, tmp_path, batch_size):
    """All readable images are classified in their order, and every other one is named with its reason."""
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").touch()
    (tmp_path / "half.png").write_bytes(photos[0].read_bytes()[:60])
    broken = [tmp_path / "text.jpg", tmp_path / "empty.png", tmp_path / "half.png", tmp_path / "absent.png", tmp_path]
    paths = [broken[0], photos[0], *broken[1:], *photos[1:]]
    loaded = load_export(export[0])
    with pytest.raises(
        UnreadableImagesError, match="5 of 10 images cannot be read, the others are classified"
    ) as caught:
        predict(loaded, paths, batch_size)
    assert [found.path for found in caught.value.predictions] == [str(path) for path in photos]
    assert [found.label for found in caught.value.predictions] == [found.label for found in predict(loaded, photos)]
    assert all(str(path) in problem for path, problem in zip(broken, caught.value.problems, strict=True))
    with pytest.raises(UnreadableImagesError, match="2 of 2 images cannot be read, none is classified"):
        predict(loaded, broken[:2], batch_size)


def test_evaluate_folder(export, tmp_path):
    """The scores on a labelled folder are the ones on the images it holds, and unreadable files are named."""
    folder, model = export
    images, labels = digit_images(40), load_digits().target[:40]
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / "test" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(tmp_path / "test" / str(label) / f"{index}.png")
    (tmp_path / "test" / "3" / "broken.png").write_bytes(b"")
    found = evaluate_folder(load_export(folder), tmp_path / "test")
    expected = compute_scores(np.asarray(model(images)), labels, list("0123456789"))
    assert found.scores.confusion_matrix == expected.confusion_matrix
    assert found.scores.accuracy == expected.accuracy
    assert found.scores.loss == pytest.approx(expected.loss, rel=1e-5)
    assert ["broken.png" in skipped.path for skipped in found.skipped] == [True]


@pytest.mark.parametrize("name", ["model.keras", "labels.json", "metrics.json"])
def test_an_incomplete_export(copy, name):
    """A missing file is named."""
    (copy / name).unlink()
    with pytest.raises(ExportError, match=rf"incomplete export in .*best: {name} is missing"):
        load_export(copy)


def test_no_export(tmp_path):
    """A folder that is absent, or is a file, is no export."""
    (tmp_path / "file").write_text("")
    for name in ("nothing", "file"):
        with pytest.raises(ExportError, match=rf"no exported model in .*{name}"):
            load_export(tmp_path / name)


@pytest.mark.parametrize("name", ["model.keras", "labels.json", "metrics.json"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_damaged_export(copy, name, share):
    """A file that is empty or cut short is named."""
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ExportError, match=name):
        load_export(copy)


@pytest.mark.parametrize("form", [[], {"labels": ["a"]}, {"labels": 3, "image_shape": [8, 8, 1], "resize": "stretch"}])
def test_labels_of_another_make(copy, form):
    """A `labels.json` that `search` did not write is told as such."""
    (copy / "labels.json").write_text(json.dumps(form))
    with pytest.raises(ExportError, match=r"invalid content in .*labels.json"):
        load_export(copy)


@pytest.mark.parametrize(("key", "value"), [("labels", ["a", "b"]), ("image_shape", [9, 9, 1])])
def test_labels_of_another_model(copy, key, value):
    """A `labels.json` that does not belong to the model is told as such."""
    form = json.loads((copy / "labels.json").read_text())
    (copy / "labels.json").write_text(json.dumps({**form, key: value}))
    with pytest.raises(ExportError, match="export the model again"):
        load_export(copy)


def test_a_replacement_that_was_cut_short(copy):
    """Between the two steps of a replacement the earlier export is still found."""
    copy.rename(copy.with_name(".best.previous"))
    assert load_export(copy).labels == tuple("0123456789")


def test_a_model_with_code_of_the_users_own_is_read_from_its_saved_model(copy):
    """A process without that code asks the SavedModel, which holds none; without one the message names the code."""

    @keras.saving.register_keras_serializable("tests", "Halved")
    class Halved(keras.layers.Layer):
        def call(self, images):
            return images / 2

    last = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((8, 8, 1)), Halved(), keras.layers.Flatten(), last])
    with quiet_keras():
        model.save(copy / "model.keras")
    shutil.rmtree(copy / "saved_model")
    write_saved_model(model, copy / "saved_model")
    keras.saving.get_custom_objects().pop("tests>Halved")
    images = digit_images(4).astype(np.float32)
    expected = model.predict_on_batch(images)
    np.testing.assert_allclose(load_export(copy).model.predict_on_batch(images), expected, atol=1e-6)
    shutil.rmtree(copy / "saved_model")
    with pytest.raises(ExportError, match=r"custom code \(Halved\)"):
        load_export(copy)
