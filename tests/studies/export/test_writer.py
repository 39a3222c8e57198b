import json
import os
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from spaces import from_json
from spaces.errors import ExportError, OutputError
from studies.backend.quiet import quiet_keras
from studies.export import formats, writer
from studies.export.card import model_card
from studies.export.card_code import usage_code
from studies.export.export_folder import STALE_EXPORT_SECONDS, previous_export
from tests.support.exports import RECIPE, SHAPE, digit_images, digit_model, export_digits

FILES = {"model.keras", "saved_model", "labels.json", "recipe.json", "metrics.json", "CARD.md"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An export of ten classes: its folder, the model in memory and the metrics."""
    folder = tmp_path_factory.mktemp("runs") / "study" / "best"
    return folder, *export_digits(folder)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_what_is_written(exported):
    """All files are there and nothing else, also beside the folder."""
    folder, _, metrics = exported
    assert {path.name for path in folder.iterdir()} == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["best"]
    labels = read(folder / "labels.json")
    assert labels == {
        "labels": [str(digit) for digit in range(10)],
        "image_shape": [8, 8, 1],
        "resize": "stretch",
        "value_range": [0, 255],
    }
    assert from_json(read(folder / "recipe.json")) == RECIPE
    assert read(folder / "metrics.json") == metrics


def test_metrics_hold_the_differences(exported):
    """For each format the largest difference stands in the metrics, with the versions."""
    _, _, metrics = exported
    assert set(metrics["exports"]) == {"keras", "saved_model"}
    assert all(form["max_abs_difference"] <= 1e-6 for form in metrics["exports"].values())
    assert metrics["versions"]["keras"] == keras.__version__
    assert metrics["best"]["number"] == 4


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_plain_keras_loads_it(exported, dtype):
    """The file answers to raw images, whole numbers or floats, as the model in memory does."""
    folder, model, _ = exported
    images = digit_images(20)
    loaded = keras.models.load_model(folder / "model.keras")
    np.testing.assert_allclose(loaded.predict(images.astype(dtype), verbose=0), model(images), atol=1e-6)


def test_tensorflow_alone_serves_it(exported):
    """The SavedModel answers by both endpoints and by its default signature, any number of images at once."""
    tf = pytest.importorskip("tensorflow")
    folder, model, _ = exported
    loaded = tf.saved_model.load(str(folder / "saved_model"))
    for count in (1, 20):
        images = digit_images(count)
        expected = keras.ops.convert_to_numpy(model(images))
        floats = tf.constant(images, tf.float32)
        np.testing.assert_allclose(loaded.serve(floats), expected, atol=1e-6)
        np.testing.assert_allclose(loaded.serve_uint8(tf.constant(images)), expected, atol=1e-6)
        (answer,) = loaded.signatures["serving_default"](floats).values()
        np.testing.assert_allclose(answer, expected, atol=1e-6)


def test_the_card(exported):
    """The card tells the classes, the test result, how the model was found, and its use."""
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


def test_names_are_text_in_the_card():
    """A class may be called like Markdown or HTML, and is shown as it is called."""
    form = {"labels": ["<b>x", "a|b", "*c* `d` [e](f)", "g\\h\ni", "snake_case"], "image_shape": [8, 8, 1]}
    card = model_card({}, {**form, "resize": "stretch"})
    for line in (r"0. \<b>x", r"1. a\|b", r"2. \*c\* \`d\` \[e](f)", r"3. g\\h i", "4. snake_case"):
        assert f"\n{line}\n" in card


def test_the_cards_code_runs(exported, capsys, monkeypatch):
    """The code in the card, run in the folder, prints the model's probabilities."""
    folder, model, _ = exported
    image = digit_images(1)[0]
    photo = folder / "photo.jpg"
    Image.fromarray(image[:, :, 0]).save(photo, format="PNG")
    monkeypatch.chdir(folder)
    try:
        exec(compile(usage_code(read(folder / "labels.json")), "CARD.md", "exec"), {})
    finally:
        photo.unlink()
    printed = eval(capsys.readouterr().out)
    assert list(printed) == [str(digit) for digit in range(10)]
    np.testing.assert_allclose(list(printed.values()), model(image[None])[0], atol=1e-6)


@pytest.mark.parametrize("resize", ["crop", "pad"])
def test_the_cards_code_for_two_classes(resize, tmp_path, capsys, monkeypatch):
    """The code is as right for two classes, colour, and the other ways of resizing."""
    model = keras.Sequential([keras.Input((6, 9, 3)), keras.layers.Rescaling(1 / 255)])
    model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    with quiet_keras():
        model.save(tmp_path / "model.keras")
    form = {"labels": ["a", "b"], "image_shape": [6, 9, 3], "resize": resize}
    (tmp_path / "labels.json").write_text(json.dumps(form))
    Image.effect_noise((40, 30), 90).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(usage_code(form), "CARD.md", "exec"), {})
    assert sum(eval(capsys.readouterr().out).values()) == pytest.approx(1.0)


def test_an_earlier_export_is_replaced(tmp_path):
    """A new export takes the place of the old one as a whole."""
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "old.txt").write_text("old")
    export_digits(tmp_path / "best")
    assert {path.name for path in (tmp_path / "best").iterdir()} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_an_earlier_export_outlives_a_failure(tmp_path):
    """When the new export fails, the old one stands as it was, with nothing left beside it."""
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "old.txt").write_text("old")

    def interrupted(exports):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_digits(tmp_path / "best", metrics=interrupted)
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["old.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_folder_that_cannot_take_its_place(tmp_path, monkeypatch):
    """When the last step fails, the old export is put back."""
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "old.txt").write_text("old")
    rename = type(tmp_path).rename

    def refusing(path, target):
        if ".new-" in path.name:
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(type(tmp_path), "rename", refusing)
    with pytest.raises(OutputError, match=r"cannot write .*best: Permission denied"):
        export_digits(tmp_path / "best")
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    assert (tmp_path / "best" / "old.txt").read_text() == "old"


def test_a_folder_that_cannot_be_made(tmp_path):
    """A path that cannot be a folder is an output error that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/best: Not a directory"):
        export_digits(tmp_path / "file" / "best")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("h5: No space left on device")])
def test_a_full_disk(error, tmp_path, monkeypatch):
    """A full disk is an output error, however a library tells it, and leaves nothing behind."""

    def full(self, *args, **more):
        raise error

    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(OutputError, match=r"best: No space left on device"):
        export_digits(tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_answers_otherwise(tmp_path, monkeypatch):
    """A file whose model gives other probabilities is never left as an export."""
    other = digit_model()
    other.set_weights([weight + 0.1 for weight in other.get_weights()])
    monkeypatch.setattr(writer.keras.models, "load_model", lambda *args, **more: other)
    with pytest.raises(ExportError, match=r"model.keras: the probabilities differ by .* \(allowed: 0.0001\)"):
        export_digits(tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("factor", "allowed"), [(1.0, 1e-4), (1e5, 0.02)])
def test_rounding_that_the_network_amplifies_is_allowed(factor, allowed):
    """A network whose answers hang on the last digit of a pixel is not refused for it, within bounds."""
    images = keras.Input(SHAPE)
    scaled = keras.layers.Rescaling(factor)(keras.layers.GlobalAveragePooling2D()(images))
    model = keras.Model(images, keras.layers.Activation("sigmoid")(scaled - factor * 128))
    samples = np.full((2, *SHAPE), 128, np.uint8)
    answers = np.asarray(model(samples))
    assert formats.allowed_difference(model, samples, answers) == pytest.approx(allowed)


def test_a_layer_that_plain_keras_does_not_know(tmp_path):
    """A layer of one's own that cannot be saved and loaded is told with what it needs."""

    class Scale(keras.layers.Layer):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def call(self, images):
            return images * self.factor

    images = keras.Input(SHAPE)
    hidden = keras.layers.Flatten()(Scale(2.0)(images))
    model = keras.Model(images, keras.layers.Dense(10, activation="softmax")(hidden))
    with pytest.raises(ExportError, match=r"model.keras: the model could not be .*\nhint: .*need get_config\(\)"):
        writer.export_model(
            model,
            tmp_path / "best",
            labels=list("0123456789"),
            image_shape=SHAPE,
            resize="stretch",
            recipe_json={},
            metrics=lambda exports: {},
            samples=digit_images(),
        )


def test_leftovers_of_killed_exports(tmp_path):
    """What a killed export left is removed when it is old, and another process's work is left alone."""
    for name, age in ((".best.new-1", 2 * STALE_EXPORT_SECONDS), (".best.new-2", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    export_digits(tmp_path / "best")
    assert {path.name for path in tmp_path.iterdir()} == {"best", ".best.new-2"}


def test_values_that_json_has_no_form_for(tmp_path):
    """NaN and infinity become null."""
    _, metrics = export_digits(tmp_path / "best", metrics=lambda exports: {"baseline": {"value": float("nan")}})
    assert metrics["baseline"] == {"value": None}
    assert read(tmp_path / "best" / "metrics.json")["baseline"] == {"value": None}


def test_previous_export_stands_beside():
    """The earlier export's name in the instant of replacement is hidden and beside the folder."""
    assert previous_export(RUNS).parent == RUNS.parent
    assert previous_export(RUNS).name == ".best.previous"


RUNS = writer.Path("runs/study/best")


@pytest.mark.optional
@pytest.mark.slow
def test_without_tensorflow_the_saved_model_is_skipped(tmp_path):
    """On another backend the folder has all but the SavedModel, and the metrics say why."""
    pytest.importorskip("jax")
    code = (
        "import sys; from pathlib import Path; from tests.support.exports import export_digits; "
        "print(export_digits(Path(sys.argv[1]))[1]['exports'])"
    )
    env = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "best")], env=env, capture_output=True, text=True, check=True
    )
    assert "needs the tensorflow backend, not jax" in done.stdout
