"""A run as plain lines for logs and pipes: one line per trial, no control codes, no buffering."""

import os
import time
from collections.abc import Callable
from typing import Self

from search.display import messages
from search.display.screen import Screen, plain_lines
from search.display.terminal import print_line
from search.formatting import escape_text
from spaces.space import Space
from studies.events import DataReady, RetrainingStarted, StudyOpened, TrialEnded
from studies.settings import Study
from studies.stop_request import StopReason

SECONDS_BETWEEN_LINES = 10.0


class LogScreen(Screen):
    """Prints one line per event.

    Args:
        target: Space, as typed.
        stop: Called with the reason when the reader of the output has gone.
        debug: Whether to show everything that libraries write to standard error.
        clock: Monotonic clock in seconds.
    """

    def __init__(
        self,
        target: str,
        stop: Callable[[StopReason], None],
        *,
        debug: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(debug=debug)
        self._target, self._stop, self._clock = target, stop, clock
        self._printed_at = {"images": -SECONDS_BETWEEN_LINES, "features": -SECONDS_BETWEEN_LINES}
        self._closed = False

    def __enter__(self) -> Self:
        self._print_line(f"search {escape_text(self._target)}: loading Keras and Optuna")
        return super().__enter__()

    def on_space_loaded(self, space: Space, study: Study) -> None:
        """Print the size of the space and the settings of the search."""
        self._print([*messages.space_lines(space), *messages.search_lines(study)])

    def on_data_progress(self, done: int, total: int) -> None:
        """Print the number of decoded images every ten seconds."""
        self._print_progress("images", done, total, f"{done:,} of {total:,} decoded")

    def on_data_ready(self, event: DataReady) -> None:
        """Print the images by split and class."""
        self._print(messages.data_lines(event))

    def on_study_opened(self, event: StudyOpened) -> None:
        """Print the study and its database."""
        super().on_study_opened(event)
        self._print(messages.study_lines(event))

    def on_features_progress(self, done: int, total: int) -> None:
        """Print the number of images whose features are computed every ten seconds."""
        self._print_progress("features", done, total, f"computed for {done:,} of {total:,} images")

    def on_trial_ended(self, event: TrialEnded) -> None:
        """Print the trial's state, value and reason."""
        self._print([(f"{event.progress.done}/{event.progress.trials}", messages.trial_line(event))])

    def on_worker_output(self, label: str, text: str) -> None:
        """Print a line of a worker."""
        self._print([(label, text)])

    def on_worker_lost(self, text: str) -> None:
        """Print what happened to a worker."""
        self._print([("worker", text)])

    def on_retraining(self, event: RetrainingStarted) -> None:
        """Print the trial, the images and the epochs."""
        self._print([("retraining", messages.retraining_line(event))])

    def on_exporting(self, trial: int | None = None) -> None:
        """Print that the export has started."""
        self._print([("export", messages.export_line(trial))])

    def on_stopping(self, reason: StopReason) -> None:
        """Write to standard error directly: a signal handler may have interrupted a buffered write."""
        os.write(2, f"{messages.stopping_line(reason)}\n".encode())

    def summary(self, lines: list[messages.Line]) -> None:
        """Print the outcome after an empty line."""
        self._print_line("")
        self._print(lines)

    def _print_progress(self, label: str, done: int, total: int, text: str) -> None:
        if self._clock() - self._printed_at[label] >= SECONDS_BETWEEN_LINES or done == total:
            self._printed_at[label] = self._clock()
            self._print([(label, text)])

    def _print(self, lines: list[messages.Line]) -> None:
        for line in plain_lines(lines):
            self._print_line(line)

    def _print_line(self, line: str) -> None:
        if self._closed:
            return
        try:
            print_line(line)
        except BrokenPipeError:
            # Stop cleanly, so that the running trial returns to the queue.
            self._closed = True
            self._stop(StopReason.SIGPIPE)
