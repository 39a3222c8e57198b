"""Docstrings name what is there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in ("spaces", "studies", "search") for path in (ROOT / package).rglob("*.py"))


def described(node: ast.AST) -> list[str]:
    """Return the names under `Args:` and `Attributes:` in a docstring."""
    found, is_inside = [], False
    for line in (ast.get_docstring(node) or "").splitlines():
        if line and not line.startswith(" "):
            is_inside = line in ("Args:", "Attributes:")
        elif is_inside and (name := re.match(r" {4}([\w*]+(?:, [\w*]+)*):( |$)", line)):
            found += [word.strip("* ") for word in name[1].split(",")]
    return found


def names(node: ast.AST) -> set[str]:
    """Return the parameters of a function, or the fields, attributes and parameters of a class."""
    if isinstance(node, ast.FunctionDef):
        return {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
    fields = [each.target for each in ast.walk(node) if isinstance(each, ast.AnnAssign)]
    found = {field.id for field in fields if isinstance(field, ast.Name)}
    found |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    return found.union(*(names(each) for each in ast.walk(node) if isinstance(each, ast.FunctionDef)))


def stale(path: Path) -> Iterator[str]:
    """Yield the names that a docstring describes and the code does not have."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for name in described(node):
                if name not in names(node):
                    yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name} describes {name}"


def test_docstrings_describe_present_names():
    """Each name under `Args:` or `Attributes:` is a parameter, a field or an attribute."""
    assert not [line for path in FILES for line in stale(path)]
