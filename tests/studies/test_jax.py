"""Another backend: a whole run on JAX, in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import sys
from pathlib import Path

from spaces import CNN, Choice, Constant, Digits, Float, Space
from studies import Study
from tests.support.fakes import run_space

space = Space(
    data=Digits(),
    backbone=CNN(filters=4, blocks=1, batch_norm=False),
    augment=None,
    learning_rate=Float(1e-3, 3e-2, log=True, default=1e-2),
    batch_size=128,
    schedule=Constant(),
    epochs=2,
    balance=Choice(None, "class_weights", "sampling"),
    metric="val_f1",
)
run_space(Path(sys.argv[1]), space, Study(trials=2, pruner="none"))
# Keras imports TensorFlow for its seed wherever it is installed.
assert not [name for name in sys.modules if name.startswith("studies.") and ".tensorflow_" in name]
"""


@pytest.mark.optional
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_digits_are_searched_and_exported_on_jax(tmp_path):
    """With KERAS_BACKEND=jax a search trains, tests and exports its best model, without our files for TensorFlow."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "tiny" / "best" / "metrics.json").read_text())
    assert (metrics["versions"]["backend"], metrics["trials"]["complete"]) == ("jax", 2)
    assert metrics["test"]["f1"] > 0.2
    assert metrics["exports"]["keras"]["max_abs_difference"] < 1e-5
    assert "needs the tensorflow backend, not jax" in metrics["exports"]["saved_model"]["skipped"]
