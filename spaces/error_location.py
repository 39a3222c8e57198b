"""Report an error of a space file by the user's own line, without a traceback."""

import ast
import difflib
import linecache
import os
import re
import sys
import traceback
from pathlib import Path
from types import TracebackType

from spaces.errors import SearchError, SpaceError

PACKAGES = Path(__file__).parents[1]
OWN_PACKAGES = tuple(PACKAGES / name for name in ("search", "spaces", "studies"))
STANDARD_LIBRARY = Path(os.__file__).parent


def locate_error(error: BaseException, file: Path, shown: str) -> SpaceError:
    """Return the error of a space file as one message: file and line, the source of that line, and the error.

    Args:
        error: The error that compiling or running the file raised.
        file: The space file, absolute.
        shown: The space file as the user typed it.
    """
    where, line = _syntax_place(error, file) or _place(error, file)
    return error_at_line(where, line, _message(error), shown if where == file else str(where))


def error_at_line(file: Path, line: int, message: str, shown: str) -> SpaceError:
    """Return an error about one line of a file; line 0 is the whole file."""
    source = linecache.getline(str(file), line).strip().expandtabs()
    if not source or not source.isprintable():
        return SpaceError(f"{shown}: {message}")
    return SpaceError(f"{shown}, line {line}:\n    {source}\n{message}")


def is_user_file(file: Path, folder: Path) -> bool:
    """Return True if a file is in a folder and the user's own, not that of an installed package."""
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    above = (*OWN_PACKAGES, STANDARD_LIBRARY)
    return file.is_relative_to(folder) and not installed and not any(file.is_relative_to(each) for each in above)


def last_assignment(file: Path, name: str) -> int:
    """Return the last line that assigns, defines or imports a name, or 0."""
    lines = [0]
    for node in ast.walk(_parsed(file)):
        is_assigned = isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        is_defined = isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
        is_imported = isinstance(node, ast.alias) and name in (node.name, node.asname)
        if is_assigned or is_defined or is_imported:
            lines.append(node.lineno)  # type: ignore[attr-defined]
    return max(lines)


def _syntax_place(error: BaseException, file: Path) -> tuple[Path, int] | None:
    if not isinstance(error, SyntaxError) or not error.filename:
        return None
    where = Path(error.filename)
    if where != file and not is_user_file(where, file.parent):
        return None
    # Python reports what is missing at the end of a file one line after it.
    return where, min(error.lineno or 0, len(linecache.getlines(str(where))))


def _place(error: BaseException, file: Path) -> tuple[Path, int]:
    """Return the file and line of the user's innermost call, or of the keyword in it that the error names."""
    calls = _calls(error.__traceback__, file)
    if not calls:
        return file, 0
    innermost = calls[-1]
    first, last = innermost.lineno or 1, innermost.end_lineno or innermost.lineno or 1
    where = Path(innermost.filename)
    if isinstance(error, SearchError):
        return where, _keyword_line(where, first, last, str(error)) or first
    return where, first


def _calls(trace: TracebackType | None, file: Path) -> list[traceback.FrameSummary]:
    frames = traceback.extract_tb(trace)
    return [f for f in frames if Path(f.filename) == file or is_user_file(Path(f.filename), file.parent)]


def _keyword_line(file: Path, first: int, last: int, message: str) -> int | None:
    """Return the line of the keyword in a call that matches the last possible part of the message's dotted name.

    Only a keyword that occurs once in the call counts.
    """
    named = re.match(r"(?:\w+\()?([\w.]+)", message)
    for part in reversed(named.group(1).split(".") if named else []):
        keywords = (node for node in ast.walk(_parsed(file)) if isinstance(node, ast.keyword) and node.arg == part)
        lines = [keyword.lineno for keyword in keywords if first <= keyword.lineno <= last]
        if len(lines) == 1:
            return lines[0]
    return None


def _parsed(file: Path) -> ast.Module:
    return ast.parse("".join(linecache.getlines(str(file))))


def _message(error: BaseException) -> str:
    if isinstance(error, SearchError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"invalid Python: {error.msg}"
    if isinstance(error, ModuleNotFoundError):
        return f"module {error.name!r} not found\nhint: install it, or place it next to the space file"
    if isinstance(error, ImportError):
        return _import_message(error)
    if isinstance(error, SystemExit):
        return f"the file ends the program with {error!r}\nhint: remove that line"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _import_message(error: ImportError) -> str:
    found = re.match(r"cannot import name '(\w+)' from '([\w.]+)'", str(error))
    if not found or found[2] != "spaces":
        return f"{type(error).__name__}: {error}"
    public = sys.modules[found[2]].__all__
    nearest = difflib.get_close_matches(found[1], public, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"it defines {', '.join(public)}"
    return f"spaces does not define {found[1]}\nhint: {hint}"
