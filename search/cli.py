"""The commands of `search`, their arguments and options. Each command calls a module in `search/commands/`."""

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from search import options
from search.display.terminal import escape_unencodable, flush_quietly, print_line
from search.exit_codes import EXIT_CODES, CommandLine, exit_on_error
from search.study_cli import studies
from spaces.backbones import APPLICATIONS

app = typer.Typer(
    name="search",
    cls=CommandLine,
    epilog=EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
weights = typer.Typer(
    name="weights",
    help="List or download the weights of pretrained networks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(studies)
app.add_typer(weights)


def main(started: float | None = None) -> None:
    """Run the typed command and exit with its code.

    Args:
        started: `time.monotonic()` at the start of the command, from which the time limit counts; None for now.
    """
    escape_unencodable()
    try:
        app(prog_name="search", obj=started)
    finally:
        # Another Ctrl-C while Python exits would only change the exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        flush_quietly()


def _show_version(is_requested: bool) -> None:
    if is_requested:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print_line(f"search {version('search')}")
        except PackageNotFoundError:
            print_line("search (not installed, run from source)")
        raise typer.Exit


@app.callback()
def search(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find, retrain and export the best Keras image classifier for a dataset.

    Example

        search run digits
    """


@app.command(epilog=EXIT_CODES)
def run(
    context: typer.Context,
    space: options.SpaceArgument = "",
    data: options.Data = None,
    test: options.Test = None,
    trials: options.Trials = None,
    timeout: options.Timeout = None,
    study: options.StudyName = None,
    storage: options.Storage = None,
    sampler: options.Sampler = None,
    pruner: options.Pruner = None,
    seed: options.Seed = None,
    workers: options.Workers = None,
    devices: options.Devices = None,
    workers_per_gpu: options.WorkersPerGpu = None,
    per_gpu: options.OldWorkersPerGpu = None,
    gpu_memory: options.GpuMemory = None,
    max_worker_memory: options.MaxWorkerMemory = None,
    worker_memory: options.OldMaxWorkerMemory = None,
    gpu_hours: options.GpuHours = None,
    checkpoints: options.Checkpoints = None,
    output: options.Output = Path("runs"),
    cache: options.Cache = None,
    no_export: options.NoExport = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Search a space, then retrain, test and export the best trial.

    Run the same command again to resume the study, or on another machine to add a worker. Ctrl-C stops cleanly; press
    it twice to stop immediately.

    Example

        search run space.py --trials 50 --timeout 2h
    """
    with exit_on_error(debug):
        from search.commands.run import run as run_space
        from search.run_command import RunCommand

        per_gpu = options.renamed_option("--workers-per-gpu", workers_per_gpu, "--per-gpu", per_gpu)
        memory = options.renamed_option("--max-worker-memory", max_worker_memory, "--worker-memory", worker_memory)
        typed: dict[str, Any] = {"trials": trials, "timeout": timeout, "name": study, "storage": storage}
        typed |= {"sampler": sampler, "pruner": pruner, "seed": seed}
        typed |= {"workers": workers, "devices": devices, "workers_per_gpu": per_gpu, "gpu_memory": gpu_memory}
        typed |= {"max_worker_memory": memory, "gpu_hours": gpu_hours, "checkpoints": checkpoints}
        settings = {name: value for name, value in typed.items() if value is not None}
        command = RunCommand(space, settings, output, export=not no_export, data=data, test=test, cache=cache)
        raise typer.Exit(run_space(command, settings, quiet=quiet, debug=debug, started=context.obj))


@app.command(epilog=EXIT_CODES)
def predict(
    export: options.Export,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.", show_default=False)],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Classify images with an exported model.

    Prints the three most probable classes of each image. Unreadable images are reported on standard error; the others
    are still classified, and the exit code is 4.

    Example

        search predict runs/digits/best photo.jpg
    """
    with exit_on_error(debug):
        from search.commands.predict import predict_images

        predict_images(export, images, as_json=json, debug=debug)


@app.command(epilog=EXIT_CODES)
def evaluate(
    export: options.Export,
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Folder with one subfolder per class.", show_default=False),
    ],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Evaluate an exported model on labelled images.

    Example

        search evaluate runs/digits/best photos/test
    """
    with exit_on_error(debug):
        from search.commands.evaluate import evaluate_folder

        evaluate_folder(export, folder, as_json=json, debug=debug)


@app.command(epilog=EXIT_CODES)
def show(
    space: options.SpaceArgument = "",
    data: options.Data = None,
    test: options.Test = None,
    debug: options.Debug = False,
) -> None:
    """Show a space: its parameters, baseline and number of combinations.

    Example

        search show space.py
    """
    with exit_on_error(debug):
        from search.commands.show import show_space

        show_space(space, data, test)


@app.command(epilog=EXIT_CODES)
def init(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Folder with one subfolder of images per class.")],
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="File to write (default: FOLDER.py, here).")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Write the plan for a folder of images to a space file, to be edited and run.

    Example

        search init photos
    """
    with exit_on_error(debug):
        from search.commands.init import write_space_file

        write_space_file(folder, file, debug=debug)


@app.command(epilog=EXIT_CODES)
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete everything in the cache.")] = False,
    cache: options.Cache = None,
    debug: options.Debug = False,
) -> None:
    """List or clear the cache of decoded images and features.

    Example

        search cache --clear
    """
    with exit_on_error(debug):
        from search.commands.cache import clear_cache, show_cache

        clear_cache() if clear else show_cache()


@weights.command("list", epilog=EXIT_CODES)
def list_command(debug: options.Debug = False) -> None:
    """List the weights files that `Pretrained` can use.

    Searches SEARCH_WEIGHTS, then the Keras cache. Files are recognized by their content, not by their names.

    Example

        SEARCH_WEIGHTS=weights/ search weights list
    """
    with exit_on_error(debug):
        from search.commands.weights import list_weights

        list_weights(debug=debug)


@weights.command("get", epilog=EXIT_CODES)
def get_command(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help=f"Keras networks: {', '.join(APPLICATIONS)}.")],
    alpha: Annotated[
        float | None, typer.Option(metavar="WIDTH", help="Width multiplier of the MobileNet networks.")
    ] = None,
    size: Annotated[
        int,
        typer.Option(min=32, metavar="PIXELS", help="Image size in pixels; only MobileNet weights depend on it."),
    ] = 224,
    top: Annotated[bool, typer.Option("--top", help="Include the classifier for the 1,000 ImageNet classes.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Download folder (default: SEARCH_WEIGHTS or the Keras cache)."),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Download ImageNet weights of Keras networks.

    For a machine without internet access, download on another machine with --output FOLDER, copy the folder, and set
    SEARCH_WEIGHTS to it. Set SEARCH_WEIGHTS_URL to download from a mirror.

    Example

        search weights get MobileNetV2 --alpha 0.35 --output weights/
    """
    with exit_on_error(debug):
        from search.commands.weights import get_weights

        get_weights(names, alpha=alpha, size=size, top=top, output=output, debug=debug)


if __name__ == "__main__":
    main()
