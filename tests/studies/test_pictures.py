"""The pictures beside an export: what they show, for any names, colours and numbers of classes."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studies.data import Dataset, Split
from studies.pictures import (
    Curve,
    confusion_picture,
    curves_picture,
    draw,
    mean_over_folds,
    mistakes_picture,
    samples_picture,
)
from studies.pictures.labels import FONT, fonts_for, readable

NAMES = ["猫", "a$x^2$", "🐈", "line\nbreak", "العربية", "bad\udcff", "\x07bell", "\\frac{", "<b>", "Größe " * 30]


def pixels(path: Path) -> np.ndarray:
    """(height, width, 3) uint8 of a PNG."""
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def noise(count: int, channels: int, height: int = 8, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), np.uint8)


def history(epochs: int, scale: float = 1.0) -> list[dict[str, float | None]]:
    names = ("loss", "val_loss", "accuracy", "val_accuracy")
    return [{name: scale / epoch for name in names} for epoch in range(1, epochs + 1)]


def has(picture: np.ndarray, colour: str) -> bool:
    """Whether a picture has a pixel of this colour."""
    return bool((picture == [int(colour[k : k + 2], 16) for k in (1, 3, 5)]).all(axis=-1).any())


def test_curves_show_the_best_trial_and_the_baseline(tmp_path):
    """Training, validation and the baseline have a line each; without a baseline its line is missing."""
    best, other = Curve(3, 2, history(4)), Curve(0, None, history(5, 2.0))
    curves_picture(tmp_path / "both.png", "val_accuracy", best, other)
    curves_picture(tmp_path / "alone.png", "val_accuracy", other, other)
    assert all(has(pixels(tmp_path / "both.png"), colour) for colour in ("#4477aa", "#cc6633", "#868b91"))
    assert not has(pixels(tmp_path / "alone.png"), "#868b91")


def test_the_curve_of_folds_is_their_mean():
    """Epochs that count on over folds are put side by side; a fold that ended early has no more."""
    rows = [{"loss": 4.0, "fold": 1.0}, {"loss": 2.0, "fold": 1.0}, {"loss": 6.0, "fold": 2.0}]
    assert [row["loss"] for row in mean_over_folds(rows)] == [5.0, 2.0]
    assert [row["loss"] for row in mean_over_folds([{"loss": 4.0}, {"loss": None}])] == [4.0, None]


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss", "val_auc"])
@pytest.mark.parametrize("epochs", [0, 1, 40])
def test_curves_of_any_length_are_drawn(tmp_path, metric, epochs):
    """Also of no epoch, of a metric that was not recorded, and of values that were not finite."""
    curve = Curve(0, 1, history(epochs) and [{"loss": None, "val_loss": 1e9}, *history(epochs)[1:]])
    curves_picture(tmp_path / "a.png", metric, curve, None)
    assert pixels(tmp_path / "a.png").std() > 1


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_keep_their_colours(tmp_path, channels):
    """A grey image stays grey, and a colour is the one of the image."""
    images = np.zeros((20, 8, 8, channels), np.uint8)
    images[...] = [[[[10, 200, 60][:channels]]]] if channels == 3 else 130
    samples_picture(tmp_path / "a.png", images, np.arange(20) % 2, ["a", "b"])
    picture = pixels(tmp_path / "a.png")
    assert has(picture, "#0ac83c" if channels == 3 else "#828282")
    assert (channels == 3) or (np.ptp(picture, axis=-1) == 0).all()


def test_samples_show_as_many_classes_as_there_is_room_for(tmp_path, monkeypatch):
    """Sixteen images of sixteen classes, however rare; the same ones each time."""
    from studies.pictures import grids

    labels = np.array([0] * 500 + list(range(1, 16)))
    chosen = grids._of_every_class(labels)
    assert sorted(labels[chosen]) == list(range(16))
    assert (chosen == grids._of_every_class(labels)).all()
    assert len(grids._of_every_class(np.zeros(3, np.int64))) == 3


def test_names_of_any_kind_are_drawn_without_a_warning(tmp_path):
    """Formulas, emoji, control characters, undecodable bytes and long names are text like any other."""
    labels = np.arange(40) % len(NAMES)
    samples_picture(tmp_path / "samples.png", noise(40, 3), labels, NAMES)
    confusion_picture(tmp_path / "confusion.png", np.eye(len(NAMES), dtype=int) * 7, NAMES)
    mistakes_picture(tmp_path / "mistakes.png", noise(40, 1), labels, np.full((40, len(NAMES)), 0.1), NAMES)
    assert {path.name for path in tmp_path.iterdir()} == {"samples.png", "confusion.png", "mistakes.png"}


def test_long_names_keep_their_ends():
    """Two names that differ only at the end stay different, and no name runs into its neighbour."""
    first, second = readable(["a" * 60 + "1", "a" * 60 + "2"], 20)
    assert first != second
    assert {len(first), len(second)} == {20}
    assert readable(["x y\n z", "cost $5"]) == ["x y z", r"cost \$5"]


def test_fonts_are_added_only_where_they_are_needed():
    """Latin text is drawn in the font that comes with matplotlib."""
    assert fonts_for(["Größe", "cat"]) == [FONT]


@pytest.mark.parametrize("classes", [2, 10, 100, 300])
def test_confusion_matrices_of_any_size_are_drawn(tmp_path, classes):
    """The picture grows with the classes, up to what a screen shows; a class without images is no error."""
    counts = np.diag(np.arange(classes))
    confusion_picture(tmp_path / "a.png", counts, [f"class {index}" for index in range(classes)])
    height, width, _ = pixels(tmp_path / "a.png").shape
    assert 400 < height <= 1600
    assert 400 < width <= 1800


def test_mistakes_are_the_surest_wrong_ones(tmp_path):
    """Only wrong images are drawn, the most probable first; without any there is no picture."""
    images = np.zeros((3, 8, 8, 3), np.uint8)
    images[1], images[2] = (255, 0, 0), (0, 255, 0)
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.8, 0.2]])
    assert mistakes_picture(tmp_path / "a.png", images, np.array([0, 1, 1]), probabilities, ["a", "b"])
    picture = pixels(tmp_path / "a.png")
    columns = [np.flatnonzero((picture == colour).all(-1).any(0)).min() for colour in ([0, 255, 0], [255, 0, 0])]
    assert columns[0] < columns[1]
    assert not mistakes_picture(tmp_path / "b.png", images, np.array([0, 0, 0]), probabilities, ["a", "b"])
    assert not (tmp_path / "b.png").exists()


def test_all_pictures_of_an_export_are_named(tmp_path):
    """What is drawn is what is told, so that the card shows no picture that is not there."""
    part = Split(noise(6, 3), np.arange(6) % 2)
    data = Dataset(part, part, part, ("a", "b"))
    right = np.eye(len(data.classes))[data.test.labels]
    curves = (Curve(1, 1, history(2)), Curve(0, None, history(2)))
    for probabilities in (right, 1 - right):
        folder = tmp_path / str(probabilities[0, 0])
        folder.mkdir()
        names = draw(folder, "val_accuracy", curves, data, probabilities)
        assert {path.name for path in folder.iterdir()} == set(names)
        assert ("mistakes.png" in names) == (probabilities is not right)
