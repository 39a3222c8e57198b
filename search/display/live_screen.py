"""A run on a terminal: permanent lines, and below them a live view that is redrawn."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from search.display import messages
from search.display.live_view import LiveView
from search.display.run_state import RunState
from search.display.screen import Screen, print_table
from search.display.stderr_filter import capture_stderr
from search.formatting import escape_text
from spaces import flatten
from spaces.space import Space
from studies.events import DataReady, EpochEnded, RetrainingStarted, StudyOpened, TrialEnded, TrialStarted
from studies.outcome import WorkerInfo
from studies.settings import Study
from studies.stop_request import StopReason

SHOW_CURSOR = b"\x1b[?25h"


class LiveScreen(Screen):
    """Draws the state of the run four times per second.

    Args:
        target: Space, as typed.
        console: The terminal.
        debug: Whether to show everything that libraries write to standard error, which disturbs the live view.
        clock: Monotonic clock in seconds.
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
        self.state = RunState().at("Reading the space", clock())

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
            self.open.enter_context(capture_stderr(self._print_above))
        return self

    def on_space_loaded(self, space: Space, study: Study) -> None:
        """Print the size of the space and the settings of the search."""
        self._print([*messages.space_lines(space), *messages.search_lines(study)])
        names = tuple(each.name for each in flatten(space))
        self.state = replace(self.state, names=names).at("Loading Keras, Optuna and the images", self._clock())

    def on_data_progress(self, done: int, total: int) -> None:
        """Show a progress bar."""
        self.state = self.state.decoded(done, total, self._clock())

    def on_data_ready(self, event: DataReady) -> None:
        """Print the images by split and class."""
        self._print(messages.data_lines(event))
        self.state = self.state.at("Loading Keras and opening the study", self._clock())

    def on_study_opened(self, event: StudyOpened) -> None:
        """Print the study and its database; from here on the live view shows the search."""
        self.on_open(event)
        self._print(messages.study_lines(event))
        self._name = event.name
        self.state = self.state.study_opened(event, self._clock())

    def on_trial_started(self, event: TrialStarted) -> None:
        """Show the trial next to the best so far."""
        self.state = self.state.trial_started(event, self._clock())

    def on_features_progress(self, done: int, total: int) -> None:
        """Show the progress of computing features."""
        self.state = self.state.computed(done, total, self._clock())

    def on_epoch_ended(self, event: EpochEnded) -> None:
        """Show the epoch and its metrics."""
        self.state = self.state.epoch_ended(event)

    def on_trial_ended(self, event: TrialEnded) -> None:
        """Show the trial among the recent ones."""
        self.state = self.state.trial_ended(event, self._clock())

    def on_waiting(self) -> None:
        """Show that the other workers are still running."""
        self.state = self.state.at("Waiting for the other workers", self._clock())

    def on_worker_count(self, count: int) -> None:
        """Show the number of running workers."""
        self.state = replace(self.state, alive=count)

    def on_workers_changed(self, workers: Sequence[WorkerInfo]) -> None:
        """Show the table of all workers."""
        self.state = self.state.workers_changed(workers)

    def on_worker_output(self, label: str, text: str) -> None:
        """Print a line of a worker, or show its progress with the images."""
        if label == "images":
            self.state = self.state.at(f"Images: {text}", self._clock())
        else:
            self._print([(label, text)])

    def on_worker_lost(self, text: str) -> None:
        """Print what happened to a worker."""
        self._print([("worker", text)])

    def on_retraining(self, event: RetrainingStarted) -> None:
        """Show the retraining of the best trial."""
        self.state = self.state.retraining(event, self._clock())

    def on_exporting(self, trial: int | None = None) -> None:
        """Show that the export has started."""
        self.state = self.state.at(messages.export_line(trial), self._clock())

    def on_stopping(self, reason: StopReason) -> None:
        """Show it with the next frame, and restore the cursor: a second signal exits immediately."""
        self.state = replace(self.state, stopping=reason)
        # Not through the console: a signal handler may have interrupted a buffered write.
        if self._console.is_terminal and self._console.file is sys.__stdout__:
            os.write(self._console.file.fileno(), SHOW_CURSOR)

    def summary(self, lines: list[messages.Line]) -> None:
        """Print the outcome after an empty line."""
        self._console.print()
        self._print(lines)

    def _view(self) -> LiveView:
        return LiveView(self._name, self.state, self._clock())

    def _print_above(self, line: str) -> None:
        self._console.print(Text.from_ansi(line))

    def _print(self, lines: list[messages.Line]) -> None:
        print_table(self._console, lines)
