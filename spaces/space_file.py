"""Writes a space as the text of a space file."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from spaces.heads import LINEAR_DEFAULTS, has_linear_head
from spaces.scalars import same_value
from spaces.space import Space


def space_file(space: Space, settings: Mapping[str, Any], description: Sequence[str]) -> str:
    """Return the text of a Python file that defines a space and a study.

    Args:
        space: A space without functions.
        settings: Arguments of `Study`.
        description: Lines of the file's docstring.
    """
    fields = _fields(space)
    body = "".join(f"    {name}={value!r},\n" for name, value in fields.items())
    arguments = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    calls = (node.func for node in ast.walk(ast.parse(f"Space(\n{body})")) if isinstance(node, ast.Call))
    names = sorted(
        {call.id for call in calls if isinstance(call, ast.Name)}, key=lambda name: (not name.isupper(), name)
    )
    text = "\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in description)
    return (
        f'"""{text}\n"""\n\n'
        f"from spaces import {', '.join(names)}\nfrom studies import Study\n\n"
        f"space = Space(\n{body})\n\nstudy = Study({arguments})\n"
    )


def _fields(space: Space) -> dict[str, Any]:
    """Return the fields that differ from the defaults, which depend on the head."""
    defaults = {name: field.default for name, field in Space.__dataclass_fields__.items()}
    if has_linear_head(space.backbone):
        defaults |= LINEAR_DEFAULTS
    values = {name: value for name, (value, _) in space.children().items()}
    return {name: value for name, value in values.items() if not same_value(value, defaults[name])}
