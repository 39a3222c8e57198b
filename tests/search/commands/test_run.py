import os
import re
from pathlib import Path

import pytest

from spaces import ImageFolder
from studies.stop_request import StopReason
from tests.support import fake_events

SPACE = "from spaces import *\nfrom studies import Study\nspace = Space(data=Digits())\nstudy = {study}\n"


def test_a_pipe_gets_plain_lines(search, fake_run):
    """There is one line per trial, none per epoch; names are escaped, not markup; `--quiet` leaves the summary."""
    fake_run()
    done = search("run", "digits")
    assert (done.exit_code, done.stderr) == (0, "")
    assert len(re.findall(r"^\d/3 ", done.stdout, re.MULTILINE)) == 3
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert done.stdout.startswith("search digits: ")
    assert r"a/[red]b\nc.jpg: is not an image" in done.stdout
    assert r"the other trials [bold]at\nepoch 3" in done.stdout
    shown = search("run", "digits", "--quiet").stdout
    assert shown.startswith("trials     3 of 3")
    assert "search predict runs/digits/best" in shown


def test_options_override_the_study_of_the_file(search, fake_run, tmp_path):
    """Typed options win, the rest of the file's `study` stays."""
    calls = fake_run()
    (tmp_path / "mine.py").write_text(SPACE.format(study="Study(trials=7, seed=5, pruner='none')"))
    search("run", "mine.py", "--trials", 9, "--timeout", "1h30m", "--output", "there", "--no-export")
    loaded, settings, output, export = calls[0]
    assert (settings.trials, settings.seed, settings.pruner, settings.timeout) == (9, 5, "none", 5400)
    assert (loaded.name, output, export) == ("mine", Path("there"), False)


def test_a_study_of_the_wrong_type_is_refused(refused, fake_run, tmp_path):
    """It ends like any invalid space file."""
    calls = fake_run()
    (tmp_path / "mine.py").write_text(SPACE.format(study="'mine'"))
    assert "Study(...)" in refused(3, "run", "mine.py", "--quiet")
    assert not calls


@pytest.mark.parametrize(
    ("reason", "code"), [(StopReason.SIGINT, 130), (StopReason.SIGTERM, 143), (StopReason.SIGPIPE, 141)]
)
def test_a_stopped_run_ends_with_the_code_of_its_signal(search, fake_run, reason, code):
    """The summary shows how to resume."""
    fake_run(lambda: fake_events.result(interrupted=reason, metrics=None, export=None))
    done = search("run", "digits", "--trials", 3)
    assert done.exit_code == code
    assert "search run digits --trials 3" in done.stdout


@pytest.mark.parametrize(
    ("words", "data"),
    [("digits --data photos", ImageFolder("photos")), ("photos --test 0.3", ImageFolder("photos", test=0.3))],
)
def test_typed_images_replace_those_of_the_space(search, fake_run, tmp_path, words, data):
    """`--data` and `--test` change the data of the space that runs."""
    (tmp_path / "photos").mkdir()
    calls = fake_run()
    assert search("run", *words.split()).exit_code == 0
    assert calls[0][0].space.data == data


def test_a_path_that_is_not_text_is_refused(search, fake_run, tmp_path, monkeypatch):
    """It would break the export after the whole search."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    (folder / "photos").mkdir(parents=True)
    monkeypatch.chdir(folder)
    calls = fake_run()
    assert "UTF-8" in search("run", "photos").stderr
    assert not calls
