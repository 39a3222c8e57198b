"""`search init`: writes the plan for a folder of images to a space file."""

import os
from dataclasses import replace
from pathlib import Path

from search.display.spinner import spinner
from search.display.terminal import print_line
from search.formatting import escape_text
from search.quiet_env import silence_native_logs
from spaces.errors import OutputError, UsageError
from spaces.loading import load
from spaces.open_space import is_open
from spaces.space_file import space_file


def write_space_file(target: str, output: Path | None, *, debug: bool = False) -> None:
    """Plan a folder of images, and write its space to a file that can be edited and run.

    Args:
        target: The folder.
        output: The file; None for one in the current folder that is named after the images.

    Raises:
        UsageError: The target is not a folder of images.
        OutputError: The file exists, or cannot be written.
    """
    silence_native_logs()
    loaded = load(target)
    if not is_open(loaded.space):
        raise UsageError(
            f"{target!r} is not a folder of images\nhint: pass the folder that holds a folder for each class"
        )
    file = output or Path(f"{loaded.name}.py")
    if file.exists():
        raise OutputError(f"{file} exists\nhint: choose another file with --file")
    with spinner("Loading Keras and reading the folder", debug=debug):
        from studies.planning.photos import plan_photos

        plan = plan_photos(loaded.space, loaded.folder)
    settings = {} if is_open(plan.space) else {"sampler": "stepwise"}
    folder = os.path.relpath(loaded.folder / loaded.space.data.train, file.absolute().parent)
    space = replace(plan.space, data=replace(plan.space.data, train=folder))
    description = (f"search run {file}", "", *(f"{reason[0].upper()}{reason[1:]}." for reason in plan.reasons))
    try:
        file.write_text(space_file(space, settings, description), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror}") from error
    for reason in plan.reasons:
        print_line(f"plan: {escape_text(reason)}")
    print_line(f"wrote {escape_text(file)}; run it with: search run {escape_text(file)}")
