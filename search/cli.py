"""The commands of `search`: what can be typed. Each one hands over to a module of its own."""

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from search import options
from search.display.terminal import escape_unencodable, flush_quietly, print_line
from search.exit_codes import EXIT_CODES, exit_on_error
from search.study_cli import studies

app = typer.Typer(
    name="search",
    epilog=EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
weights = typer.Typer(
    name="weights",
    help="List the weights of pretrained networks on this machine, or download more of them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(studies)
app.add_typer(weights)


def main(started: float | None = None) -> None:
    """Run the command that was typed, and exit with its code.

    Args:
        started: Reading of `time.monotonic` when the command began, from which a time limit counts; None for now.
    """
    escape_unencodable()
    try:
        app(prog_name="search", obj=started)
    finally:
        # Python is about to end: one more Ctrl-C would only take the exit code with it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        flush_quietly()


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print_line(f"search {version('search')}")
        except PackageNotFoundError:
            print_line("search, not installed: run from its source")
        raise typer.Exit


@app.callback()
def search(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find, retrain and export the best Keras image classifier for a data set.

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
    per_gpu: options.PerGpu = None,
    gpu_memory: options.GpuMemory = None,
    worker_memory: options.WorkerMemory = None,
    gpu_hours: options.GpuHours = None,
    checkpoints: options.Checkpoints = None,
    output: options.Output = Path("runs"),
    cache: options.Cache = None,
    no_export: options.NoExport = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Search a space, then retrain, test and export the best trial.

    The same command goes on where it was ended, and given once more elsewhere it is one more worker. Ctrl-C ends it
    in good order, twice at once.

    Example

        search run space.py --trials 50 --timeout 2h
    """
    with exit_on_error(debug):
        from search.commands.run import run as run_space
        from search.run_command import RunCommand

        given: dict[str, Any] = {"trials": trials, "timeout": timeout, "name": study, "storage": storage}
        given |= {"sampler": sampler, "pruner": pruner, "seed": seed}
        given |= {"workers": workers, "devices": devices, "per_gpu": per_gpu, "gpu_memory": gpu_memory}
        given |= {"worker_memory": worker_memory, "gpu_hours": gpu_hours, "checkpoints": checkpoints}
        settings = {name: value for name, value in given.items() if value is not None}
        call = RunCommand(space, settings, output, export=not no_export, data=data, test=test, cache=cache)
        raise typer.Exit(run_space(call, settings, quiet=quiet, debug=debug, started=context.obj))


@app.command(epilog=EXIT_CODES)
def predict(
    export: options.Export,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.", show_default=False)],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Classify images with an exported model: the class, its probability, and the three most probable ones.

    Images that cannot be read are named on standard error, all others are classified, and the exit code is 4.

    Example

        search predict runs/digits/best photo.jpg
    """
    with exit_on_error(debug):
        from search.commands.predict import predict_images

        predict_images(export, images, as_json=json, debug=debug)


@app.command(epilog=EXIT_CODES)
def evaluate(
    export: options.Export,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of class folders.", show_default=False)],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Measure an exported model on a folder with one sub-folder of images for each class.

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
    """Show the parameters of a space, its baseline, and how many combinations there are.

    Example

        search show space.py
    """
    with exit_on_error(debug):
        from search.commands.show import show_space

        show_space(space, data, test)


@app.command(epilog=EXIT_CODES)
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything from the cache.")] = False,
    cache: options.Cache = None,
    debug: options.Debug = False,
) -> None:
    """List what the cache of decoded images holds, or empty it.

    Example

        search cache --clear
    """
    with exit_on_error(debug):
        from search.commands.cache import clear_cache, show_cache

        clear_cache() if clear else show_cache()


@weights.command("list", epilog=EXIT_CODES)
def list_command(debug: options.Debug = False) -> None:
    """List the weights that `Pretrained` finds: those in SEARCH_WEIGHTS, then those in Keras' own cache.

    Files are recognised by what they hold, not by their names.

    Example

        SEARCH_WEIGHTS=weights/ search weights list
    """
    with exit_on_error(debug):
        from search.commands.weights import list_weights

        list_weights(debug=debug)


@weights.command("get", epilog=EXIT_CODES)
def get_command(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Networks of Keras, such as MobileNetV2.")],
    alpha: Annotated[
        float | None, typer.Option(metavar="WIDTH", help="Width multiplier of the MobileNet networks.")
    ] = None,
    size: Annotated[
        int, typer.Option(min=32, metavar="PIXELS", help="Side of the images in pixels; MobileNet has weights by size.")
    ] = 224,
    top: Annotated[bool, typer.Option("--top", help="With the classifier of ImageNet's 1,000 classes.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder to download to; SEARCH_WEIGHTS, or else Keras' own cache."),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Download the ImageNet weights that Keras would download.

    For a machine without internet, download on another one with --output FOLDER, copy the folder, and set
    SEARCH_WEIGHTS to it. SEARCH_WEIGHTS_URL names a mirror to download from.

    Example

        search weights get MobileNetV2 --alpha 0.35 --output weights/
    """
    with exit_on_error(debug):
        from search.commands.weights import get_weights

        get_weights(names, alpha=alpha, size=size, top=top, output=output, debug=debug)


if __name__ == "__main__":
    main()
