"""`search evaluate`: how good an exported model is on a labelled folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from search.display.json_output import say_json
from search.display.messages import of_skipped
from search.display.screen import show
from search.display.spinner import waiting
from search.display.terminal import say, show_table
from search.formatting import clean, metric, plural
from search.quiet_env import quieten

if TYPE_CHECKING:
    from studies.training.scores import Scores


def evaluate_folder(export: Path, folder: Path, *, as_json: bool, debug: bool = False) -> None:
    """Measure a model and write its scores to standard output.

    Raises:
        SearchError: The export or the folder cannot be used.
    """
    quieten()
    with waiting("loading Keras, the model and the images", debug=debug):
        from studies.export.exported_model import evaluate_folder as score
        from studies.export.exported_model import load_export

        found = score(load_export(export), folder)
    if as_json:
        skipped = [{"path": path, "reason": reason} for path, reason in found.skipped]
        say_json({**found.scores.to_json(), "skipped": skipped})
        return
    _show(found.scores)
    show(of_skipped(found.skipped))


def _mean_of(scores: "Scores") -> str:
    """What the means are over: a class without images has no part in them."""
    present = sum(one.images > 0 for one in scores.classes)
    return "mean" if present == len(scores.classes) else f"mean of {present} with images"


def _show(scores: "Scores") -> None:
    figures = f"accuracy {metric(scores.accuracy)}, loss {metric(scores.loss)}"
    area = "" if scores.auc is None else f", AUC {metric(scores.auc)}"
    say(f"{figures}{area} on {plural(scores.images, 'image')}")
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("class", overflow="fold")
    for name in ("images", "precision", "recall", "f1"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in scores.classes:
        of_class = (metric(one.precision), metric(one.recall), metric(one.f1))
        table.add_row(Text(clean(one.label)), f"{one.images:,}", *of_class)
    if len(scores.classes) != 2:
        # Of two classes the scores are those of the second, whose row is there.
        mean = (metric(scores.precision), metric(scores.recall), metric(scores.f1))
        table.add_row(Text(_mean_of(scores), "bold"), f"{scores.images:,}", *mean)
    say()
    show_table(table)
    say()
