"""Arguments and options of the commands: names, help texts and checks. `Study` decides what they mean."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import typer

from spaces.errors import SpaceError, UsageError
from spaces.held_out import read_fraction
from spaces.loading import listing
from studies.settings import DEVICES, MAX_TRIALS, PRUNERS, SAMPLERS, valid_devices, valid_name
from studies.units import memory_bytes, seconds

Value = TypeVar("Value")


def _check_option(problem: Callable[[str], str | None]) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and (found := problem(value)):
            raise typer.BadParameter(found)
        return value

    return check


def _expect(is_valid: Callable[[str], bool], expected: str) -> Callable[[str | None], str | None]:
    return _check_option(lambda value: None if is_valid(value) else f"got {value!r}, expected {expected}")


def _one_of(options: tuple[str, ...]) -> Callable[[str | None], str | None]:
    return _expect(options.__contains__, f"one of {', '.join(options)}")


def _problem(check: Callable[[str], Any], prefix: str) -> Callable[[str], str | None]:
    def problem(value: str) -> str | None:
        try:
            check(value)
        except (SpaceError, UsageError) as error:
            return str(error).removeprefix(prefix)
        return None

    return problem


_check_duration = _check_option(_problem(seconds, "timeout: "))
_check_size = _check_option(_problem(partial(memory_bytes, "size"), "size: "))


def _trials_problem(value: str) -> str | None:
    number = value.removeprefix("+")
    if not (number.isascii() and number.isdigit() and number.strip("0")):
        return f"got {value[:60]!r}, expected a number such as 100, or +50 to add 50 trials"
    # int() refuses numbers of thousands of digits.
    is_too_large = len(number.lstrip("0")) > 10 or int(number) > MAX_TRIALS
    return f"got {value[:60]}, expected at most {MAX_TRIALS} trials" if is_too_large else None


def _require_space(value: str) -> str:
    if not value:
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


def _argument(metavar: str, help: str, **more: Any) -> Any:
    return typer.Argument(metavar=metavar, help=help, show_default=False, **more)


def _option(metavar: str, help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, show_default=False, **more)


SpaceArgument: TypeAlias = Annotated[
    str,
    _argument(
        "SPACE",
        "Space file, folder with one subfolder of images per class, or built-in space.",
        callback=_require_space,
    ),
]
Export: TypeAlias = Annotated[Path, _argument("EXPORT", "Folder of an exported model.")]
StudyArgument: TypeAlias = Annotated[str, _argument("STUDY", "Study name or folder.")]
OptionalStudyArgument: TypeAlias = Annotated[
    str | None, _argument("[STUDY]", "Study name or folder. Omit to list all studies.")
]
Data: TypeAlias = Annotated[
    str | None, _option("FOLDER", "Folder with one subfolder of images per class, used instead of the space's data.")
]
Test: TypeAlias = Annotated[
    str | None,
    _option(
        "FRACTION|FOLDER",
        "Test images: a fraction of the images, for example 0.2, or a folder.",
        callback=_check_option(_problem(read_fraction, "--test: ")),
    ),
]
Trials: TypeAlias = Annotated[
    int | None, _option("N", "Maximum number of trials, across all runs of the study.", min=1, max=MAX_TRIALS)
]
TrialsChange: TypeAlias = Annotated[
    str | None,
    _option("N|+N", "New trial limit, or +N to add N trials.", "--trials", callback=_check_option(_trials_problem)),
]
Timeout: TypeAlias = Annotated[
    str | None,
    _option(
        "TIME",
        "Time limit for the whole command, for example 90s, 30m or 1h30m. The best trial so far is exported. "
        "All workers share the limit of the command that starts the study.",
        callback=_check_duration,
    ),
]
StudyName: TypeAlias = Annotated[
    str | None,
    _option(
        "NAME",
        "Name of the study (default: the name of the space).",
        "--study",
        callback=_expect(valid_name, "letters, digits, '-', '_' and '.'"),
    ),
]
Storage: TypeAlias = Annotated[
    str | None, _option("URL", "Database URL (default: study.db in the study's folder).", envvar="SEARCH_STORAGE")
]
Sampler: TypeAlias = Annotated[
    str | None,
    _option("|".join(SAMPLERS), "How parameters of the next trial are chosen.", callback=_one_of(SAMPLERS)),
]
Pruner: TypeAlias = Annotated[
    str | None, _option("|".join(PRUNERS), "How unpromising trials are stopped early.", callback=_one_of(PRUNERS))
]
Seed: TypeAlias = Annotated[
    int | None, _option("N", "Random seed. The same seed reproduces the trials on one machine.", min=0)
]
GpuHours: TypeAlias = Annotated[float | None, _option("HOURS", "Total GPU hours for all workers.", min=0.001)]
Checkpoints: TypeAlias = Annotated[
    str | None, _option("FOLDER|URL", "Where to store checkpoints (default: the study's folder).")
]
Workers: TypeAlias = Annotated[int | None, _option("N", "Number of worker processes on this machine.", min=1)]
Devices: TypeAlias = Annotated[
    str | None,
    _option(
        "auto|cpu|0,1",
        "Devices for the workers; without --workers, one worker per GPU.",
        callback=_expect(valid_devices, DEVICES),
    ),
]
WorkersPerGpu: TypeAlias = Annotated[int | None, _option("N", "Number of workers that share a GPU.", min=1)]
OldWorkersPerGpu: TypeAlias = Annotated[int | None, typer.Option("--per-gpu", min=1, hidden=True)]
GpuMemory: TypeAlias = Annotated[
    str | None,
    _option("SIZE", "GPU memory limit per worker, for example 8GiB.", callback=_check_size),
]
MaxWorkerMemory: TypeAlias = Annotated[
    str | None,
    _option(
        "SIZE",
        "Restart a worker process above this memory (default: 80% of the machine's memory divided by the workers).",
        callback=_check_size,
    ),
]
OldMaxWorkerMemory: TypeAlias = Annotated[
    str | None, typer.Option("--worker-memory", callback=_check_size, hidden=True)
]
Cache: TypeAlias = Annotated[
    Path | None,
    _option("FOLDER", "Image cache folder (default: SEARCH_CACHE or the user cache folder).", callback=_set_cache),
]
Wait: TypeAlias = Annotated[
    str,
    typer.Option(metavar="TIME", callback=_check_duration, help="Time to wait for the workers."),
]
Output: TypeAlias = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder that contains the studies.")]
IncludeEnded: TypeAlias = Annotated[
    bool, typer.Option("--include-ended", help="Include workers that stopped normally.")
]
OldIncludeEnded: TypeAlias = Annotated[bool, typer.Option("--all", hidden=True)]
NoWait: TypeAlias = Annotated[bool, typer.Option("--no-wait", help="Request the stop and return immediately.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")]
NoExport: TypeAlias = Annotated[bool, typer.Option("--no-export", help="Search only; do not retrain, test or export.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Show only the summary.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show tracebacks and library output.")]
