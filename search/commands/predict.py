"""`search predict`: what an exported model says of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.display.json_output import say_json
from search.display.spinner import waiting
from search.display.terminal import show_table
from search.formatting import clean, metric
from search.quiet_env import quieten
from spaces.errors import UnreadableImagesError

if TYPE_CHECKING:
    from studies.export.exported_model import Prediction


def predict_images(export: Path, images: Sequence[Path], *, as_json: bool, debug: bool = False) -> None:
    """Classify images and write the classes to standard output, also where other images cannot be read.

    Raises:
        SearchError: The export or an image cannot be used.
    """
    quieten()
    try:
        with waiting("loading Keras and the model", debug=debug):
            from studies.export.exported_model import load_export, predict

            predictions = predict(load_export(export), images)
    except UnreadableImagesError as error:
        _say(error.predictions, as_json=as_json)
        raise
    _say(predictions, as_json=as_json)


def _say(predictions: Sequence["Prediction"], *, as_json: bool) -> None:
    if as_json:
        say_json([prediction.to_json() for prediction in predictions])
    elif predictions:
        _show(predictions)


def _show(predictions: Sequence["Prediction"]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("image", overflow="fold")
    table.add_column("class", style="bold", overflow="fold")
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("then", overflow="fold")
    for prediction in predictions:
        others = ", ".join(f"{clean(label)} {metric(value)}" for label, value in prediction.top[1:])
        name, label = Text(clean(prediction.path)), Text(clean(prediction.label))
        table.add_row(name, label, metric(prediction.probability), Text(others, "dim"))
    show_table(table)
