"""Analyses source code: its syntax tree as text, and the names and imports in it."""

import ast
import dis
import functools
import linecache
from collections.abc import Iterator
from types import CodeType
from typing import Any, TypeAlias

Chains: TypeAlias = dict[str, set[tuple[str, ...]]]
"""The attributes that are read of each name, such as `{"helpers": {("block",)}}`; an empty tuple is the name alone."""

_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_WITHOUT_MEANING = {"ctx", "kind", "type_comment", "type_ignores"}
_READS_BY_NAME = {"open", "exec", "eval", "__import__", "globals"}
_READS_BY_ATTRIBUTE = {
    "environ",
    "fromfile",
    "genfromtxt",
    "getenv",
    "import_module",
    "load_model",
    "load_weights",
    "loadtxt",
    "read_bytes",
    "read_csv",
    "read_json",
    "read_parquet",
    "read_text",
    "safe_load",
}
_READS_OF_MODULES = {("json", "load"), ("np", "load"), ("numpy", "load"), ("pickle", "load"), ("yaml", "load")}


def normalized_source(node: Any) -> str:
    """Return a syntax tree as text, without layout, comments and docstrings.

    Releases of Python differ in the empty fields of a tree, which are left out.
    """
    if isinstance(node, list):
        return f"[{','.join(map(normalized_source, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [
        f"{name}={normalized_source(_without_docstring(node, name, value))}"
        for name, value in ast.iter_fields(node)
        if name not in _WITHOUT_MEANING and value is not None and value != []
    ]
    return f"{type(node).__name__}({','.join(fields)})"


def function_node(code: CodeType) -> ast.AST | None:
    """Return the syntax tree of a function or lambda, or None where its source is not available."""
    tree = file_tree(code.co_filename)
    if tree is None:
        return None
    nodes = [node for node in ast.walk(tree) if _first_line(node) == code.co_firstlineno]
    if code.co_name != "<lambda>":
        return next((node for node in nodes if getattr(node, "name", None) == code.co_name), None)
    lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda) and _spans(node, code)]
    return min(lambdas, key=lambda node: len(normalized_source(node)), default=None)


def file_tree(file: str) -> ast.Module | None:
    """Return the syntax tree of a source file, or None if it cannot be read."""
    linecache.checkcache(file)
    return _parsed("".join(linecache.getlines(file)))


def chains_of(node: ast.AST) -> Chains:
    """Return the names that a syntax tree reads, each with the attributes that are read of it."""
    found: Chains = {}
    inner: set[int] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and id(each) not in inner:
            attributes: list[str] = []
            root: ast.AST = each
            while isinstance(root, ast.Attribute):
                attributes.insert(0, root.attr)
                inner.add(id(root))
                root = root.value
            if isinstance(root, ast.Name):
                inner.add(id(root))
                found.setdefault(root.id, set()).add(tuple(attributes))
        elif isinstance(each, ast.Name) and id(each) not in inner:
            found.setdefault(each.id, set()).add(())
    return found


def global_names(code: CodeType) -> set[str]:
    """Return the global names that a function reads, also in the functions within it."""
    names = {
        str(step.argval)
        for step in dis.get_instructions(code)
        if step.opname == "LOAD_NAME" or ("GLOBAL" in step.opname and step.opname.startswith("LOAD"))
    }
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names |= global_names(const)
    return {name for name in names if not name.startswith("__")}


def imported_modules(node: ast.AST, package: str) -> list[str]:
    """Return the absolute names of the modules that a syntax tree in a package imports, without importing them."""
    names: list[str] = []
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            names += [alias.name for alias in each.names]
        elif isinstance(each, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - each.level + 1] if each.level else []
            module = ".".join([*above, *([each.module] if each.module else [])])
            names += [module, *(f"{module}.{alias.name}" for alias in each.names if alias.name != "*")]
    return list(dict.fromkeys(name for name in names if name))


def outside_reads(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the calls that read files or other data, such as `open()`, each with its line."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id in _READS_BY_NAME:
            yield f"{each.func.id}()", each.lineno
        elif isinstance(each, ast.Attribute):
            root = each.value.id if isinstance(each.value, ast.Name) else ""
            if each.attr in _READS_BY_ATTRIBUTE or (root, each.attr) in _READS_OF_MODULES:
                yield f"{root}.{each.attr}" if root else each.attr, each.lineno


@functools.lru_cache(maxsize=64)
def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source) if source else None
    except (SyntaxError, ValueError):
        return None


def _without_docstring(node: ast.AST, field: str, value: Any) -> Any:
    if field != "body" or not isinstance(node, _DOCUMENTED) or ast.get_docstring(node, clean=False) is None:
        return value
    return value[1:]


def _first_line(node: ast.AST) -> int | None:
    """Return the first line of a function according to Python: that of its first decorator."""
    decorators = getattr(node, "decorator_list", None)
    return decorators[0].lineno if decorators else getattr(node, "lineno", None)


def _spans(node: ast.Lambda, code: CodeType) -> bool:
    """Return True if the code of a lambda is within a syntax tree."""
    begin = (node.body.lineno, node.body.col_offset)
    end = (node.body.end_lineno or node.body.lineno, node.body.end_col_offset or 0)
    places = [(line, column) for line, _, column, _ in code.co_positions() if line and column]
    return bool(places) and all(begin <= place <= end for place in places)
