"""Whatever is killed, stopped, restarted, torn or full: the study ends as if nothing had happened."""

import os
import subprocess
import sys

import pytest

from studies.storage import sqlite_url
from tests.chaos import Chaos
from tests.light import NAME, Crew, Light
from tests.servers import postgres
from tests.whole import faults, read_whole

pytestmark = pytest.mark.slow
TRIALS, EPOCHS = 6, 8
SPACE = f"""
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
    learning_rate=Float(1e-3, 1e-1, log=True), batch_size=8, schedule=Constant(), epochs={EPOCHS}, metric="val_loss",
)
study = Study(
    trials={TRIALS}, sampler="random", pruner="none", name="chaos", heartbeat_seconds=0.3, lost_after_seconds=2.0,
    retries=1000,
)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The values of the same study, searched by one worker in peace."""
    folder = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(folder, sqlite_url(folder / "study.db")), check=True, env=environment(), capture_output=True)
    return values(sqlite_url(folder / "study.db"), "chaos")


def command(folder, url):
    """The command of each worker."""
    file = folder / "space.py"
    file.write_text(SPACE)
    options = ["--storage", url, "--output", str(folder / "runs"), "--no-export", "--quiet", "--debug"]
    return [sys.executable, "-m", "search", "run", str(file), *options]


def environment():
    """One thread each, so that sums are made in one order."""
    return {
        **os.environ,
        "PYTHONFAULTHANDLER": "1",
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }


def values(url, name):
    """The value of each trial."""
    return [trial.value for trial in read_whole(url, name)[0]]


@pytest.fixture
def disk(tmp_path):
    """A small file system, or an ordinary folder where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    is_small = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True
    ).returncode
    yield folder, is_small
    if is_small:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_study_in_chaos_ends_as_one_in_peace(store, tmp_path, disk, undisturbed):
    """Four workers that train: every trial once, every curve whole, every value the same to the last bit."""
    folder, is_small = disk
    runs = folder / "runs" / "chaos"
    if store == "sqlite":
        url = sqlite_url(folder / "study.db")
        crew = Crew(command(folder, url), tmp_path, 4, environment())
        chaos = Chaos(crew, 1, 6, (2.0, 4.0), checkpoints=runs / "checkpoints", disk=folder if is_small else None)
        endure(chaos, url, "chaos", TRIALS, EPOCHS)
        assert values(url, "chaos") == undisturbed
    else:
        with postgres(settings={"fsync": "off"}) as server:
            url = server.new_database()
            crew = Crew(command(folder, url), tmp_path, 4, environment())
            endure(
                Chaos(crew, 2, 6, (2.0, 4.0), checkpoints=runs / "checkpoints", server=server),
                url,
                "chaos",
                TRIALS,
                EPOCHS,
            )
            assert values(url, "chaos") == undisturbed
    assert [path.name for path in runs.rglob("*") if path.is_file()] == ["command.json"]


def test_thirty_strikes_at_workers_that_train_nothing(url_of_light, tmp_path):
    """More often, and in less time: all of a worker but the training."""
    url, server = url_of_light
    light = Light(url, 60, seconds=0.2)
    endure(Chaos(Crew(light.command, tmp_path, 4), 3, 30, (0.2, 1.0), server=server), url, NAME, 60, light.epochs)


@pytest.fixture(params=["sqlite", "postgresql"])
def url_of_light(request, tmp_path):
    """An empty database, and its server."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "study.db"), None
        return
    with postgres(settings={"fsync": "off"}) as server:
        yield server.new_database(), server


def endure(chaos, url, name, trials, epochs):
    """Let the crew work in chaos until its study is over, and look at what came of it."""
    chaos.crew.start()
    try:
        chaos.run(400.0)
    finally:
        chaos.crew.end()
    assert faults(url, name, trials, epochs) == [], f"{dict(chaos.counts)}\n{chaos.crew.output()[-5000:]}"
    assert chaos.kills > 0
    codes = {worker.returncode for worker in chaos.crew.workers}
    assert codes <= {0, 143}, chaos.crew.output()[-5000:]
