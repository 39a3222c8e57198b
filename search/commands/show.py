"""`search show`: shows the parameters, the baseline and the size of a space."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from search.display.messages import baseline_lines, search_lines, space_lines
from search.display.screen import print_lines
from search.display.spinner import spinner
from search.display.terminal import TEXT, print_line, show_table
from search.formatting import escape_text
from search.quiet_env import silence_native_logs
from search.run_command import settings_of
from spaces import KerasTunerModel
from spaces.held_out import with_test
from spaces.loading import load
from spaces.open_space import is_open
from spaces.parameters import Scalar
from spaces.space import Space
from spaces.table import Row, rows
from studies.settings import Study


def show_space(target: str, data: str | None = None, test: str | None = None) -> None:
    """Write a space's parameters, baseline and size to standard output.

    Args:
        data: Folder of images used instead of the space's data.
        test: Fraction of the images, or folder, used as test images instead of the space's own.

    Raises:
        SpaceError: The space cannot be loaded.
        DataError: The folder of images was not found.
    """
    silence_native_logs()

    # A space file may import Keras, which takes seconds.
    with spinner("Loading the space", debug=False):
        loaded = load(target, data)
        loaded = loaded if test is None else with_test(loaded, test)
        settings, reasons = settings_of(loaded), tuple[str, ...]()
        if is_open(loaded.space):
            from studies.planning.photos import plan_photos

            plan = plan_photos(loaded.space, loaded.folder)
            loaded, reasons = replace(loaded, space=plan.space), plan.reasons
            settings = replace(settings, sampler=Study.sampler) if is_open(plan.space) else settings
    print_lines([("name", escape_text(loaded.name)), ("data", escape_text(repr(loaded.space.data)))])
    print_lines([("plan", escape_text(reason)) for reason in reasons])
    print_lines([*space_lines(loaded.space), *search_lines(settings)])
    print_line()
    hyperparameters, defaults = _hyperparameters(loaded.space)
    _table([*rows(loaded.space), *hyperparameters])
    print_line()
    print_lines(baseline_lines(loaded.space, defaults))


def _hyperparameters(space: Space) -> tuple[list[Row], Mapping[str, Scalar]]:
    """Return the hyperparameters of a KerasTuner model and their defaults, if the space has one."""
    if not isinstance(space.model, KerasTunerModel):
        return [], {}
    with spinner("Loading Keras and building the model", debug=False):
        from studies.backend.keras_backend import require_backend

        require_backend()
        from studies.keras_tuner.suggest import discover_hyperparameters

        return discover_hyperparameters(space)


def _table(rows: "Sequence[Row]") -> None:
    cells = ([(row.name, "bold"), (row.values, ""), (row.default, ""), (row.condition or "", "dim")] for row in rows)
    escaped = ([(escape_text(text), style) for text, style in row] for row in cells)
    show_table(dict.fromkeys(("parameter", "values", "default", "only when"), TEXT), escaped)
