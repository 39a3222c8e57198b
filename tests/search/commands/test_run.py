import os
import re
import shlex
from pathlib import Path

import pytest

from search.display.log_screen import LogScreen
from search.display.screen import plain_lines
from search.display.summary import summary
from search.run_command import RunCommand
from spaces import ImageFolder, baseline
from studies.outcome import Progress
from studies.stop_request import StopReason
from tests.support import fake_events


def told(result, call=None):
    """The summary as plain lines."""
    return "\n".join(
        plain_lines(summary(result, call or RunCommand("digits"), {"dropout": 0.2, "learning_rate": 0.001}))
    )


def test_a_pipe_gets_plain_lines(search, fake_run):
    """Off a terminal there is one line for each trial, none for an epoch, and no control codes."""
    fake_run()
    done = search("run", "digits")
    assert done.exit_code == 0
    assert len(re.findall(r"^\d/3 ", done.stdout, re.MULTILINE)) == 3
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert done.stdout.startswith("search digits: loading Keras")
    assert done.stderr == ""


def test_names_are_not_markup(search, fake_run):
    """Names from files are shown as they are, on one line."""
    fake_run()
    shown = search("run", "digits").stdout
    assert r"a/[red]b\nc.jpg: is not an image" in shown
    assert r"the other trials [bold]at\nepoch 3" in shown


def test_quiet_shows_the_summary_alone(search, fake_run):
    """`--quiet` leaves only the outcome."""
    fake_run()
    done = search("run", "digits", "--quiet")
    assert done.stdout.startswith("trials     3 of 3")
    assert "search predict runs/digits/best" in done.stdout


def test_options_override_the_files_study(search, fake_run, tmp_path):
    """What is typed wins over the file's `study`, and the rest of that stays."""
    calls = fake_run()
    file = tmp_path / "mine.py"
    file.write_text(
        "from spaces import *\nfrom studies import Study\nspace = Space(data=Digits())\n"
        "study = Study(trials=7, seed=5, pruner='none')\n"
    )
    search("run", file, "--trials", 9, "--timeout", "1h30m", "--output", "there", "--no-export")
    declared, settings, output, export = calls[0]
    assert (settings.trials, settings.seed, settings.pruner, settings.timeout) == (9, 5, "none", 5400)
    assert (declared.name, output, export) == ("mine", Path("there"), False)


def test_a_wrong_study_is_refused(search, fake_run, tmp_path):
    """A file whose `study` is something else ends like any wrong space file."""
    fake_run()
    file = tmp_path / "mine.py"
    file.write_text("from spaces import *\nspace = Space(data=Digits())\nstudy = 'mine'\n")
    done = search("run", file, "--quiet")
    assert done.exit_code == 3
    assert "must be a Study(...)" in done.stderr


@pytest.mark.parametrize(("signal", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGPIPE", 141)])
def test_interruptions_have_their_exit_codes(search, fake_run, signal, code):
    """A run that a signal ended says what is kept and how to go on, and ends with the signal's code."""
    fake_run(lambda: fake_events.result(interrupted=signal, metrics=None, export=None))
    done = search("run", "digits", "--trials", 3)
    assert done.exit_code == code
    assert "kept" in done.stdout
    assert "search run digits --trials 3" in done.stdout


def test_a_reader_that_goes_away_hands_the_trial_back(monkeypatch):
    """A closed output asks for an end in good order, once, and is never written to again."""
    asked = []

    def broken(line):
        raise BrokenPipeError

    monkeypatch.setattr("search.display.log_screen.print_line", broken)
    with LogScreen("digits", asked.append) as screen:
        fake_events.play(screen, fake_events.WIDE_SPACE)
    assert asked == [StopReason.SIGPIPE]


def test_decoding_is_told_now_and_then():
    """While images are decoded a line comes every ten seconds at most."""
    now = [0.0]
    told = []
    screen = LogScreen("digits", told.append, clock=lambda: now[0])
    screen._tell = lambda facts: told.extend(facts)
    for second in range(25):
        now[0] = float(second)
        screen.on_data_progress(second, 100)
    assert [text for _, text in told] == ["0 of 100 decoded", "10 of 100 decoded", "20 of 100 decoded"]


def test_the_gain_is_told():
    """The summary says what the search gained, the test, the largest difference and the next commands."""
    shown = told(fake_events.result())
    assert "0.0104 above the baseline, trial 0 with 0.9767" in shown
    assert "accuracy 0.9861, loss 0.0512 on 360 images" in shown
    assert "1.2e-07" in shown
    assert "dropout 0.3123 (baseline 0.2)" in shown
    assert "learning_rate" not in shown
    assert "search evaluate runs/digits/best FOLDER" in shown


def test_no_gain_is_told_plainly():
    """A search that found nothing better says so."""
    best = fake_events.result().progress.best
    shown = told(fake_events.result(progress=Progress(3, 3, baseline=0.99, best=best)))
    assert "none: the search did not beat the baseline" in shown


def test_a_smaller_loss_is_a_gain():
    """Where lower is better, the best is told to be below the baseline."""
    best = fake_events.result().progress.best
    progress = Progress(3, 3, baseline=1.5, best=best)
    assert "below the baseline" in told(fake_events.result(direction="minimize", progress=progress))


def test_a_finished_study_says_how_to_add_trials():
    """A run with nothing left to do says so, with the command for more."""
    shown = told(fake_events.result(already_finished=True), RunCommand("my space.py", {"seed": 1, "trials": 3}))
    assert "evaluated before this run" in shown
    assert "search run 'my space.py' --seed 1 --trials 6" in shown


def test_a_run_out_of_time_says_so():
    """The end of the time limit is told, with the command that goes on."""
    progress = Progress(9, 2, baseline=0.9, best=fake_events.result().progress.best)
    shown = told(fake_events.result(timed_out=True, progress=progress), RunCommand("digits", {"timeout": "30m"}))
    assert "the time limit was reached" in shown
    assert "search run digits --timeout 30m" in shown


def test_nothing_complete_is_told():
    """An interruption before the first trial ends needs no best."""
    progress = Progress(9)
    shown = told(fake_events.result(interrupted=StopReason.SIGINT, progress=progress, metrics=None, export=None))
    assert "no trial is complete yet" in shown
    assert "one that was running goes on from its last checkpoint (a hypermodel's from its start)" in shown


def test_typed_options_come_back_without_the_password():
    """The command to go on is the typed one, but for the password."""
    call = RunCommand("digits", {"name": "a", "storage": "mysql+pymysql://u:s3cret@h/d"}, Path("my runs"), export=False)
    again = shlex.split(call.rerun_command())
    assert again[:5] == ["search", "run", "digits", "--study", "a"]
    assert again[5:] == ["--storage", "mysql+pymysql://***@h/d", "--output", "my runs", "--no-export"]
    assert "s3cret" not in told(fake_events.result(interrupted=StopReason.SIGINT), call)


def test_every_space_has_a_baseline_line(search):
    """`search show` lists every parameter, the baseline and the number of combinations."""
    done = search("show", "digits")
    assert done.exit_code == 0
    from spaces.loading import load

    for name in baseline(load("digits").space):
        assert done.stdout.count(name) >= 2
    assert "endless combinations" in done.stdout


def test_the_next_command_reads_the_same_images(search, fake_run, tmp_path):
    """`--data` stands in the space that is run, and in the command that goes on."""
    (tmp_path / "my photos").mkdir()
    calls = fake_run()
    assert search("run", "digits", "--data", "my photos").exit_code == 0
    assert calls[0][0].space.data == ImageFolder("my photos")
    assert (
        RunCommand("digits", data="my photos").rerun_command(trials=9)
        == "search run digits --data 'my photos' --trials 9"
    )


def test_a_path_that_is_no_text_is_refused(search, fake_run, tmp_path, monkeypatch):
    """It would break the export after the whole search."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    (folder / "photos").mkdir(parents=True)
    monkeypatch.chdir(folder)
    calls = fake_run()
    assert "must be valid UTF-8" in search("run", "photos").stderr
    assert not calls


def test_the_next_command_tests_on_the_same_images(search, fake_run, tmp_path):
    """`--test` stands in the space that is run, and in the command that resumes it; what is no share is refused."""
    (tmp_path / "photos").mkdir()
    calls = fake_run()
    assert search("run", "photos", "--test", "0.3").exit_code == 0
    assert calls[0][0].space.data == ImageFolder("photos", test=0.3)
    assert RunCommand("photos", test="0.3").rerun_command(trials=9) == "search run photos --test 0.3 --trials 9"
    refused = search("run", "photos", "--test", "30")
    assert refused.exit_code == 2
    assert "above 0 and at most 0.9" in refused.stderr
