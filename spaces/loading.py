"""Load the SPACE of `search run`: a space file, the name of a built-in space, or a folder of images."""

import ast
import dataclasses
import difflib
import hashlib
import io
import linecache
import os
import re
import stat
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from spaces.data import ImageFolder
from spaces.error_location import error_at_line, is_user_file, last_assignment, locate_error
from spaces.errors import DataError, SpaceError
from spaces.scalars import short_repr
from spaces.space import Space

EXAMPLES = Path(__file__).parent / "examples"
LONGEST_NAME = 80


@dataclass(frozen=True)
class LoadedSpace:
    """A space with its name, study and folder.

    Args:
        name: Default name of its study: letters, digits, `-`, `_` and `.`.
        space: The space.
        study: The value of `study` in the file, or None.
        folder: Absolute folder from which the relative paths of the data start.
    """

    name: str
    space: Space
    study: object | None
    folder: Path


def load(target: str, data: str | None = None) -> LoadedSpace:
    """Load a space.

    Args:
        target: Path of a Python file that defines `space` and may define `study`; the name of a built-in space,
            whose paths start at the current folder; or a folder with one sub-folder of images for each class.
        data: A folder of images to use instead of the space's data, relative to the current folder; None keeps them.

    Raises:
        SpaceError: The target does not exist, or does not define a valid space.
        DataError: `data` is not a folder.
    """
    loaded = _load(target)
    return loaded if data is None else with_data(loaded, data)


def with_data(loaded: LoadedSpace, data: str) -> LoadedSpace:
    """Return the same space with the images of another folder.

    An `ImageFolder` keeps how its images are read and split, such as `image_size`, but not its own folders.

    Args:
        data: The folder, relative to the current folder.

    Raises:
        DataError: The folder does not exist.
    """
    path = _absolute(data)
    if not data or not _is(path, stat.S_ISDIR):
        raise DataError(f"--data: got {short_repr(data)}, expected a folder with one subfolder of images per class")
    own = loaded.space.data
    source = ImageFolder(data if Path(data).is_absolute() else os.path.relpath(path, loaded.folder))
    if isinstance(own, ImageFolder):
        validation = own.validation if own.validation == "folder" or isinstance(own.validation, float) else 0.2
        test = own.test if isinstance(own.test, float) else None
        source = dataclasses.replace(own, train=source.train, test=test, validation=validation, classes=None)
    return dataclasses.replace(loaded, space=dataclasses.replace(loaded.space, data=source))


def _load(target: str) -> LoadedSpace:
    path = _absolute(target)
    if _is_bare(target) and target in built_in():
        example = _load_file(EXAMPLES / f"{target}.py", target)
        return LoadedSpace(target, example.space, example.study, Path.cwd())
    if target and _is(path, stat.S_ISDIR):
        return LoadedSpace(default_study_name(path.name), Space(data=ImageFolder(path.name or ".")), None, path.parent)
    if target.endswith(".py") and _is(path, stat.S_ISREG):
        return _load_file(path, target)
    raise SpaceError(_missing(target, path))


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    """Return True if a path can be read and is of a kind."""
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def built_in() -> list[str]:
    """Return the names of the built-in spaces."""
    return sorted(file.stem for file in EXAMPLES.glob("[!_]*.py"))


def listing() -> str:
    """List the built-in spaces, each with its description, one a line."""
    width = max(map(len, built_in()))
    return "\n".join(f"  {name:{width}}  {_described(EXAMPLES / f'{name}.py')}" for name in built_in())


def _described(file: Path) -> str:
    """Return the description of a built-in space: the third line of its docstring."""
    lines = (ast.get_docstring(ast.parse(file.read_bytes())) or "").splitlines()
    return lines[2] if len(lines) > 2 else ""


def default_study_name(text: str) -> str:
    """Return a safe name for a study and its folder, made from the name of a file or folder."""
    composed = unicodedata.normalize("NFC", text)
    return re.sub(r"[^\w.-]+", "-", composed).strip("-.")[:LONGEST_NAME] or "study"


def _absolute(target: str) -> Path:
    # Not `resolve`, which would name the study after the target of a symbolic link.
    return Path(os.path.normpath(Path(target).absolute()))


def _is_bare(target: str) -> bool:
    return not target.endswith(".py") and not any(mark in target for mark in (os.sep, os.altsep) if mark)


def _missing(target: str, path: Path) -> str:
    if not target or _is(path, lambda _: True):
        return f"got {target!r}, expected a Python file that ends in .py, a folder of images, or a built-in space"
    names = built_in() if _is_bare(target) else []
    nearest = difflib.get_close_matches(path.name, [*names, *_module_next_to_space(path)], n=2)
    hint = f"\nhint: did you mean {' or '.join(nearest)}?" if nearest else ""
    listed = f"\nbuilt-in spaces:\n{listing()}" if names else ""
    return f"{short_repr(target)} not found{hint}{listed}"


def _module_next_to_space(path: Path) -> list[str]:
    try:
        names = [each.name for each in path.parent.iterdir() if each.suffix == ".py" or each.is_dir()]
    except OSError:
        return []
    return [name for name in names if not name.startswith(".")]


def _load_file(file: Path, target: str) -> LoadedSpace:
    module = _run(file, target)
    space = _space_of(vars(module), file, target)
    return LoadedSpace(default_study_name(file.stem), space, getattr(module, "study", None), file.parent)


def _space_of(names: dict[str, Any], file: Path, target: str) -> Space:
    space = names.get("space")
    if isinstance(space, Space):
        return space
    if "space" in names:
        message = f"space: got {short_repr(space)}, expected a Space(...)"
        raise error_at_line(file, last_assignment(file, "space"), message, target)
    others = [name for name, value in names.items() if isinstance(value, Space)]
    hint = f"rename `{others[-1]}` to `space`" if others else "add a line such as space = Space(ImageFolder('photos'))"
    raise SpaceError(f"{target} does not define `space`\nhint: {hint}")


def _run(file: Path, target: str) -> ModuleType:
    """Run a file as a module, which stays importable so that its functions keep their source.

    The module's name depends on the path alone, so it is the same in every process.
    """
    name = f"space_{hashlib.sha256(str(file).encode(errors='surrogatepass')).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(file)
    source = _read(file, target)
    # Without a time stamp `linecache` keeps the source as it was read, even if the file is edited during a search.
    lines = io.StringIO(source.decode("utf-8-sig", errors="replace"), newline=None).readlines()
    linecache.cache[str(file)] = (len(source), None, lines, str(file))
    sys.modules[name] = module
    try:
        _import_from(file.parent)
        exec(compile(source, str(file), "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        del sys.modules[name]
        problem = locate_error(error, file, target)
        # Ctrl-C interrupts any line, unlike a line that raises KeyboardInterrupt.
        if isinstance(error, KeyboardInterrupt) and "\n    raise" not in str(problem):
            raise
        raise problem from error
    return module


def _read(file: Path, target: str) -> bytes:
    try:
        source = file.read_bytes()
    except OSError as error:
        raise SpaceError(f"cannot read {target}: {error.strerror}") from error
    # Which error these raise depends on the release of Python.
    if b"\0" in source:
        raise SpaceError(f"{target}: invalid Python: source code string cannot contain null bytes")
    return source


def _import_from(folder: Path) -> None:
    """Make the modules next to the space file importable, and unload those of the same names from other folders."""
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if origin and "." not in name and _is(folder / f"{name}.py", stat.S_ISREG):
            elsewhere = Path(origin).parent
            if elsewhere != folder and is_user_file(Path(origin), elsewhere):
                del sys.modules[name]
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
