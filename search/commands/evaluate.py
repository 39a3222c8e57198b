"""`search evaluate`: evaluates an exported model on a folder of labelled images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.display.json_output import print_json
from search.display.messages import skipped_lines
from search.display.screen import print_lines
from search.display.spinner import spinner
from search.display.terminal import NUMBER, TEXT, print_line, show_table
from search.formatting import escape_text, format_count, format_metric
from search.quiet_env import silence_native_logs

if TYPE_CHECKING:
    from studies.training.scores import Scores


def evaluate_folder(export: Path, folder: Path, *, as_json: bool, debug: bool = False) -> None:
    """Evaluate a model and write its scores to standard output.

    Raises:
        SearchError: The export or the folder cannot be used.
    """
    silence_native_logs()
    with spinner("Loading Keras, the model and the images", debug=debug):
        from studies.export.exported_model import evaluate_folder as score
        from studies.export.exported_model import load_export

        result = score(load_export(export), folder)
    if as_json:
        skipped = [{"path": path, "reason": reason} for path, reason in result.skipped]
        print_json({**result.scores.to_json(), "skipped": skipped})
        return
    _show(result.scores)
    print_lines(skipped_lines(result.skipped))


def _mean_of(scores: "Scores") -> str:
    """Return the name of the mean: classes without images do not count."""
    present = sum(one.images > 0 for one in scores.classes)
    return "mean" if present == len(scores.classes) else f"mean of {present} classes with images"


def _show(scores: "Scores") -> None:
    figures = f"accuracy {format_metric(scores.accuracy)}, loss {format_metric(scores.loss)}"
    area = "" if scores.auc is None else f", AUC {format_metric(scores.auc)}"
    print_line(f"{figures}{area} on {format_count(scores.images, 'image')}")
    rows: list[list[Sequence[str]]] = [
        [escape_text(one.label), f"{one.images:,}", *map(format_metric, (one.precision, one.recall, one.f1))]
        for one in scores.classes
    ]
    if len(scores.classes) != 2:
        # With two classes, the scores are those of the second class, which has a row already.
        mean = map(format_metric, (scores.precision, scores.recall, scores.f1))
        rows.append([(_mean_of(scores), "bold"), f"{scores.images:,}", *mean])
    print_line()
    show_table({"class": TEXT, "images": NUMBER, "precision": NUMBER, "recall": NUMBER, "f1": NUMBER}, rows)
    print_line()
