"""Python code for the model card that reads image files exactly as in training."""

import json
from collections.abc import Mapping
from typing import Any

from studies.images.decoding import FORMATS, MAX_JPEG_PIXELS, draft_size

_RESIZED = {
    "stretch": 'image.convert("{mode}").resize(({width}, {height}), Image.Resampling.BILINEAR)',
    "crop": 'ImageOps.fit(image.convert("{mode}"), ({width}, {height}), Image.Resampling.BILINEAR)',
    "pad": 'ImageOps.pad(image.convert("{mode}"), ({width}, {height}), Image.Resampling.BILINEAR)',
}

# Repeats `studies.images.decoding` step by step; a test compares both.
_READ = """\
import json

import keras
import numpy as np
from PIL import Image, ImageOps

Image.MAX_IMAGE_PIXELS = {most_pixels}  # some phones take photos above Pillow's default limit


def read_pixels(path):
    \"\"\"Read an image file as in training: upright, 8 bits, transparency on white, {height} x {width} pixels.\"\"\"
    with Image.open(path, formats={formats}) as file:
        file.draft("{mode}", {draft})  # large JPEG files are decoded at a fraction of their size
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I"):  # 16 bits
        values = np.asarray(image)
        is_transparent = values == image.info.get("transparency", -1)
        image = Image.fromarray(np.where(is_transparent, 255, values >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = {resized}
    return np.asarray(image).reshape({height}, {width}, {channels})  # 0 to 255


"""

_PREDICT = """\
model = keras.models.load_model("model.keras")
with open("labels.json", encoding="utf-8") as file:
    labels = json.load(file)["labels"]

pixels = read_pixels("photo.jpg")
probabilities = model.predict(pixels[None], verbose=0)[0].tolist()
{both}print(dict(zip(labels, probabilities)))
"""

_BOTH = """\
if len(probabilities) == 1:  # the probability of the second class
    probabilities = [1 - probabilities[0], probabilities[0]]
"""

_EVALUATE = """\
images = np.stack([read_pixels(path) for path in ["photo.jpg"]])
classes = np.array([0])  # position of each image's class in labels
{loss}model.compile(loss={name}, metrics=["accuracy"])
print(model.evaluate(images, classes, verbose=0, return_dict=True))
"""

_LOSS = """\
loss = "binary_crossentropy" if model.output_shape[-1] == 1 else "sparse_categorical_crossentropy"
"""


def usage_code(form: Mapping[str, Any]) -> str:
    """Return Python code that classifies `photo.jpg` when run in the exported folder."""
    height, width, channels = form["image_shape"]
    mode = "L" if channels == 1 else "RGB"
    resized = _RESIZED[form["resize"]].format(height=height, width=width, mode=mode)
    read = _READ.format(
        most_pixels=MAX_JPEG_PIXELS,
        formats=json.dumps(FORMATS),
        mode=mode,
        draft=draft_size(height, width),
        resized=resized,
        height=height,
        width=width,
        channels=channels,
    )
    return read + _PREDICT.format(both=_BOTH if len(form["labels"]) == 2 else "")


def evaluation_code(form: Mapping[str, Any]) -> str:
    """Return Python code that evaluates the model on labelled images, to run after `usage_code`."""
    if len(form["labels"]) == 2:
        return _EVALUATE.format(loss=_LOSS, name="loss")
    return _EVALUATE.format(loss="", name='"sparse_categorical_crossentropy"')
