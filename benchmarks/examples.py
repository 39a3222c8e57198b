"""Compare built-in spaces with the tutorials that they start from, on the test images.

    python benchmarks/examples.py small_cnn photos/ [--size 64] [--trials 10] [--epochs 10] [--seeds 1]

For each seed, the script searches the example's space on the folder, then runs its baseline as a study of one trial.
Both sides are retrained on training and validation images for their best number of epochs, and tested on the same
images. `--size` and `--epochs` apply to both. `--weights` (and `--alpha`) pass a weights file to the first pretrained
network of the example and leave out the others. The example's own pruner is used.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from evidence import machine

from search.run_command import settings_of
from spaces import Choice, Pretrained, baseline, resolve
from spaces.loading import LoadedSpace, load
from studies import Study


def main() -> None:
    """Run the benchmark and print its figures."""
    given = _arguments()
    print(machine("keras", "tensorflow", "optuna"))
    loaded = _changed(load(given.example, given.folder), given)
    rows = [_compared(loaded, seed, given.trials) for seed in range(given.seeds)]
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"{name:24} median {median(values):.4f}, from {min(values):.4f} to {max(values):.4f}, n={len(values)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example")
    parser.add_argument("folder")
    parser.add_argument("--size", type=int)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--weights")
    parser.add_argument("--alpha", type=float)
    return parser.parse_args()


def _changed(loaded: LoadedSpace, given: argparse.Namespace) -> LoadedSpace:
    """The example with the size, the epochs and the weights that were asked for."""
    space = loaded.space
    changes: dict[str, Any] = {"data": replace(space.data, image_size=given.size)} if given.size else {}
    if given.epochs:
        changes["epochs"] = given.epochs
    if given.weights:
        weights = str(Path(given.weights).absolute())
        changes["backbone"] = replace(_pretrained(loaded), weights=weights, alpha=given.alpha)
    return replace(loaded, space=replace(space, **changes))


def _pretrained(loaded: LoadedSpace) -> Pretrained:
    """The first pretrained network of the example."""
    backbone = loaded.space.backbone
    for network in backbone.options if isinstance(backbone, Choice) else (backbone,):
        if isinstance(network, Pretrained):
            return network
    raise SystemExit(f"{loaded.name}: has no pretrained network: leave out --weights")


def _compared(loaded: LoadedSpace, seed: int, trials: int) -> dict[str, float]:
    recipe = resolve(loaded.space, baseline(loaded.space))
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(loaded, {"trials": trials, "seed": seed})
        found = _exported(loaded, settings, Path(folder))
        alone = _exported(replace(loaded, space=recipe), replace(settings, trials=1, name="baseline"), Path(folder))
    print(f"seed {seed}: trial {found['best']['number']} of {trials}, {found['best']['params']}")
    row = {
        "baseline validation": found["baseline"]["value"],
        "found validation": found["best"]["value"],
        "baseline test accuracy": alone["test"]["accuracy"],
        "found test accuracy": found["test"]["accuracy"],
        "search seconds": found["seconds"]["search"],
    }
    print(", ".join(f"{name} {value:.4f}" for name, value in row.items()), flush=True)
    return row


def _exported(loaded: LoadedSpace, settings: Study, output: Path) -> dict[str, Any]:
    """What `metrics.json` holds after a whole run."""
    # Optuna and Keras are loaded here, so that wrong arguments are answered at once.
    from studies.events import RunListener
    from studies.run import run
    from studies.stop_request import StopRequest

    result = run(loaded, settings, output=output, export=True, listener=RunListener(), stop=StopRequest())
    if result.metrics is None:
        raise SystemExit(f"{loaded.name}: the run was ended before its export")
    return dict(result.metrics)


if __name__ == "__main__":
    main()
