"""Arguments and options of the commands: names, help texts and checks. `Study` decides what they mean."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

import typer

from spaces.errors import SpaceError, UsageError
from spaces.held_out import share_of_images
from studies.settings import DEVICES, MAX_TRIALS, PRUNERS, SAMPLERS, valid_devices, valid_name
from studies.units import memory_bytes, seconds

Value = TypeVar("Value")


def _check_option(problem: Callable[[str], str | None]) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and (found := problem(value)):
            raise typer.BadParameter(found)
        return value

    return check


def _one_of(options: tuple[str, ...]) -> Callable[[str | None], str | None]:
    return _check_option(
        lambda value: None if value in options else f"expected one of {', '.join(options)}, got {value!r}"
    )


def _duration_problem(value: str) -> str | None:
    try:
        seconds(value)
    except SpaceError as error:
        return str(error).removeprefix("timeout: ")
    return None


def _size_problem(value: str) -> str | None:
    try:
        memory_bytes("size", value)
    except SpaceError as error:
        return str(error).removeprefix("size: ")
    return None


def _share_problem(value: str) -> str | None:
    try:
        share_of_images(value)
    except UsageError as error:
        return str(error).removeprefix("--test: ")
    return None


def _devices_problem(value: str) -> str | None:
    return None if valid_devices(value) else f"expected {DEVICES}, got {value!r}"


def _name_problem(value: str) -> str | None:
    return None if valid_name(value) else f"expected letters, digits, '-', '_' and '.', got {value!r}"


def _trials_problem(value: str) -> str | None:
    number = value.removeprefix("+")
    if not (number.isascii() and number.isdigit() and number.strip("0")):
        return f"expected a number such as 100, or +50 to add 50 trials, got {value[:60]!r}"
    # int() refuses numbers of thousands of digits.
    is_too_large = len(number.lstrip("0")) > 10 or int(number) > MAX_TRIALS
    return f"a study has at most {MAX_TRIALS} trials, got {value[:60]}" if is_too_large else None


def _require_space(value: str) -> str:
    if not value:
        from spaces.loading import listing

        raise UsageError(
            "missing SPACE\nhint: pass a space file, a folder with one subfolder per class, or a built-in space:\n\n"
            f"{listing()}"
        )
    return value


def renamed_option(name: str, value: Value | None, old_name: str, old_value: Value | None) -> Value | None:
    """Return the value of an option that was renamed and still accepts its old name.

    Raises:
        UsageError: Both names were used.
    """
    if value is not None and old_value is not None:
        raise UsageError(f"{old_name} is the old name of {name}\nhint: pass only {name}")
    return old_value if value is None else value


def _set_cache(folder: Path | None) -> Path | None:
    """Set the image cache of this process and of those that it starts."""
    if folder is not None:
        os.environ["SEARCH_CACHE"] = str(folder.absolute())
    return folder


SpaceArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="SPACE",
        callback=_require_space,
        help="Space file, folder with one subfolder of images per class, or built-in space.",
        show_default=False,
    ),
]
Data: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder with one subfolder of images per class, used instead of the space's data.",
        show_default=False,
    ),
]
Test: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FRACTION|FOLDER",
        callback=_check_option(_share_problem),
        help="Test images: a fraction of the images, for example 0.2, or a folder.",
        show_default=False,
    ),
]
Export: TypeAlias = Annotated[
    Path, typer.Argument(metavar="EXPORT", help="Folder of an exported model.", show_default=False)
]
Trials: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_TRIALS,
        metavar="N",
        help="Maximum number of trials, across all runs of the study.",
        show_default=False,
    ),
]
Timeout: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        callback=_check_option(_duration_problem),
        help="Time limit for the whole command, for example 90s, 30m or 1h30m. The best trial so far is exported. "
        "All workers share the limit of the command that starts the study.",
        show_default=False,
    ),
]
StudyName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME",
        callback=_check_option(_name_problem),
        help="Name of the study (default: the name of the space).",
        show_default=False,
    ),
]
Storage: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="SEARCH_STORAGE",
        help="Database URL (default: study.db in the study's folder).",
        show_default=False,
    ),
]
StudyArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="STUDY", help="Study name or folder.", show_default=False)
]
OptionalStudyArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="[STUDY]", help="Study name or folder. Omit to list all studies.", show_default=False),
]
TrialsChange: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--trials",
        metavar="N|+N",
        callback=_check_option(_trials_problem),
        help="New trial limit, or +N to add N trials.",
        show_default=False,
    ),
]
Wait: TypeAlias = Annotated[
    str,
    typer.Option(metavar="TIME", callback=_check_option(_duration_problem), help="Time to wait for the workers."),
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")]
NoWait: TypeAlias = Annotated[bool, typer.Option("--no-wait", help="Request the stop and return immediately.")]
Sampler: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(SAMPLERS),
        callback=_one_of(SAMPLERS),
        help="How parameters of the next trial are chosen.",
        show_default=False,
    ),
]
Pruner: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(PRUNERS),
        callback=_one_of(PRUNERS),
        help="How unpromising trials are stopped early.",
        show_default=False,
    ),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="N", help="Random seed. The same seed reproduces the trials on one machine.", show_default=False
    ),
]
GpuHours: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        metavar="HOURS",
        help="Total GPU hours for all workers.",
        show_default=False,
    ),
]
Checkpoints: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|URL",
        help="Where to store checkpoints (default: the study's folder).",
        show_default=False,
    ),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Number of worker processes on this machine.", show_default=False),
]
Devices: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cpu|0,1",
        callback=_check_option(_devices_problem),
        help="Devices for the workers; without --workers, one worker per GPU.",
        show_default=False,
    ),
]
WorkersPerGpu: TypeAlias = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Number of workers that share a GPU.", show_default=False)
]
OldWorkersPerGpu: TypeAlias = Annotated[int | None, typer.Option("--per-gpu", min=1, hidden=True)]
GpuMemory: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        callback=_check_option(_size_problem),
        help="GPU memory limit per worker, for example 8GiB.",
        show_default=False,
    ),
]
MaxWorkerMemory: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        callback=_check_option(_size_problem),
        help="Restart a worker process above this memory (default: 80% of the machine's memory divided by the "
        "workers).",
        show_default=False,
    ),
]
OldMaxWorkerMemory: TypeAlias = Annotated[
    str | None, typer.Option("--worker-memory", callback=_check_option(_size_problem), hidden=True)
]
IncludeEnded: TypeAlias = Annotated[
    bool,
    typer.Option("--include-ended", help="Include workers that stopped normally."),
]
OldIncludeEnded: TypeAlias = Annotated[bool, typer.Option("--all", hidden=True)]
Output: TypeAlias = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder that contains the studies.")]
Cache: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        callback=_set_cache,
        help="Image cache folder (default: SEARCH_CACHE or the user cache folder).",
        show_default=False,
    ),
]
NoExport: TypeAlias = Annotated[
    bool,
    typer.Option("--no-export", help="Search only, without retraining, test or export."),
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Show only the summary.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show tracebacks and library output.")]
