"""Measure the trials per hour of a search over the head of a frozen backbone, with and without cached features.

    python benchmarks/frozen_features.py FOLDER WEIGHTS [--trials 12] [--images-trials 2]

FOLDER holds `train/` and `test/`; WEIGHTS is the weights file of MobileNetV2 0.35 without its top. Each side is a
search in its own process and folder: 160 px, 10 epochs per trial, over dropout, learning rate, batch size and dense
units, without a pruner. The images are decoded before. The time runs from the start of the first trial to the end of
the last one, so it includes computing the features. The side without features runs fewer trials, the first ones of the
other side; its other trials are assumed to take the median time of all but the first, which compiles. The side with
features retrains, tests and exports its best trial.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from evidence import machine

SPACE = """
from spaces import Choice, Constant, Float, ImageFolder, Pretrained, Space

space = Space(
    data=ImageFolder({folder!r}, image_size=160),
    backbone=Pretrained("MobileNetV2", alpha=0.35, weights={weights!r}, dense_units=Choice(0, 64, 256, default=64)),
    augment=None,
    dropout=Float(0.0, 0.6, default=0.2),
    learning_rate=Float(1e-4, 1e-2, log=True, default=1e-3),
    batch_size=Choice(16, 32, 64, default=32),
    schedule=Constant(),
    epochs=10,
    patience=None,
)
"""

TRIALS = """
import json, sys
import optuna
study = optuna.load_study(study_name="space", storage=f"sqlite:///{sys.argv[1]}")
trials = study.get_trials()
outcomes = [trial.user_attrs["search:outcome"] for trial in trials]
seconds = (max(t.datetime_complete for t in trials) - min(t.datetime_start for t in trials)).total_seconds()
each, paths = ([outcome[name] for outcome in outcomes] for name in ("seconds", "path"))
print(json.dumps({"seconds": seconds, "each": each, "paths": paths}))
"""


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--images-trials", type=int, default=2)
    arguments = parser.parse_args()
    print(machine("keras", "tensorflow", "optuna"), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "space.py"
        names = {"folder": str(arguments.folder.absolute()), "weights": str(arguments.weights.absolute())}
        space.write_text(SPACE.format(**names))
        _decode(space)
        with_features = _side(space, "features", arguments.trials, arguments.trials)
        with_images = _side(space, "images", arguments.images_trials, arguments.trials)
    ratio = with_features["an hour"] / with_images["an hour"]
    print(f"ratio           {ratio:.1f} times the trials an hour, extraction included")


def _decode(space: Path) -> None:
    code = "import runpy, sys; from pathlib import Path; from studies.data.sources import load\n"
    code += "load(runpy.run_path(sys.argv[1])['space'].data, Path.cwd())"
    subprocess.run([sys.executable, "-c", code, str(space)], check=True, env=_environment(space, "features"))


def _side(space: Path, path: str, trials: int, of_search: int) -> dict[str, float]:
    output = space.parent / path
    command = [sys.executable, "-m", "search.cli", "run", str(space), "--trials", str(trials), "--pruner", "none"]
    command += ["--output", str(output), "--debug", *(["--no-export"] if path == "images" else [])]
    done = subprocess.run(command, check=False, env=_environment(space, path), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the search on {path} ended with {done.returncode}:\n{done.stderr}")
    told = subprocess.run(
        [sys.executable, "-c", TRIALS, str(output / "space" / "study.db")], check=True, capture_output=True, text=True
    )
    found = json.loads(told.stdout)
    if set(found["paths"]) != {path}:
        raise SystemExit(f"the trials were trained on {set(found['paths'])}, not on {path}:\n{done.stderr}")
    each = found["each"]
    first, later = each[0], statistics.median(each[1:] or each)
    rate = 3600 * of_search / (found["seconds"] + (of_search - trials) * later)
    scaled = "" if trials == of_search else f" in a search of {of_search}, the others taken to last as these"
    print(f"on {path:12} {rate:.0f} trials an hour{scaled}: {trials} trials in {found['seconds']:.1f} s", flush=True)
    print(f"                first trial {first:.1f} s, median of the others {later:.2f} s")
    if path == "features":
        _print_result(output / "space" / "best" / "metrics.json", first - later)
    return {"an hour": rate}


def _print_result(file: Path, extraction: float) -> None:
    metrics = json.loads(file.read_text())
    print(f"                extraction about {extraction:.1f} s: how much longer the first trial took")
    print(f"                test accuracy {metrics['test']['accuracy']:.4f}, best trial {metrics['best']['value']:.4f}")
    print(f"                whole network against its head: {metrics['features']['max_abs_difference']:.1e}")


def _environment(space: Path, path: str) -> dict[str, str]:
    switch = {"SEARCH_FEATURE_CACHE": "off"} if path == "images" else {}
    return {**os.environ, "SEARCH_CACHE": str(space.parent / "cache"), **switch}


if __name__ == "__main__":
    main()
