import io
import os
import sys
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from search.display.live_screen import LiveScreen
from search.display.live_view import LiveView
from search.display.stderr_filter import capture_stderr
from search.display.terminal import is_drawable
from spaces import flatten
from studies.events import EpochEnded, TrialStarted
from studies.outcome import Progress
from studies.settings import Study
from studies.stop_request import StopReason
from tests.support import fake_events

SIZES = [(80, 24), (140, 40), (140, 24), (60, 12), (40, 8)]


class Clock:
    """A clock that advances with every reading."""

    now = 0.0

    def __call__(self):
        self.now += 0.01
        return self.now


def console(width=80, height=24):
    """A terminal that records its output."""
    plain = {"markup": False, "emoji": False, "highlight": False, "legacy_windows": False}
    terminal = {"force_terminal": True, "color_system": "truecolor", "_environ": {"TERM": "xterm"}}
    return Console(width=width, height=height, file=io.StringIO(), **plain, **terminal)


def drawn(screen, width, height):
    """The lines of the live view on a terminal of that size."""
    terminal = console(width, height)
    board = LiveView(screen._name, screen.state, screen._clock())
    return ["".join(segment.text for segment in line) for line in terminal.render_lines(board)]


def loading(space):
    """A live screen that has loaded its space."""
    screen = LiveScreen("digits", console(), clock=Clock())
    screen.on_space_loaded(space, Study())
    return screen


def searching(space):
    """A live screen after three trials, with a fourth running."""
    screen = loading(space)
    screen.on_study_opened(fake_events.opened(Progress(3), timeout_seconds=600.0))
    for number, state in enumerate(("complete", "pruned", "complete")):
        fake_events.play_trial(screen, space, number, state, 0.9 + number / 100)
    params = {each.name: (each.parameter.values() or [0.123456])[-1] for each in flatten(space)}
    screen.on_trial_started(TrialStarted(3, params, 30))
    screen.on_epoch_ended(EpochEnded(3, 12, 30, {"loss": 0.5, "accuracy": 0.9, "val_loss": 0.4, "val_accuracy": 0.95}))
    return screen


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("space", [fake_events.WIDE_SPACE, fake_events.long_space()], ids=["usual", "long names"])
def test_the_view_fits_the_terminal(space, width, height):
    """It is neither wider nor higher."""
    shown = drawn(searching(space), width, height)
    assert len(shown) <= height
    assert max(cell_len(line) for line in shown) <= width


def test_the_running_trial_is_compared_with_the_best():
    """Each parameter is one line with both values; recent trials follow."""
    shown = drawn(searching(fake_events.WIDE_SPACE), 80, 24)
    lines = {" ".join(line.split()) for line in shown}
    assert {"trial 3 best: trial 2", "dropout 0.1235 0.4", "val_accuracy 0.9500 0.9200"} <= lines
    for fragment in ("12/30", "#1  pruned", "worse than the other trials [bold]at"):
        assert fragment in "\n".join(shown)
    assert "left" in shown[0]


def test_differing_parameters_are_shown_first():
    """If not all parameters fit, equal ones are counted; a wide terminal has two columns."""
    space = fake_events.long_space(25)
    screen = searching(space)
    params = {**screen.state.progress.best.params, "dropout": 0.55}
    screen.on_trial_started(TrialStarted(4, params, 30))
    narrow, wide = ("\n".join(drawn(screen, width, 24)) for width in (80, 140))
    assert "\n dropout" in narrow
    assert "more, all equal" in narrow
    assert wide.count("_of_the_network") > 1.5 * narrow.count("_of_the_network")


def test_decoding_has_a_progress_bar():
    """It shows the counts and the time left; before, the elapsed time is next to the activity."""
    screen = loading(fake_events.WIDE_SPACE)
    screen._clock.now += 75
    assert "Loading Keras, Optuna and the images  1m 15s" in drawn(screen, 80, 24)[0]
    screen.on_data_progress(0, 60000)
    screen._clock.now += 10
    screen.on_data_progress(30000, 60000)
    line = drawn(screen, 80, 24)[0]
    assert "30,000/60,000" in line
    assert "about 10s left" in line


def test_the_terminal_is_restored_after_an_error():
    """The name appears before anything is loaded; then the cursor is visible, and the streams are the original ones."""
    terminal = console()
    before = sys.stdout, sys.stderr
    with (
        pytest.raises(ZeroDivisionError, match=r"search \[red\]digits"),
        LiveScreen("[red]digits", terminal, clock=Clock()),
    ):
        raise ZeroDivisionError(terminal.file.getvalue())
    written = terminal.file.getvalue()
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert (sys.stdout, sys.stderr) == before


def test_a_run_is_shown_from_start_to_end():
    """Every event is handled, and output of libraries stays above the view."""
    terminal = console(140, 40)
    with LiveScreen("digits", terminal, clock=Clock()) as screen:
        screen.on_space_loaded(fake_events.WIDE_SPACE, Study())
        print("printed by a library")  # noqa: T201
        fake_events.play(screen, fake_events.WIDE_SPACE)
        screen.on_stopping(StopReason.SIGINT)
        assert any("press Ctrl-C again" in line for line in drawn(screen, 140, 40))
    shown = terminal.file.getvalue()
    assert "printed by a library" in shown
    assert r"a/[red]b\nc.jpg" in shown


def test_native_output_is_captured():
    """Descriptor 2 is read by lines, without notices, and restored afterwards."""
    lines = []
    before = os.fstat(2)
    with capture_stderr(lines.append):
        os.write(2, b"from C++\nI0000 00:00:1795165633.88   10881 port.cc:153] oneDNN\nhalf a line")
    assert lines == ["from C++", "half a line"]
    assert os.path.samestat(os.fstat(2), before)


def test_only_capable_terminals_are_drawn_on():
    """Dumb terminals, NO_COLOR, CI and pipes get plain lines."""
    terminal = SimpleNamespace(encoding="utf-8", isatty=lambda: True)
    assert is_drawable(terminal, {"TERM": "xterm"})
    assert not is_drawable(io.StringIO(), {"TERM": "xterm"})
    for environ in ({}, {"TERM": "dumb"}, {"TERM": "xterm", "CI": "true"}, {"TERM": "xterm", "NO_COLOR": "1"}):
        assert not is_drawable(terminal, environ)
