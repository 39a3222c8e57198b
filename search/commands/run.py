"""`search run`: hands a space and the typed options to a study, and shows what happens."""

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
    call: RunCommand, settings: Mapping[str, Any], *, quiet: bool, debug: bool, started: float | None = None
) -> int:
    """Search, and return the exit code: 0, or what stands for the signal that ended the search.

    Args:
        call: What was typed.
        settings: The typed settings of the study, which override those of the space file.
        quiet: Show the summary alone.
        debug: Leave standard error to the libraries.
        started: Reading of `time.monotonic` when the command began, from which a time limit counts; None for now.
    """
    started = time.monotonic() if started is None else started
    silence_native_logs()
    environ = dict(os.environ)
    if SUPERVISOR_OPTIONS & settings.keys():
        # The space file may import Keras: this process stays off the GPUs, whatever it does with it.
        os.environ.update(HIDDEN)
    stop = StopRequest()
    with _screen(call.target, stop.request, quiet=quiet, debug=debug) as screen:
        loaded, study = load_typed(call, settings, screen)
        # Only once the study is open: a call that is refused leaves the earlier one as it was.
        screen.on_open = lambda event: save_command(call, study.name or loaded.name, study.storage, event.identity)
        if study.is_supervised:
            os.environ.update(HIDDEN)
            from search.launch.supervised_run import supervise

            result, defaults = supervise(
                call, loaded, study, screen, stop, environ=environ, debug=debug, started=started
            )
        else:
            result, defaults = search_loaded(call, loaded, study, screen, stop, WorkerContext(started=started))
    screen.summary(summary(result, call, defaults))
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
