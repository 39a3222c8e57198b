"""Show which files one trial goes through, and which calls lead into a later layer.

    python benchmarks/trial_path.py

The second trial of the `digits` space, with 3 epochs, from the call of the evaluator to its return, in every thread
that it starts. The layers are the rows of the table in `docs/architecture.md`. Returning from a call is no call; a
function that is handed down and called from an earlier layer is a call into a later one. Imports are left out.

A file is on the path of the trial if it is on the call stack when the trial acts on something outside: when Keras
starts to fit, and when a checkpoint, a row of the database or a line on the screen is written.
"""

import contextlib
import re
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from spaces.loading import load
from studies import Study
from studies.events import EpochEnded, RunListener
from studies.run import run
from studies.stop_request import StopRequest
from studies.trials.evaluate import TrialEvaluator

ROOT = Path(__file__).parents[1]
PACKAGES = ("spaces", "studies", "search", "benchmarks")
SCREEN = "benchmarks/trial_path.py"
MAX_PATH, MAX_UPWARD = 12, 3
EPOCHS = 3
EVALUATE = TrialEvaluator.__call__.__code__
OUTSIDE = {"TensorFlowTrainer.fit", "LocalStore.write", "TrialQueue.save", "Screen.on_epoch_ended"}
"""Functions with which a trial acts on something outside."""


class Screen(RunListener):
    """Stands for the display, which is in a later layer than all of `studies`."""

    def on_epoch_ended(self, event: EpochEnded) -> None:
        """Show nothing."""


@dataclass
class TrialPath:
    """The calls of one trial.

    Args:
        layers: The rows of the table of folders.

    Attributes:
        entered: Calls of functions, by file, in the order in which control first enters the files.
        path: Files on the path of the trial.
        upward: Calls into a later layer, by caller and called function.
    """

    layers: list[list[str]]
    entered: Counter[str] = field(default_factory=Counter)
    path: set[str] = field(default_factory=set)
    upward: Counter[tuple[str, str]] = field(default_factory=Counter)
    _files: dict[str, str | None] = field(default_factory=dict, init=False)

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Record the calls of this thread, and of those that start meanwhile."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def layer(self, file: str) -> int:
        """Return the row of a file such as `studies/run.py`; a file in no row is in the last layer."""
        stem = file.removesuffix(".py")
        for row, names in enumerate(self.layers):
            if any(stem == name or (name.endswith("/") and stem.startswith(name)) for name in names):
                return row
        return len(self.layers)

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event != "call" or (self._file(code) is None and code.co_qualname not in OUTSIDE):
            return
        stack = _stack(frame)
        if any(each.co_name == "<module>" for each in stack):
            return
        files = [(file, each.co_qualname) for each in stack if (file := self._file(each))]
        if code.co_qualname in OUTSIDE:
            self.path |= {file for file, _ in files} - {SCREEN}
        if (called := self._file(code)) is not None:
            self.entered[called] += called != SCREEN
            if len(files) > 1 and self.layer(called) > self.layer(files[1][0]):
                self.upward[" ".join(files[1]), " ".join(files[0])] += 1

    def _file(self, code: CodeType) -> str | None:
        """Return the path of a file of ours from the root of the project; None for others."""
        full = code.co_filename
        if full not in self._files:
            path = Path(full)
            parts = path.relative_to(ROOT).parts if path.is_relative_to(ROOT) else ("",)
            self._files[full] = "/".join(parts) if parts[0] in PACKAGES else None
        return self._files[full]


def measure() -> TrialPath:
    """Run two trials and record the second."""
    loaded = load("digits")
    loaded = replace(loaded, space=replace(loaded.space, epochs=EPOCHS))
    rows = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines()
    found = TrialPath([re.findall(r"`([\w/]+)`", row.split("|")[1]) for row in rows if row.startswith("| `")])
    evaluate = TrialEvaluator.__call__

    def recorded(self: TrialEvaluator, trial: Any, *others: Any) -> Any:
        with found.recorded() if trial.number == 1 else contextlib.nullcontext():
            return evaluate(self, trial, *others)

    TrialEvaluator.__call__ = recorded  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            settings, stop = Study(trials=2, pruner="median", seed=0), StopRequest()
            run(loaded, settings, output=Path(folder), export=False, listener=Screen(), stop=stop)
    finally:
        TrialEvaluator.__call__ = evaluate  # type: ignore[method-assign]
    return found


def main() -> None:
    """Measure and print."""
    found = measure()
    print(f"{len(found.path)} files on the path, {len(+found.entered)} files entered, in order of entry:")
    for file, calls in (+found.entered).items():
        print(f"  {'*' if file in found.path else ' '} layer {found.layer(file):2}  {calls:5} calls  {file}")
    print(f"{len(found.upward)} places that call into a later layer, {sum(found.upward.values())} calls:")
    for (caller, called), calls in found.upward.items():
        print(f"  {calls:5} calls  {caller} -> {called}")
    print(f"at most {MAX_PATH} files on the path (*) and {MAX_UPWARD} places are allowed")
    sys.exit(len(found.path) > MAX_PATH or len(found.upward) > MAX_UPWARD)


def _stack(frame: FrameType | None) -> list[CodeType]:
    """Return the code of a call and of all its callers, up to the evaluator."""
    stack = []
    while frame is not None:
        stack.append(frame.f_code)
        if frame.f_code is EVALUATE:
            break
        frame = frame.f_back
    return stack


if __name__ == "__main__":
    main()
