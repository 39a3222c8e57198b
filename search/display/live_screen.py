"""A run on a terminal: facts that stay, and below them a live display that is drawn over."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from search.display import messages as facts
from search.display.live_view import LiveView
from search.display.run_state import RunState
from search.display.screen import Screen, print_table
from search.display.stderr_filter import capture_stderr
from search.formatting import escape_text
from spaces import flatten
from studies.events import DataReady, EpochEnded, RetrainingStarted, StudyOpened, TrialEnded, TrialStarted
from studies.outcome import WorkerInfo
from studies.stop_request import StopReason

if TYPE_CHECKING:
    from spaces.space import Space
    from studies.settings import Study

SHOW_CURSOR = b"\x1b[?25h"


class LiveScreen(Screen):
    """Draws the run's state four times a second.

    Args:
        target: The space as typed.
        console: The terminal.
        debug: Leave standard error to the libraries, at the price of the display.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        target: str,
        console: Console,
        *,
        debug: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(debug=debug)
        self._name, self._console, self._clock = target, console, clock
        self.state = RunState().at("reading the space", clock())

    def __enter__(self) -> Self:
        self._console.print(Text(f"search {escape_text(self._name)}", "bold"))
        captures = sys.stderr.isatty() and not self.debug
        self.open.enter_context(
            Live(
                console=self._console,
                get_renderable=self._view,
                transient=True,
                redirect_stderr=not captures,
                vertical_overflow="crop",
            )
        )
        if captures:
            self.open.enter_context(capture_stderr(self._above))
        return self

    def on_space_loaded(self, space: "Space", study: "Study") -> None:
        """How large the space is, and how it is searched."""
        self._print([*facts.space_lines(space), *facts.search_lines(study)])
        names = tuple(each.name for each in flatten(space))
        self.state = replace(self.state, names=names).at("loading Keras, Optuna and the images", self._clock())

    def on_data_progress(self, done: int, total: int) -> None:
        """A bar."""
        self.state = self.state.decoded(done, total, self._clock())

    def on_data_ready(self, event: DataReady) -> None:
        """The images by split and class."""
        self._print(facts.data_lines(event))
        self.state = self.state.at("loading Keras and opening the study", self._clock())

    def on_study_opened(self, event: StudyOpened) -> None:
        """Where it is kept; from here on the display shows the search."""
        self.on_open(event)
        self._print(facts.study_lines(event))
        self._name = event.name
        self.state = self.state.study_opened(event, self._clock())

    def on_trial_started(self, event: TrialStarted) -> None:
        """The trial beside the best so far."""
        self.state = self.state.trial_started(event, self._clock())

    def on_features_progress(self, done: int, total: int) -> None:
        """How far, then the trial again."""
        self.state = self.state.computed(done, total, self._clock())

    def on_epoch_ended(self, event: EpochEnded) -> None:
        """The bar and the metrics."""
        self.state = self.state.epoch_ended(event)

    def on_trial_ended(self, event: TrialEnded) -> None:
        """Among the trials that ended last."""
        self.state = self.state.trial_ended(event, self._clock())

    def on_waiting(self) -> None:
        """That there is nothing to do but wait."""
        self.state = self.state.at("waiting for the other workers", self._clock())

    def on_worker_count(self, count: int) -> None:
        """Beside the trials, which are those of all."""
        self.state = replace(self.state, alive=count)

    def on_workers_changed(self, workers: Sequence[WorkerInfo]) -> None:
        """The table of all workers."""
        self.state = self.state.workers_seen(workers)

    def on_worker_output(self, label: str, text: str) -> None:
        """As if it had happened here."""
        self._print([(label, text)])

    def on_worker_lost(self, text: str) -> None:
        """A line that stays."""
        self._print([("worker", text)])

    def on_retraining(self, event: RetrainingStarted) -> None:
        """The best trial once more."""
        self.state = self.state.retraining(event, self._clock())

    def on_exporting(self, trial: int | None = None) -> None:
        """That it has begun."""
        self.state = self.state.at(facts.export_lines(trial), self._clock())

    def on_stopping(self, reason: StopReason) -> None:
        """Say so with the next picture, and give the cursor back: the next signal leaves without another step."""
        self.state = replace(self.state, stopping=reason)
        # Inside the signal handler: the console's buffer may be in the middle of a line.
        if self._console.is_terminal and self._console.file is sys.__stdout__:
            os.write(self._console.file.fileno(), SHOW_CURSOR)

    def summary(self, facts: list[facts.Line]) -> None:
        """The outcome, after an empty line."""
        self._console.print()
        self._print(facts)

    def _view(self) -> LiveView:
        return LiveView(self._name, self.state, self._clock())

    def _above(self, line: str) -> None:
        self._console.print(Text.from_ansi(line))

    def _print(self, told: list[facts.Line]) -> None:
        print_table(self._console, told)
