"""The plots of an export show the data for any names, colours and numbers of classes."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studies.data.dataset import Dataset, Split
from studies.export.plots import confusion, grids, labels
from studies.export.plots.confusion import plot_confusion
from studies.export.plots.curves import Curve, mean_over_folds, plot_curves
from studies.export.plots.drawing import draw_plots
from studies.export.plots.grids import plot_mistakes, plot_samples
from studies.export.plots.labels import FONT, NOTE, fonts_for, needs_note, number_undrawable, wrap_label

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
    plot_curves(tmp_path / "both.png", "val_accuracy", best, other)
    plot_curves(tmp_path / "alone.png", "val_accuracy", other, other)
    assert all(has(pixels(tmp_path / "both.png"), colour) for colour in ("#4477aa", "#cc6633", "#868b91"))
    assert not has(pixels(tmp_path / "alone.png"), "#868b91")


def test_curve_of_folds_is_their_mean():
    """Epochs are averaged over folds; a fold that ended early is missing in later epochs."""
    rows = [{"loss": 4.0, "fold": 1.0}, {"loss": 2.0, "fold": 1.0}, {"loss": 6.0, "fold": 2.0}]
    assert [row["loss"] for row in mean_over_folds(rows)] == [5.0, 2.0]
    assert [row["loss"] for row in mean_over_folds([{"loss": 4.0}, {"loss": None}])] == [4.0, None]


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss", "val_auc"])
@pytest.mark.parametrize("epochs", [0, 1, 40])
def test_curves_of_any_length_are_drawn(tmp_path, metric, epochs):
    """Curves without epochs, without the metric or with non-finite values are drawn."""
    curve = Curve(0, 1, history(epochs) and [{"loss": None, "val_loss": 1e9}, *history(epochs)[1:]])
    plot_curves(tmp_path / "a.png", metric, curve, None)
    assert pixels(tmp_path / "a.png").std() > 1


@pytest.mark.parametrize(("colour", "shown"), [([130], "#828282"), ([10, 200, 60], "#0ac83c")])
def test_samples_keep_their_colours(tmp_path, colour, shown):
    """A grey image stays grey, and a colour is the one of the image."""
    plot_samples(tmp_path / "a.png", np.full((20, 8, 8, len(colour)), colour, np.uint8), np.arange(20) % 2, ["a", "b"])
    picture = pixels(tmp_path / "a.png")
    assert has(picture, shown)
    assert (np.ptp(picture, axis=-1) == 0).all() == (len(colour) == 1)


def test_samples_show_as_many_classes_as_possible():
    """Sixteen images show sixteen classes, however rare, and are always the same."""
    labels = np.array([0] * 500 + list(range(1, 16)))
    chosen = grids._choose_samples(labels)
    assert sorted(labels[chosen]) == list(range(16))
    assert (chosen == grids._choose_samples(labels)).all()
    assert len(grids._choose_samples(np.zeros(3, np.int64))) == 3


def test_long_names_keep_their_ends():
    """Two names that differ only at the end stay different after shortening; line breaks and dollars are escaped."""
    first, second = number_undrawable(["a" * 300 + "1", "a" * 300 + "2"])
    assert first != second
    assert len(first) == len(second) == labels.MAX_NAME_LENGTH
    assert [wrap_label(name, 9.0, 9) for name in number_undrawable(["x y\n z", "cost $5"])] == ["x y z", r"cost \$5"]


LONG = "the_quite_long_name_of_a_class_as_found_in_botanical_data_sets_with_authors_1842"


def figures_of(monkeypatch, draw) -> list:
    """Return the figures that a function saves, drawn but not written."""
    found = []
    for module in (confusion, grids):
        monkeypatch.setattr(module, "save", lambda figure, path: found.append(figure))
    draw()
    for figure in found:
        figure.canvas.draw()
    return found


def is_inside(figure, text) -> bool:
    box = text.get_window_extent()
    return min(*box.min) >= -1 and (box.max <= figure.bbox.max + 1).all()


@pytest.mark.parametrize(
    "classes",
    [
        ["a", LONG],
        [f"{index}_{LONG}" for index in range(25)],
        [f"{LONG[:40]}_{index}" for index in range(60)],
        ["W" * 255, "i" * 255, LONG],
        ["犬" * 20, "cat"],
        NAMES,
    ],
    ids=["two", "25", "60", "longest", "codes", "any"],
)
def test_names_are_complete_and_inside_the_figure(monkeypatch, classes):
    """No name is cut off at an edge, shortened, or drawn over the next one."""
    matrix = np.eye(len(classes), dtype=int)
    (figure,) = figures_of(monkeypatch, lambda: plot_confusion(Path("a.png"), matrix, classes))
    for axis, side in ((figure.axes[0].xaxis, "x"), (figure.axes[0].yaxis, "y")):
        texts = axis.get_ticklabels()
        assert len(texts) == len(classes)
        assert all(is_inside(figure, text) for text in texts)
        boxes = [text.get_window_extent() for text in texts]
        edges = sorted((getattr(box, f"{side}0"), getattr(box, f"{side}1")) for box in boxes)
        assert all(first[1] <= second[0] + 1.5 for first, second in itertools.pairwise(edges))
    shown = ["".join(text.get_text().split()) for text in figure.axes[0].get_yticklabels()]
    assert shown == ["".join(name.split()).replace("$", r"\$") for name in number_undrawable(classes)]


@pytest.mark.parametrize(
    "classes",
    [
        pytest.param(NAMES, id="any"),
        pytest.param(["a", LONG], id="two", marks=pytest.mark.slow),
        pytest.param(["W" * 255, "i" * 255, LONG], id="longest", marks=pytest.mark.slow),
    ],
)
def test_captions_are_complete_and_inside_the_figure(monkeypatch, classes):
    """Captions are wrapped, and no line is wider than its column."""
    labels, probabilities = np.arange(40) % len(classes), np.full((40, len(classes)), 0.1)

    def draw():
        plot_samples(Path("a.png"), noise(40, 3), labels, classes)
        plot_mistakes(Path("b.png"), noise(40, 3), labels, probabilities, classes)

    for figure in figures_of(monkeypatch, draw):
        texts = [axes.title for axes in figure.axes if axes.title.get_text()]
        assert texts
        assert all(is_inside(figure, text) for text in texts)
        columns = sorted({round(axes.get_position().x0 * figure.bbox.x1) for axes in figure.axes})
        room = min(np.diff(columns)) if len(columns) > 1 else figure.bbox.x1
        assert max(text.get_window_extent().width for text in texts) <= room


def test_undrawable_names_have_numbers_and_codes(monkeypatch):
    """Undrawable names stay different, and a note says where to read them."""
    monkeypatch.setattr(labels, "_fallback_fonts", lambda: ())
    labels._has_font.cache_clear()
    assert number_undrawable(["cat", "猫", "x 犬"]) == ["cat", r"1: \u732b", r"2: x \u72ac"]
    assert wrap_label(r"1: \u732b\u72ac", 0.6, 9).split("\n")[-1] == r"\u72ac"
    matrix = np.eye(2, dtype=int)
    for classes, expected in ((["a", "b"], False), (["a", "猫"], True)):
        (figure,) = figures_of(monkeypatch, lambda classes=classes: plot_confusion(Path("a"), matrix, classes))
        written = [text.get_text().replace("\n", " ") for text in figure.texts]
        assert (NOTE in written) == expected
    labels._has_font.cache_clear()


def test_invisible_characters_are_omitted():
    """Joiners and variation selectors, as in emoji and Persian, leave no code or square."""
    assert number_undrawable(["a\u200db\ufe0f", "\u200fc", "d\x07"]) == ["ab", "c", "d\N{WHITE SQUARE}"]


def test_fallback_font_is_used_for_missing_characters():
    """A name with characters that only another font has uses both fonts; Latin text only the default font."""
    usual = labels._characters(labels._file_of(FONT))
    font = next(font for font in labels._fallback_fonts() if labels._characters(font.fname) - usual)
    name = "a" + next(chr(code) for code in sorted(labels._characters(font.fname) - usual) if chr(code).isprintable())
    assert number_undrawable([name]) == [name]
    assert (fonts_for([name])[0], len(fonts_for([name]))) == (FONT, 2)
    assert fonts_for(["Größe", "cat\nlines"]) == [FONT]


@pytest.mark.parametrize("name", ["猫", "いぬ", "고양이", "强化学习 cat", "學習"])
def test_chinese_japanese_and_korean_names_are_drawn(name):
    """With the font package no character is replaced by its code, and no note is needed."""
    assert (number_undrawable([name, "dog"]), needs_note([name])) == ([name, "dog"], False)
    assert (fonts_for([name])[0], len(fonts_for([name])) > 1) == (FONT, True)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 10, 100, 300])
def test_confusion_matrices_of_any_size_are_drawn(tmp_path, classes):
    """The figure grows with the classes up to a screen's size; a class may have no images."""
    counts = np.diag(np.arange(classes))
    plot_confusion(tmp_path / "a.png", counts, [f"class {index}" for index in range(classes)])
    height, width, _ = pixels(tmp_path / "a.png").shape
    assert 400 < height <= 1600
    assert 400 < width <= 1800


def test_mistakes_have_the_highest_confidence(tmp_path):
    """Only wrong images are drawn, the most confident first; without any there is no file."""
    images = np.zeros((3, 8, 8, 3), np.uint8)
    images[1], images[2] = (255, 0, 0), (0, 255, 0)
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.8, 0.2]])
    assert plot_mistakes(tmp_path / "a.png", images, np.array([0, 1, 1]), probabilities, ["a", "b"])
    picture = pixels(tmp_path / "a.png")
    columns = [np.flatnonzero((picture == colour).all(-1).any(0)).min() for colour in ([0, 255, 0], [255, 0, 0])]
    assert columns[0] < columns[1]
    assert not plot_mistakes(tmp_path / "b.png", images, np.array([0, 0, 0]), probabilities, ["a", "b"])
    assert not (tmp_path / "b.png").exists()


def test_drawn_files_are_returned(tmp_path):
    """The returned names are exactly the written files, so that the card shows no missing plot."""
    part = Split(noise(6, 3), np.arange(6) % 2)
    data = Dataset(part, part, part, ("a", "b"))
    right = np.eye(len(data.classes))[data.test.labels]
    curves = (Curve(1, 1, history(2)), Curve(0, None, history(2)))
    drawn = draw_plots(tmp_path, "val_accuracy", curves, data, right)
    assert {path.name for path in tmp_path.iterdir()} == set(drawn)
    assert set(draw_plots(tmp_path, "val_accuracy", curves, data, 1 - right)) - {*drawn} == {"mistakes.png"}
    assert (tmp_path / "mistakes.png").exists()
