"""Load what `search run` is given: a space file, the name of a built-in example, or a folder of images."""

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
    """A space, and what belongs to it.

    Args:
        name: The name of its study unless another is given: letters, digits, `-`, `_` and `.`.
        space: The space.
        study: What the file defines as `study`, or None.
        folder: Where the relative paths of the data start, absolute.
    """

    name: str
    space: Space
    study: object | None
    folder: Path


def load(target: str, data: str | None = None) -> LoadedSpace:
    """Load a space.

    Args:
        target: Path of a Python file that defines `space` and may define `study`; the name of a built-in example,
            whose paths start at the current folder; or a folder with one sub-folder of images for each class.
        data: A folder of images that takes the place of the space's data, from the current folder; None keeps them.

    Raises:
        SpaceError: There is no such target, or it defines no right space.
        DataError: `data` is no folder.
    """
    loaded = _load(target)
    return loaded if data is None else with_data(loaded, data)


def with_data(loaded: LoadedSpace, data: str) -> LoadedSpace:
    """The same space over the images of another folder.

    An `ImageFolder` keeps how its images are read and split, such as `image_size`, but not its own folders.

    Args:
        loaded: The space.
        data: The folder, from the current folder.

    Raises:
        DataError: There is no such folder.
    """
    path = _absolute(data)
    if not data or not _is(path, stat.S_ISDIR):
        raise DataError(f"--data: {short_repr(data)} must be a folder with one sub-folder of images for each class")
    own = loaded.space.data
    source = ImageFolder(data if Path(data).is_absolute() else os.path.relpath(path, loaded.folder))
    if isinstance(own, ImageFolder):
        share = own.validation if own.validation == "folder" or isinstance(own.validation, float) else 0.2
        test = own.test if isinstance(own.test, float) else None
        source = dataclasses.replace(own, train=source.train, test=test, validation=share, classes=None)
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
    """Whether a path can be reached and is of a kind."""
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def built_in() -> list[str]:
    """The names of the built-in examples."""
    return sorted(file.stem for file in EXAMPLES.glob("[!_]*.py"))


def listing() -> str:
    """The built-in examples, each with what it is in one line."""
    width = max(map(len, built_in()))
    return "\n".join(f"  {name:{width}}  {_described(EXAMPLES / f'{name}.py')}" for name in built_in())


def _described(file: Path) -> str:
    """The line of an example's docstring after the command that runs it."""
    lines = (ast.get_docstring(ast.parse(file.read_bytes())) or "").splitlines()
    return lines[2] if len(lines) > 2 else ""


def default_study_name(text: str) -> str:
    """A safe name for a study and its folder, made from the name of a file or folder."""
    composed = unicodedata.normalize("NFC", text)
    return re.sub(r"[^\w.-]+", "-", composed).strip("-.")[:LONGEST_NAME] or "study"


def _absolute(target: str) -> Path:
    # Not `resolve`, which would name the study after what a symbolic link points to.
    return Path(os.path.normpath(Path(target).absolute()))


def _is_bare(target: str) -> bool:
    return not target.endswith(".py") and not any(mark in target for mark in (os.sep, os.altsep) if mark)


def _missing(target: str, path: Path) -> str:
    if not target or _is(path, lambda _: True):
        return f"{target!r} must be a Python file that ends in .py, a folder of images, or a built-in space"
    names = built_in() if _is_bare(target) else []
    what = "built-in space and no such folder" if names else "file" if target.endswith(".py") else "folder"
    nearest = difflib.get_close_matches(path.name, [*names, *_module_next_to_space(path)], n=2)
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else "check the path"
    listed = f"\nbuilt-in spaces:\n{listing()}" if names else ""
    return f"{short_repr(target)}: there is no such {what}: {hint}{listed}"


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
        message = f"`space` must be a Space(...), got {short_repr(space)}"
        raise error_at_line(file, last_assignment(file, "space"), message, target)
    others = [name for name, value in names.items() if isinstance(value, Space)]
    what = f"call `{others[-1]}` `space`" if others else "add a line such as space = Space(data=ImageFolder('photos'))"
    raise SpaceError(f"{target}: the file must define `space`, and does not: {what}")


def _run(file: Path, target: str) -> ModuleType:
    """Run a file as a module of its own, which stays importable so that its functions keep their source.

    Its name is made from its path, so it is the same in every process.
    """
    name = f"space_{hashlib.sha256(str(file).encode(errors='surrogatepass')).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(file)
    source = _read(file, target)
    # Without a time stamp the source stays as it was read, also when the file is edited during a search.
    lines = io.StringIO(source.decode("utf-8-sig", errors="replace"), newline=None).readlines()
    linecache.cache[str(file)] = (len(source), None, lines, str(file))
    sys.modules[name] = module
    try:
        _import_from(file.parent)
        exec(compile(source, str(file), "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        del sys.modules[name]
        problem = locate_error(error, file, target)
        # Ctrl-C comes from outside, at any line but one that raises it.
        if isinstance(error, KeyboardInterrupt) and "\n    raise" not in str(problem):
            raise
        raise problem from error
    return module


def _read(file: Path, target: str) -> bytes:
    try:
        source = file.read_bytes()
    except OSError as error:
        raise SpaceError(f"{target}: the file cannot be read: {error.strerror}") from error
    # Python's releases differ in what they raise for these.
    if b"\0" in source:
        raise SpaceError(f"{target}: this is not valid Python: source code string cannot contain null bytes")
    return source


def _import_from(folder: Path) -> None:
    """Let modules beside the space file be imported, also later, and forget those of the same names from elsewhere."""
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if origin and "." not in name and _is(folder / f"{name}.py", stat.S_ISREG):
            elsewhere = Path(origin).parent
            if elsewhere != folder and is_user_file(Path(origin), elsewhere):
                del sys.modules[name]
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
