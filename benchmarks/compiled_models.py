"""Measure the trials per hour of a search over digits, with and without the compiled-model cache.

    python benchmarks/compiled_models.py [--runs 3] [--trials 20]

Each run evaluates the same random recipes of the built-in `digits` space twice, without a pruner. One side reuses
compiled models, the other builds and compiles a model for each trial. The sides take turns in going first and must find
the same values. CPU seconds depend less on other load than wall seconds.
"""

import argparse
import gc
import time
from pathlib import Path

import keras
import optuna
from evidence import machine, spread

from spaces.loading import load as load_space
from spaces.space import Recipe
from studies.data.dataset import Dataset
from studies.data.sources import load
from studies.features.training_inputs import image_inputs
from studies.training.fit import train
from studies.training.model_cache import CompiledModelCache
from studies.training.options import TrainingOptions
from studies.trials.samplers import suggest


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    arguments = parser.parse_args()
    print(machine("keras", "tensorflow"), flush=True)
    space = load_space("digits").space
    data = load(space.data, Path.cwd())
    gc.collect()
    gc.freeze()
    rows = [_run(_recipes(space, arguments.trials, run), data, run) for run in range(arguments.runs)]
    for name in rows[0]:
        print(f"{name:32} {spread([row[name] for row in rows], '')}")


def _recipes(space: Recipe, trials: int, seed: int) -> list[Recipe]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [suggest(study.ask(), space) for _ in range(trials)]


def _run(recipes: list[Recipe], data: Dataset, run: int) -> dict[str, float]:
    sides = ("kept", "rebuilt") if run % 2 else ("rebuilt", "kept")
    kept = CompiledModelCache()
    found = {side: _side(recipes, data, kept if side == "kept" else None) for side in sides}
    if found["kept"][1] != found["rebuilt"][1]:
        raise SystemExit("kept models were trained otherwise than new ones")
    row = {f"{side}, trials an hour": 3600 * len(recipes) / found[side][0] for side in sorted(sides)}
    row["kept / rebuilt"] = found["rebuilt"][0] / found["kept"][0]
    row.update({f"{side}, CPU seconds a trial": found[side][2] / len(recipes) for side in sorted(sides)})
    print(f"run {run + 1}: {kept.reused} of {len(recipes)} trials reused a model", flush=True)
    return row


def _side(recipes: list[Recipe], data: Dataset, warm: CompiledModelCache | None) -> tuple[float, list[float], float]:
    keras.utils.clear_session(free_memory=False)
    began, computed, values, inputs = time.perf_counter(), time.process_time(), [], image_inputs(data, Path())
    for seed, recipe in enumerate(recipes):
        trained = train(recipe, inputs, TrainingOptions(seed, model_cache=warm))
        values.append(trained.best_value)
        if warm is None or not warm.is_reused:
            keras.utils.clear_session(free_memory=False)
        gc.collect()
    return time.perf_counter() - began, values, time.process_time() - computed


if __name__ == "__main__":
    main()
