import io
import os
import sys

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
    """Time that goes on when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.01
        return self.now


def console(width=80, height=24):
    """A terminal that only remembers."""
    return Console(
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
        _environ={"TERM": "xterm"},
    )


def drawn(screen, width, height):
    """The lines of the display, as they stand on a terminal of that size."""
    terminal = console(width, height)
    board = LiveView(screen._name, screen.state, screen._clock())
    return ["".join(segment.text for segment in line) for line in terminal.render_lines(board)]


def loading(space):
    """A live screen, not entered, that knows its space."""
    screen = LiveScreen("digits", console(), clock=Clock())
    screen.on_space_loaded(space, Study())
    return screen


def searching(space):
    """A live screen when three trials have ended and a fourth is running."""
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
def test_the_display_fits(space, width, height):
    """No line is wider than the terminal, and the whole is no higher."""
    shown = drawn(searching(space), width, height)
    assert len(shown) <= height
    assert max(cell_len(line) for line in shown) <= width


def test_trials_stand_side_by_side():
    """The running trial and the best so far stand in one line for each parameter, then the last trials."""
    shown = drawn(searching(fake_events.WIDE_SPACE), 80, 24)
    text = "\n".join(shown)
    words = [line.split() for line in shown]
    assert ["trial", "3", "best:", "trial", "2"] in words
    assert ["dropout", "0.1235", "0.4"] in words
    assert ["val_accuracy", "0.9500", "0.9200"] in words
    assert "12/30" in text
    assert "#1  pruned" in text
    assert "left" in shown[0]
    assert "worse than the other trials [bold]at" in text


def test_what_differs_comes_first():
    """Where not all parameters fit, those that differ are shown, and the rest is counted."""
    space = fake_events.long_space(25)
    screen = searching(space)
    params = {**screen.state.progress.best.params, "dropout": 0.55}
    screen.on_trial_started(TrialStarted(4, params, 30))
    shown = drawn(screen, 80, 24)
    assert any(line.startswith(" dropout") for line in shown)
    assert any("more, the same in both" in line for line in shown)


def test_a_wide_terminal_shows_two_columns_of_parameters():
    """Many parameters use the width that is there."""
    narrow, wide = ("\n".join(drawn(searching(fake_events.long_space()), width, 24)) for width in (80, 140))
    assert wide.count("_of_the_network") > 1.5 * narrow.count("_of_the_network")


def test_pauses_do_not_look_dead():
    """Whatever is being done, the seconds since it began are shown."""
    screen = loading(fake_events.WIDE_SPACE)
    screen._clock.now += 75
    assert "loading Keras, Optuna and the images  1m 15s" in drawn(screen, 80, 24)[0]


def test_decoding_is_a_bar():
    """While images are decoded there are a bar, the counts and the time left."""
    screen = loading(fake_events.WIDE_SPACE)
    screen.on_data_progress(0, 60000)
    screen._clock.now += 10
    screen.on_data_progress(30000, 60000)
    line = drawn(screen, 80, 24)[0]
    assert "30,000/60,000" in line
    assert "about 10s left" in line


def test_the_first_line_is_there_before_anything_else():
    """Entering the display writes the name of the space at once."""
    terminal = console()
    with LiveScreen("[red]digits", terminal, clock=Clock()):
        assert "search [red]digits" in terminal.file.getvalue()


def test_the_terminal_is_given_back_after_an_error():
    """The cursor is shown again, and the streams are the old ones, when a run raises."""
    terminal = console()
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError), LiveScreen("digits", terminal, clock=Clock()):
        raise ZeroDivisionError
    written = terminal.file.getvalue()
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert (sys.stdout, sys.stderr) == before


def test_a_whole_run_is_shown():
    """Every event of a run finds its place, and what other libraries print stays above the display."""
    terminal = console(140, 40)
    with LiveScreen("digits", terminal, clock=Clock()) as screen:
        screen.on_space_loaded(fake_events.WIDE_SPACE, Study())
        print("printed by a library")  # noqa: T201
        fake_events.play(screen, fake_events.WIDE_SPACE)
        screen.on_stopping(StopReason.SIGINT)
        assert any("Ctrl-C: ending after this step" in line for line in drawn(screen, 140, 40))
    shown = terminal.file.getvalue()
    assert "printed by a library" in shown
    assert r"a/[red]b\nc.jpg" in shown


def test_writes_past_python_are_caught():
    """What is written to descriptor 2 itself is handed over by lines, without notices; then the descriptor is back."""
    lines = []
    before = os.fstat(2)
    with capture_stderr(lines.append):
        os.write(2, b"from C++\nI0000 00:00:1795165633.88   10881 port.cc:153] oneDNN\nhalf a line")
    assert lines == ["from C++", "half a line"]
    assert os.path.samestat(os.fstat(2), before)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environ", "drawable"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
        ({"TERM": "xterm", "CI": "true"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
)
def test_plain_lines_where_nothing_can_be_drawn(environ, drawable):
    """A dumb terminal, NO_COLOR and CI get plain lines, and so does everything that is no terminal."""
    assert is_drawable(Terminal(), environ) is drawable
    assert not is_drawable(io.StringIO(), {"TERM": "xterm"})
