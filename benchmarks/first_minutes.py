"""Measure the accuracy of the model that exists some seconds after the command was typed, on folders of photos.

    python benchmarks/first_minutes.py FOLDER WEIGHTS [--splits 3] [--peers search sklearn-160 sklearn-224] [--last]

FOLDER holds class folders, or `train` and `test` with class folders, whose images are pooled. Each split holds out
another fifth of them. WEIGHTS is a folder with the ImageNet weights of MobileNetV2 (alpha 0.35) without top, and
optionally of other networks. The peers are `search run` with an empty cache, and twenty lines of scikit-learn: logistic
regression on features of MobileNetV2 at one image size. Each run is a fresh process, and a line of
`first_minutes.jsonl`, so that the benchmark resumes.

Test images are used to report only. Those whose name has an odd CRC32 are left out, unless --last is given.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
from evidence import machine

SECONDS = (10, 20, 30, 45, 60, 90, 120)
RESULTS = Path("first_minutes.jsonl")


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--peers", nargs="+", default=["search", "sklearn-160", "sklearn-224"])
    parser.add_argument("--last", action="store_true", help="also use the test images with an odd CRC32")
    options = parser.parse_args()
    print(machine("keras", "tensorflow", "scikit-learn"))
    for split in range(options.splits):
        for peer in options.peers:
            key = {"set": options.folder.name, "peer": peer, "split": split, "last": options.last}
            if not any(key.items() <= row.items() for row in _rows()):
                found = _measure(peer, options.folder, options.weights.absolute(), split, options.last)
                with RESULTS.open("a") as file:
                    file.write(json.dumps({**key, **found}) + "\n")
    _print(options.folder.name, options.peers, options.last)


def _rows() -> list[dict]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def _measure(peer: str, folder: Path, weights: Path, split: int, last: bool) -> dict:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        _divide(folder, root / "photos", split, last)
        load = os.getloadavg()[0]
        if peer == "search":
            snapshots, seconds = _watch(root, weights)
        else:
            snapshots, seconds = _by_hand(root, weights, int(peer.partition("-")[2]))
        scores = {str(at): score for at, score in snapshots.items()}
        return {"accuracy": scores, "seconds": round(seconds, 1), "load": load}


def _divide(folder: Path, target: Path, split: int, last: bool) -> None:
    """Link the pooled images as `train` and `test`, a fifth of each class for the test."""
    parts = [part for part in (folder / "train", folder / "test") if part.is_dir()] or [folder]
    for name in sorted(each.name for each in parts[0].iterdir() if each.is_dir()):
        files = sorted(file for part in parts for file in (part / name).iterdir())
        order = np.random.default_rng(split).permutation(len(files))
        for rank, index in enumerate(order):
            is_test = rank < len(files) // 5
            if is_test and not last and zlib.crc32(files[index].name.encode()) % 2:
                continue
            file, part = files[index], target / ("test" if is_test else "train")
            path = part / name / f"{file.parent.parent.name}_{file.name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(file.absolute())


def _watch(root: Path, weights: Path) -> tuple[dict[int, float | None], float]:
    """Run `search run photos`, keep a copy of its export after some seconds, and test the copies when it has ended."""
    environment = {**os.environ, "SEARCH_WEIGHTS": str(weights), "SEARCH_CACHE": str(root / "cache")}
    command = [sys.executable, "-m", "search", "run", "photos", "--quiet"]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL)
    kept: dict[int, Path | None] = {}
    ended = None
    try:
        for at in SECONDS:
            while ended is None and time.perf_counter() - began < at:
                if process.poll() is not None:
                    ended = time.perf_counter() - began
                time.sleep(0.05)
            kept[at] = _keep(root / "runs/photos/best", root / f"at_{at}")
        process.wait(600)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    seconds = ended or time.perf_counter() - began
    return {at: None if path is None else _test(path, root / "photos/test") for at, path in kept.items()}, seconds


def _keep(export: Path, copy: Path) -> Path | None:
    try:
        return Path(shutil.copytree(export, copy))
    except (OSError, shutil.Error):
        # There is none yet, or it is being replaced.
        return None


def _test(export: Path, images: Path) -> float:
    command = [sys.executable, "-m", "search", "evaluate", str(export), str(images), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["accuracy"]


BY_HAND = """
import sys, time, json, pathlib
import numpy as np
from PIL import Image
import keras
from sklearn.linear_model import LogisticRegression

root, weights, side, began = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
names = sorted(folder.name for folder in (root / "train").iterdir())

def read(part):
    files = [file for name in names for file in sorted((root / part / name).iterdir())]
    labels = np.array([names.index(file.parent.name) for file in files])
    return np.stack([np.asarray(Image.open(file).convert("RGB").resize((side, side))) for file in files]), labels

network = keras.applications.MobileNetV2(
    input_shape=(side, side, 3), alpha=0.35, include_top=False, weights=None, pooling="avg")
network.load_weights(weights)
features = lambda images: network.predict(images / np.float32(127.5) - 1, batch_size=32, verbose=0)
images, labels = read("train")
model = LogisticRegression(max_iter=1000).fit(features(images), labels)
seconds = time.time() - began
images, labels = read("test")
print(json.dumps([seconds, float((model.predict(features(images)) == labels).mean())]))
"""


def _by_hand(root: Path, weights: Path, side: int) -> tuple[dict[int, float | None], float]:
    file = next(path for path in sorted(weights.iterdir()) if "v2_0.35" in path.name)
    command = [sys.executable, "-c", BY_HAND, str(root / "photos"), str(file), str(side), str(time.time())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, accuracy = json.loads(done.stdout.splitlines()[-1])
    return {at: accuracy if seconds <= at else None for at in SECONDS}, seconds


def _print(name: str, peers: list[str], last: bool) -> None:
    print(f"{name}: test accuracy, mean and standard error over splits, by seconds after the command (ends after)")
    for peer in peers:
        rows = [row for row in _rows() if (row["set"], row["peer"], row["last"]) == (name, peer, last)]
        cells = []
        for at in SECONDS:
            values = [row["accuracy"][str(at)] for row in rows if row["accuracy"][str(at)] is not None]
            error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
            text = (
                f"{np.mean(values):.3f} ±{error:.3f}" if len(values) == len(rows) else f"{len(values)} of {len(rows)}"
            )
            cells.append(f"{at} s {text}")
        print(f"{peer:12} {'  '.join(cells)}  ({np.median([row['seconds'] for row in rows]):.0f} s)")


if __name__ == "__main__":
    main()
