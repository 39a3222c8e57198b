"""`search run`: searches a space and shows the progress."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from search.display.screen import Screen
from search.display.summary import summary
from search.display.terminal import is_drawable
from search.exit_codes import exit_code
from search.launch.local_run import SUPERVISOR_OPTIONS, load_typed, search_loaded
from search.quiet_env import silence_native_logs
from search.run_command import RunCommand
from search.saved_command import save_command
from studies.stop_request import StopReason, StopRequest
from studies.workers.context import WorkerContext
from studies.workers.placement import HIDDEN


def run(
    command: RunCommand, settings: Mapping[str, Any], *, quiet: bool, debug: bool, started: float | None = None
) -> int:
    """Search, and return the exit code: 0, or that of the signal that stopped the search.

    Args:
        settings: Typed settings of the study, which override those of the space file.
        started: `time.monotonic()` at the start of the command, from which the time limit counts; None for now.
    """
    started = time.monotonic() if started is None else started

    silence_native_logs()
    environ = dict(os.environ)
    if SUPERVISOR_OPTIONS & settings.keys():
        # The space file may import Keras, which must not use the GPUs in this process.
        os.environ.update(HIDDEN)
    stop = StopRequest()
    with _screen(command.target, stop.request, quiet=quiet, debug=debug) as screen:
        loaded, study = load_typed(command, settings, screen)
        # Save only once the study is open, so that a refused command does not replace the earlier one.
        screen.on_open = lambda event: save_command(command, study.name or loaded.name, study.storage, event.identity)
        if study.is_supervised:
            os.environ.update(HIDDEN)
            from search.launch.supervised_run import supervise

            result, defaults = supervise(
                command, loaded, study, screen, stop, environ=environ, debug=debug, started=started
            )
        else:
            result, defaults = search_loaded(command, loaded, study, screen, stop, WorkerContext(started=started))
    screen.summary(summary(result, command, defaults))
    return exit_code(result)


def _screen(target: str, stop: Callable[[StopReason], None], *, quiet: bool, debug: bool) -> Screen:
    if quiet:
        return Screen(debug=debug)
    if not is_drawable(sys.stdout):
        from search.display.log_screen import LogScreen

        return LogScreen(target, stop, debug=debug)
    from search.display.live_screen import LiveScreen
    from search.display.terminal import console

    return LiveScreen(target, console(), debug=debug)
