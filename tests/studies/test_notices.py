"""What a run says about its data when the study opens."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from spaces import CustomData
from studies import Study
from studies.events import StudyOpened
from studies.run import run
from studies.stop_request import StopRequest
from tests.support.fakes import TINY, Recorder

IMAGES = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 1), np.uint8)
LABELS = np.tile([0, 1], 40)


def twice():
    """Three test images stand in train as well."""
    return {"train": (IMAGES[:60], LABELS[:60]), "test": (IMAGES[57:], LABELS[57:])}


def test_equal_pictures_are_told_when_the_study_opens(tmp_path):
    """How many were left out, and of which part."""
    space = replace(TINY, data=CustomData(twice), epochs=1, batch_size=16)
    declared = SimpleNamespace(name="tiny", space=space, folder=Path())
    recorder = Recorder()
    settings = Study(trials=1, pruner="none")
    run(declared, settings, output=tmp_path, export=False, listener=recorder, stop=StopRequest())
    [opened] = recorder.of(StudyOpened)
    assert opened.notices == ("test had 3 duplicates of train images, now left out",)
