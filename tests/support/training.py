"""A study that really trains, as little as can be; as a program `search`, whose epochs last a given time at least.

Epochs of this network take milliseconds: a study of them would be over on a fast machine before anything could happen
to it. The environment says how long they last.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from studies.database.urls import sqlite_url

NAME, EPOCHS = "training", 8
EPOCH_SECONDS = "TEST_EPOCH_SECONDS"
SPACE = """
import numpy as np
from spaces import CNN, Constant, CustomData, Float, Int, Space
from studies import Study

def images():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    pixels = rng.integers(0, 150, (400, 8, 8, 1)) + 60 * labels[:, None, None, None]
    return {{"train": (pixels.astype(np.uint8), labels), "classes": ["dark", "bright"]}}

space = Space(
    data=CustomData(images), augment=None, backbone=CNN(filters=Int(2, 8, step=2), blocks=1, batch_norm=False),
    learning_rate=Float(1e-3, 1e-1, log=True), batch_size=8, schedule=Constant(), epochs={epochs}, metric="val_loss",
)
study = Study(
    trials={trials}, sampler="random", pruner="none", name="{name}", heartbeat_seconds=0.3, lost_after_seconds=2.0,
    retries=1000,
)
"""


def command(folder: Path, url: str, trials: int) -> list[str]:
    """The command of each worker of the study, which is written into the folder."""
    file = folder / "space.py"
    file.write_text(SPACE.format(trials=trials, epochs=EPOCHS, name=NAME))
    options = ["--storage", url, "--output", str(folder / "runs"), "--no-export", "--quiet", "--debug"]
    return [sys.executable, "-m", "tests.support.training", "run", str(file), *options]


def run_folder(folder: Path) -> Path:
    """Where the workers of `command` keep what is not in the database."""
    return folder / "runs" / NAME


def environment(epoch_seconds: float = 0.0) -> dict[str, str]:
    """One thread each, so that sums are made in one order."""
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return {**os.environ, **dict.fromkeys(("PYTHONFAULTHANDLER", *threads), "1"), EPOCH_SECONDS: str(epoch_seconds)}


def train_in_peace(folder: Path, trials: int) -> str:
    """Let one worker do all of the study; returns the URL of its database."""
    url = sqlite_url(folder / "study.db")
    subprocess.run(command(folder, url, trials), check=True, env=environment(), capture_output=True)
    return url


def main() -> None:
    """Be `search`, with epochs that take longer."""
    from search.cli import main as search
    from studies.training.callbacks.epochs import EpochReporter

    end = EpochReporter.on_epoch_end

    def end_later(self: EpochReporter, epoch: int, logs: Any = None) -> None:
        time.sleep(float(os.environ[EPOCH_SECONDS]))
        end(self, epoch, logs)

    EpochReporter.on_epoch_end = end_later  # type: ignore[method-assign]
    search()


if __name__ == "__main__":
    main()
