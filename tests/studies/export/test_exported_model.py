import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from spaces.errors import ExportError, UnreadableImagesError
from studies.backend.quiet import quiet_keras
from studies.export.exported_model import evaluate_folder, load_export, predict
from studies.export.tensorflow_saved_model import write_saved_model
from studies.training.scores import compute_scores
from tests.support.exports import digit_images, export_digits


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """An export of ten classes and its model in memory."""
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


@pytest.mark.parametrize("batch_size", [2, 64])
def test_predictions_have_the_three_most_probable_classes(export, photos, batch_size):
    """Each image gets its three most probable classes in order, in batches of any size."""
    folder, model = export
    loaded = load_export(folder)
    assert (loaded.labels, loaded.image_shape, loaded.resize) == (tuple("0123456789"), (8, 8, 1), "stretch")
    assert loaded.metrics["study"] == "digits"
    assert predict(loaded, [], batch_size) == []
    found = predict(loaded, photos, batch_size)
    for path, prediction, row in zip(photos, found, np.asarray(model(digit_images(5))), strict=True):
        order = np.argsort(-row)[:3]
        assert (prediction.path, prediction.label) == (str(path), str(order[0]))
        assert [label for label, _ in prediction.top] == [str(index) for index in order]
        assert [probability for _, probability in prediction.top] == pytest.approx(row[order], abs=1e-6)
        assert prediction.probability == prediction.top[0][1]


def test_two_classes_have_complementary_probabilities(photos, tmp_path):
    """Both classes are returned, with probabilities that sum to 1."""
    model, _ = export_digits(tmp_path / "best", classes=2)
    (prediction,) = predict(load_export(tmp_path / "best"), photos[:1])
    second = float(np.asarray(model(digit_images(1)))[0, 0])
    assert dict(prediction.top) == pytest.approx({"0": 1 - second, "1": second}, abs=1e-6)
    form = prediction.to_json()
    assert json.loads(json.dumps(form)) == form
    assert set(form["top"][0]) == {"label", "probability"}


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_broken_images_do_not_stop_the_others(export, photos, tmp_path, batch_size):
    """All readable images are classified in order, and each other one is named with its error."""
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").touch()
    (tmp_path / "half.png").write_bytes(photos[0].read_bytes()[:60])
    broken = [tmp_path / "text.jpg", tmp_path / "empty.png", tmp_path / "half.png", tmp_path / "absent.png", tmp_path]
    paths = [broken[0], photos[0], *broken[1:], *photos[1:]]
    loaded = load_export(export[0])
    with pytest.raises(UnreadableImagesError, match="5 of 10 images cannot be read, the others are") as caught:
        predict(loaded, paths, batch_size)
    assert [found.path for found in caught.value.predictions] == [str(path) for path in photos]
    assert [found.label for found in caught.value.predictions] == [found.label for found in predict(loaded, photos)]
    assert all(str(path) in problem for path, problem in zip(broken, caught.value.problems, strict=True))
    with pytest.raises(UnreadableImagesError, match="2 of 2 images cannot be read, none is classified"):
        predict(loaded, broken[:2], batch_size)


def test_folder_is_scored(export, tmp_path):
    """The scores are those of the readable images, and unreadable files are named."""
    folder, model = export
    images, labels = digit_images(40), load_digits().target[:40]
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / "test" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(tmp_path / "test" / str(label) / f"{index}.png")
    (tmp_path / "test" / "3" / "broken.png").write_bytes(b"")
    found = evaluate_folder(load_export(folder), tmp_path / "test")
    expected = compute_scores(np.asarray(model(images)), labels, list("0123456789"))
    assert found.scores.confusion_matrix == expected.confusion_matrix
    assert (found.scores.accuracy, found.scores.loss) == pytest.approx((expected.accuracy, expected.loss), rel=1e-5)
    assert ["broken.png" in skipped.path for skipped in found.skipped] == [True]


@pytest.mark.parametrize("name", ["model.keras", "labels.json", "metrics.json"])
@pytest.mark.parametrize("fraction", [None, 0.0, 0.5])
def test_incomplete_export_is_refused(copy, name, fraction):
    """A file that is missing, empty or truncated is named; a file or a missing folder is no export."""
    content = (copy / name).read_bytes()
    (copy / name).unlink()
    if fraction is not None:
        (copy / name).write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(ExportError, match=name if fraction is not None else f"{name} is missing"):
        load_export(copy)
    for other in (copy / "CARD.md", copy / "nothing"):
        with pytest.raises(ExportError, match=rf"no exported model in .*{other.name}"):
            load_export(other)


FORM = {"labels": [*"0123456789"], "image_shape": [8, 8, 1], "resize": "stretch"}


@pytest.mark.parametrize(
    "form",
    [[], {"labels": ["a"]}, {**FORM, "labels": 3}, {**FORM, "labels": ["a", "b"]}, {**FORM, "image_shape": [9, 9, 1]}],
)
def test_foreign_labels_are_refused(copy, form):
    """A `labels.json` that has another structure or belongs to another model is named."""
    (copy / "labels.json").write_text(json.dumps(form))
    with pytest.raises(ExportError, match=r"labels.json(.|\n)*export the model again"):
        load_export(copy)


def test_interrupted_replacement_still_loads(copy):
    """Between the two renames of a replacement the earlier export is loaded."""
    copy.rename(copy.with_name(".best.previous"))
    assert load_export(copy).labels == tuple("0123456789")


def test_custom_code_is_loaded_from_the_saved_model(copy):
    """A process without the custom code loads the SavedModel; without one the error names the code."""

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
