"""How the options of `search run` are read; what they mean is decided by `Study`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from spaces.errors import SpaceError, UsageError
from spaces.held_out import share_of_images
from studies.settings import DEVICES, MAX_TRIALS, PRUNERS, SAMPLERS, valid_devices, valid_name
from studies.units import memory_bytes, seconds


def _checked(problem: Callable[[str], str | None]) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and (found := problem(value)):
            raise typer.BadParameter(found)
        return value

    return check


def _one_of(options: tuple[str, ...]) -> Callable[[str | None], str | None]:
    return _checked(lambda value: None if value in options else f"{value!r} is not one of {', '.join(options)}.")


def _duration_problem(value: str) -> str | None:
    try:
        seconds(value)
    except SpaceError as error:
        return f"{str(error).removeprefix('timeout: ')}."
    return None


def _size_problem(value: str) -> str | None:
    try:
        memory_bytes("size", value)
    except SpaceError as error:
        return f"{str(error).removeprefix('size: ')}."
    return None


def _share_problem(value: str) -> str | None:
    try:
        share_of_images(value)
    except UsageError as error:
        return f"{str(error).removeprefix('--test: ')}."
    return None


def _devices_problem(value: str) -> str | None:
    return None if valid_devices(value) else f"{value!r} is not {DEVICES}."


def _name_problem(value: str) -> str | None:
    return None if valid_name(value) else f"{value!r} has other than letters, digits, '-', '_' and '.'."


def _trials_problem(value: str) -> str | None:
    number = value.removeprefix("+")
    if not (number.isascii() and number.isdigit() and number.strip("0")):
        return f"{value!r} is neither a number of trials, such as 100, nor more of them, such as +50."
    # Python reads no number of thousands of digits.
    is_too_large = len(number.lstrip("0")) > 10 or int(number) > MAX_TRIALS
    return f"a study has at most {MAX_TRIALS} trials, got {value[:60]}." if is_too_large else None


def _given(value: str) -> str:
    if not value:
        from spaces.loading import listing

        raise typer.BadParameter(f"give a space file, a folder of class folders, or a built-in space:\n\n{listing()}")
    return value


def _place_cache(folder: Path | None) -> Path | None:
    """Whatever is decoded in this process, or in one that it starts, goes there."""
    if folder is not None:
        os.environ["SEARCH_CACHE"] = str(folder.absolute())
    return folder


SpaceArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="SPACE",
        callback=_given,
        help="A Python file that defines `space`, the name of a built-in space, or a folder of class folders.",
        show_default=False,
    ),
]
Data: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="A folder of class folders, in place of the space's own images.",
        show_default=False,
    ),
]
Test: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE|FOLDER",
        callback=_checked(_share_problem),
        help="Share of the images to test with, such as 0.2, or the folder of the test images.",
        show_default=False,
    ),
]
Export: TypeAlias = Annotated[
    Path, typer.Argument(metavar="EXPORT", help="The folder of an exported model.", show_default=False)
]
Trials: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1, max=MAX_TRIALS, metavar="N", help="Trials in all, over every run of this study.", show_default=False
    ),
]
Timeout: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        callback=_checked(_duration_problem),
        help="Time limit of the whole command, with retraining and export: 90s, 30m, 1h30m. All workers of a study "
        "share the limit of the command that starts it.",
        show_default=False,
    ),
]
StudyName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME",
        callback=_checked(_name_problem),
        help="Name of the study, if not the space's own.",
        show_default=False,
    ),
]
Storage: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="SEARCH_STORAGE",
        help="Database, if not study.db in the study's folder.",
        show_default=False,
    ),
]
StudyArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="STUDY", help="Name of a study, or its folder.", show_default=False)
]
OptionalStudyArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="[STUDY]", help="Name of a study, or its folder; none lists all.", show_default=False),
]
TrialsChange: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--trials",
        metavar="N|+N",
        callback=_checked(_trials_problem),
        help="Trials in all, or more than before, such as +50.",
        show_default=False,
    ),
]
Wait: TypeAlias = Annotated[
    str,
    typer.Option(metavar="TIME", callback=_checked(_duration_problem), help="How long to wait for the workers to end."),
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Delete without asking.")]
NoWait: TypeAlias = Annotated[bool, typer.Option("--no-wait", help="Ask the workers to end, and do not wait.")]
Sampler: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(SAMPLERS),
        callback=_one_of(SAMPLERS),
        help="Chooses the parameters of the next trial.",
        show_default=False,
    ),
]
Pruner: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(PRUNERS),
        callback=_one_of(PRUNERS),
        help="Ends trials without prospects.",
        show_default=False,
    ),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="The same seed gives the same trials on a machine.", show_default=False),
]
GpuHours: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        metavar="HOURS",
        help="End the search when its workers have used so much together.",
        show_default=False,
    ),
]
Checkpoints: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|URL",
        help="Where trials in training are kept, if not in the study's folder.",
        show_default=False,
    ),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Search with N processes on this machine.", show_default=False),
]
Devices: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cpu|0,1",
        callback=_checked(_devices_problem),
        help="What the workers train on; one for each GPU if --workers is not given.",
        show_default=False,
    ),
]
PerGpu: TypeAlias = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Workers that share a GPU.", show_default=False)
]
GpuMemory: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        callback=_checked(_size_problem),
        help="What each worker may take of its GPU: 8GiB.",
        show_default=False,
    ),
]
WorkerMemory: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        callback=_checked(_size_problem),
        help="Memory after which a worker's process is replaced, if not 0.8 of the machine's for all.",
        show_default=False,
    ),
]
Output: TypeAlias = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of all studies.")]
Cache: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        callback=_place_cache,
        help="Folder of decoded images, if not that of SEARCH_CACHE or the user's cache folder.",
        show_default=False,
    ),
]
NoExport: TypeAlias = Annotated[bool, typer.Option("--no-export", help="Search only: no retraining, test or export.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Show the summary alone.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
