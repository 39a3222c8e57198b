import json
from unittest.mock import Mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from spaces import from_json
from spaces.errors import ExportError, OutputError
from studies.export import formats, writer
from studies.export.card import model_card
from studies.export.card_code import usage_code
from tests.support.exports import RECIPE, SHAPE, digit_images, digit_model, export_digits

FILES = {"model.keras", "saved_model", "labels.json", "recipe.json", "metrics.json", "CARD.md"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An export of ten classes: its folder, the model in memory and the metrics."""
    folder = tmp_path_factory.mktemp("runs") / "study" / "best"
    return folder, *export_digits(folder)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_export_contains_all_files_and_differences(exported):
    """All files are written and nothing else; the metrics contain each format's difference and the versions."""
    folder, _, metrics = exported
    assert {path.name for path in folder.iterdir()} == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["best"]
    labels = {"labels": [*"0123456789"], "image_shape": [8, 8, 1], "resize": "stretch", "value_range": [0, 255]}
    assert read(folder / "labels.json") == labels
    assert from_json(read(folder / "recipe.json")) == RECIPE
    assert read(folder / "metrics.json") == metrics
    assert set(metrics["exports"]) == {"keras", "saved_model"}
    assert all(form["max_abs_difference"] <= 1e-6 for form in metrics["exports"].values())
    assert (metrics["versions"]["keras"], metrics["best"]["number"]) == (keras.__version__, 4)


def test_exported_files_give_the_probabilities_of_the_model(exported):
    """Plain Keras takes integers and floats; TensorFlow serves any number of images by each of its endpoints."""
    folder, model, _ = exported
    keras_model, served = keras.models.load_model(folder / "model.keras"), tf.saved_model.load(folder / "saved_model")
    for count in (1, 20):
        images = digit_images(count)
        floats = tf.constant(images, tf.float32)
        answers = [keras_model.predict(images, verbose=0), keras_model.predict(images.astype("float32"), verbose=0)]
        answers += [served.serve(floats), served.serve_uint8(tf.constant(images))]
        for answer in (*answers, *served.signatures["serving_default"](floats).values()):
            np.testing.assert_allclose(answer, keras.ops.convert_to_numpy(model(images)), atol=1e-6)


def test_card_describes_the_model(exported):
    """The card contains the classes, the test result, the origin of the model and its use."""
    folder, _, metrics = exported
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# digits\n")
    for text in (
        "8 x 8 pixels (grey)",
        f"| accuracy | {metrics['test']['accuracy']:.4f} |",
        f"| AUC | {metrics['test']['auc']:.4f} |",
        f"| top-5 accuracy | {metrics['test']['top_5_accuracy']:.4f} |",
        "trials: 7 complete, 2 pruned, 1 failed",
        "trial 4, 0.9800 in epoch 6",
        "| `backbone.cnn.filters` | `32` |",
        "search predict FOLDER photo.jpg",
        f"keras {keras.__version__}",
    ):
        assert text in card
    form = read(folder / "labels.json")
    assert f"```python\n{usage_code(form)}```" in card


def test_card_escapes_class_names():
    """Class names that look like Markdown or HTML are shown literally."""
    form = {"labels": ["<b>x", "a|b", "*c* `d` [e](f)", "g\\h\ni", "snake_case"], "image_shape": [8, 8, 1]}
    card = model_card({}, {**form, "resize": "stretch"})
    for line in (r"0. \<b>x", r"1. a\|b", r"2. \*c\* \`d\` \[e](f)", r"3. g\\h i", "4. snake_case"):
        assert f"\n{line}\n" in card


@pytest.fixture
def best(tmp_path):
    """A folder with an earlier export."""
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "old.txt").write_text("old")
    return tmp_path / "best"


def test_earlier_export_survives_a_failure(best, monkeypatch):
    """If the new export fails, also in its last step, the old one is restored and nothing else is left."""
    rename = type(best).rename

    def refusing(path, target):
        if ".new-" in path.name:
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    with pytest.raises(KeyboardInterrupt):
        export_digits(best, metrics=Mock(side_effect=KeyboardInterrupt))
    with monkeypatch.context() as patch:
        patch.setattr(type(best), "rename", refusing)
        with pytest.raises(OutputError, match=r"best: Permission denied"):
            export_digits(best)
    assert [str(path.relative_to(best.parent)) for path in best.parent.rglob("*")] == ["best", "best/old.txt"]
    export_digits(best)
    assert {path.name for path in best.iterdir()} == FILES
    assert [path.name for path in best.parent.iterdir()] == ["best"]


def test_invalid_folder_is_refused(tmp_path):
    """A path that cannot be a folder is an output error with its name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/best: Not a directory"):
        export_digits(tmp_path / "file" / "best")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(28, "No space left on device"), OutputError, "best: No space left on device"),
        (RuntimeError("h5: No space left on device"), OutputError, "best: No space left on device"),
        (ValueError("unknown layer"), ExportError, r"model.keras: .*: unknown layer\nhint: custom layers"),
    ],
)
def test_failed_write_leaves_nothing(error, kind, message, tmp_path, monkeypatch):
    """A full disk, however a library reports it, is an output error, any other failure an export error with a hint."""
    monkeypatch.setattr(keras.Model, "save", Mock(side_effect=error))
    with pytest.raises(kind, match=message):
        export_digits(tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


def test_format_with_other_probabilities_is_refused(tmp_path, monkeypatch):
    """A file that gives other probabilities never becomes an export."""
    other = digit_model()
    other.set_weights([weight + 0.1 for weight in other.get_weights()])
    monkeypatch.setattr(writer.keras.models, "load_model", Mock(return_value=other))
    with pytest.raises(ExportError, match=r"model.keras: the probabilities differ by .* \(allowed: 0.0001\)"):
        export_digits(tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("factor", "allowed"), [(1.0, 1e-4), (1e5, 0.02)])
def test_amplified_rounding_is_allowed(factor, allowed):
    """A network that amplifies the last digit of a pixel may differ more, within bounds."""
    images = keras.Input(SHAPE)
    scaled = keras.layers.Rescaling(factor)(keras.layers.GlobalAveragePooling2D()(images))
    model = keras.Model(images, keras.layers.Activation("sigmoid")(scaled - factor * 128))
    samples = np.full((2, *SHAPE), 128, np.uint8)
    answers = np.asarray(model(samples))
    assert formats.allowed_difference(model, samples, answers) == pytest.approx(allowed)


def test_nan_becomes_null(tmp_path):
    """NaN and infinity become null."""
    _, metrics = export_digits(tmp_path / "best", metrics=lambda exports: {"baseline": {"value": float("nan")}})
    assert metrics["baseline"] == {"value": None}
    assert read(tmp_path / "best" / "metrics.json")["baseline"] == {"value": None}
