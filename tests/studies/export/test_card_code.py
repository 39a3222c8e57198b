"""The code in a model card reads the same pixels as training, from any kind of file."""

import json
import warnings

import keras
import numpy as np
import pytest
from PIL import Image

from studies.backend.quiet import quiet_keras
from studies.export.card_code import evaluation_code, usage_code
from studies.images.decoding import ImageFormat, decode_pixels, quiet_pillow, read_image
from tests.support.images import picture
from tests.support.kinds import every_kind, png

KINDS = dict(every_kind())
FORMS = [
    ImageFormat(12, 20, 3, "stretch"),
    ImageFormat(16, 16, 1, "stretch"),
    ImageFormat(18, 10, 3, "crop"),
    ImageFormat(9, 24, 3, "pad"),
]


@pytest.fixture(scope="module")
def readers():
    """`read_pixels` of the card for each image format, without its model."""
    largest = Image.MAX_IMAGE_PIXELS
    found = {}
    for form in FORMS:
        code = usage_code({"labels": ["a", "b"], "image_shape": form.shape, "resize": form.resize})
        names: dict = {}
        exec(code.split("model = ")[0], names)
        found[form] = names["read_pixels"]
    yield found
    Image.MAX_IMAGE_PIXELS = largest


@pytest.mark.parametrize("kind", KINDS)
def test_card_reads_the_same_pixels_as_training(readers, tmp_path, kind):
    """The pixels are equal for files of every format, mode, depth and orientation."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(KINDS[kind])
    for form in FORMS:
        expected = read_image(path, form.shape, form.resize)
        found = readers[form](path)
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected), form


def test_16_bit_images_keep_their_levels():
    """The high byte of a 16-bit image is used, and its transparent level is white."""
    values = (np.arange(64, dtype=np.uint16).reshape(8, 8, 1) * 1024).astype(">u2")
    form = ImageFormat(8, 8, 1, "stretch")
    expected = np.arange(0, 256, 4).reshape(8, 8, 1)
    assert np.array_equal(decode_pixels(png(0, values), form), expected)
    found = decode_pixels(png(0, values, (1024).to_bytes(2, "big")), form)
    assert np.array_equal(found, np.where(expected == 4, 255, expected))


@pytest.mark.parametrize("orientation", [1, 6])
def test_card_reads_huge_photos(readers, tmp_path, orientation):
    """A JPEG file above Pillow's limit is read the same way, without a warning."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture(0, 9, 12)[..., 0]).resize((12_000, 9_000), Image.Resampling.NEAREST).save(path, exif=exif)
    for form in FORMS[1:3]:
        with quiet_pillow():
            expected = read_image(path, form.shape, form.resize)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.array_equal(readers[form](path), expected)


@pytest.mark.parametrize(("classes", "units"), [(2, 1), (2, 2), (3, 3)])
def test_card_code_predicts_and_evaluates(classes, units, tmp_path, monkeypatch, capsys):
    """Both pieces of code run in sequence, for one output and for several."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()])
    model.add(keras.layers.Dense(units, activation="sigmoid" if units == 1 else "softmax"))
    with quiet_keras():
        model.save("model.keras")
    form = {"labels": [*"abc"[:classes]], "image_shape": [16, 16, 1], "resize": "stretch"}
    (tmp_path / "labels.json").write_text(json.dumps(form))
    (tmp_path / "photo.jpg").write_bytes(KINDS["16-bit PNG"])
    exec(usage_code(form) + evaluation_code(form), {})
    probabilities, scores = (eval(line) for line in capsys.readouterr().out.splitlines())
    image = read_image(tmp_path / "photo.jpg", (16, 16, 1))
    answer = np.asarray(model(image[None]))[0]
    expected = [1 - answer[0], answer[0]] if units == 1 else answer
    assert list(probabilities.values()) == pytest.approx(list(expected), abs=1e-5)
    assert scores["accuracy"] == float(np.argmax(expected) == 0)
    assert scores["loss"] == pytest.approx(-np.log(max(expected[0], 1e-7)), abs=1e-3)
