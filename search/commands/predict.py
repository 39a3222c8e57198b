"""`search predict`: classifies images with an exported model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.display.json_output import print_json
from search.display.spinner import spinner
from search.display.terminal import NUMBER, TEXT, show_table
from search.formatting import escape_text, format_metric
from search.quiet_env import silence_native_logs
from spaces.errors import UnreadableImagesError

if TYPE_CHECKING:
    from studies.export.exported_model import Prediction


def predict_images(export: Path, images: Sequence[Path], *, as_json: bool, debug: bool = False) -> None:
    """Classify images and write the classes to standard output, even if other images cannot be read.

    Raises:
        SearchError: The export or an image cannot be used.
    """
    silence_native_logs()
    try:
        with spinner("Loading Keras and the model", debug=debug):
            from studies.export.exported_model import load_export, predict

            predictions = predict(load_export(export), images)
    except UnreadableImagesError as error:
        _print(error.predictions, as_json=as_json)
        raise
    _print(predictions, as_json=as_json)


def _print(predictions: Sequence["Prediction"], *, as_json: bool) -> None:
    if as_json:
        print_json([prediction.to_json() for prediction in predictions])
    elif predictions:
        _show(predictions)


def _show(predictions: Sequence["Prediction"]) -> None:
    rows = []
    for prediction in predictions:
        others = ", ".join(f"{escape_text(label)} {format_metric(value)}" for label, value in prediction.top[1:])
        path, label = escape_text(prediction.path), escape_text(prediction.label)
        rows.append([path, label, format_metric(prediction.probability), (others, "dim")])
    show_table({"image": TEXT, "class": {**TEXT, "style": "bold"}, "probability": NUMBER, "next best": TEXT}, rows)
