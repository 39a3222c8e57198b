"""`search show`: what a space holds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from search.display.messages import of_baseline, of_search, of_space
from search.display.screen import show
from search.display.spinner import waiting
from search.display.terminal import say, show_table
from search.formatting import clean
from search.quiet_env import quieten
from search.run_command import settings_of
from spaces import KerasTunerModel
from spaces.table import Row, rows

if TYPE_CHECKING:
    from spaces.parameters import Scalar
    from spaces.space import Space


def show_space(target: str, data: str | None = None, test: str | None = None) -> None:
    """Write a space's parameters, baseline and size to standard output.

    Args:
        target: The space, as typed.
        data: A folder of images in place of the space's data.
        test: A share of the images, or a folder, to test with in place of the space's own.

    Raises:
        SpaceError: The space cannot be loaded.
        DataError: There is no such folder of images.
    """
    quieten()
    from spaces.files import load
    from spaces.held_out import with_test

    # A space file may import Keras, which takes seconds.
    with waiting("loading the space", debug=False):
        loaded = load(target, data)
        loaded = loaded if test is None else with_test(loaded, test)
    show([("name", clean(loaded.name)), ("data", clean(repr(loaded.space.data)))])
    show([*of_space(loaded.space), *of_search(settings_of(loaded))])
    say()
    more, values = _hyperparameters(loaded.space)
    _table([*rows(loaded.space), *more])
    say()
    show(of_baseline(loaded.space, values))


def _hyperparameters(space: "Space") -> "tuple[list[Row], Mapping[str, Scalar]]":
    """Those of a hypermodel, if the space has one."""
    if not isinstance(space.model, KerasTunerModel):
        return [], {}
    with waiting("loading Keras and building the hypermodel", debug=False):
        from studies.backend.keras_backend import require_backend

        require_backend()
        from studies.keras_tuner.suggest import met_by_building

        return met_by_building(space)


def _table(rows: "Sequence[Row]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("parameter", "values", "default", "only when"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = [clean(cell) for cell in (row.name, row.values, row.default, row.condition or "")]
        table.add_row(*(Text(cell, style) for cell, style in zip(cells, ("bold", "", "", "dim"), strict=True)))
    show_table(table)
