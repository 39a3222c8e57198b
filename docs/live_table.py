"""Draw the picture of the live table in the README: one frame of a real search with three workers.

    python docs/live_table.py

The frame is the first in which every worker trains after the sixth trial. It leaves out the name of the machine and the
addresses of fonts on other hosts.
"""

import os
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console

from search.display.live_screen import LiveScreen
from search.launch.local_run import load_typed
from search.launch.supervised_run import supervise
from search.run_command import RunCommand
from studies.outcome import WorkerInfo
from studies.stop_request import StopRequest

PICTURE = Path(__file__).parent / "images" / "live-table.svg"
TRIALS_DONE = 6


class PictureScreen(LiveScreen):
    """Keeps one frame of the live table as a picture."""

    def on_workers_changed(self, workers: Sequence[WorkerInfo]) -> None:
        """Draw the table once every worker trains."""
        shown = [replace(worker, host="host") for worker in workers]
        super().on_workers_changed(shown)
        is_typical = all(worker.trial_number is not None for worker in shown)
        if is_typical and self.state.progress.done >= TRIALS_DONE and not PICTURE.exists():
            console = Console(record=True, width=88, height=20, file=StringIO(), force_terminal=True)
            console.print("$ search run digits --workers 3\n", highlight=False)
            console.print(self._view())
            svg = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="search"), flags=re.DOTALL)
            PICTURE.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), encoding="utf-8")


def main() -> None:
    """Search, and keep one frame."""
    PICTURE.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"workers": 3}
        call = RunCommand("digits", settings, Path(folder), export=False)
        quiet = Console(file=StringIO(), force_terminal=True, width=88, height=24)
        with PictureScreen("digits", quiet, debug=True) as screen:
            loaded, study = load_typed(call, settings, screen)
            stop = StopRequest()
            supervise(call, loaded, study, screen, stop, environ=os.environ, debug=False, started=time.monotonic())
    if not PICTURE.exists():
        raise SystemExit("no frame showed every worker in training: run it again")


if __name__ == "__main__":
    main()
