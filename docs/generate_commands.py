"""Write the command reference, docs/commands.md, from the help texts of the commands.

    python docs/generate_commands.py

The introduction above the marker is written by hand and stays.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from search.cli import app
from search.exit_codes import EXIT_CODES

PAGE = Path(__file__).parent / "commands.md"
MARKER = "<!-- Generated from here on: python docs/generate_commands.py -->\n"


def page() -> str:
    """Return the whole page: its introduction as it is in the file, and the generated rest."""
    introduction, marker, _ = PAGE.read_text(encoding="utf-8").partition(MARKER)
    if not marker:
        raise ValueError(f"{PAGE} must contain the line {MARKER.strip()}")
    commands = list(_commands(typer.main.get_command(app), "search"))
    parts = [_summary(commands), *(_section(name, command) for name, command in commands), _exit_codes()]
    return introduction + marker + "\n" + "\n".join(parts)


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        elif not command.hidden:
            yield f"{prefix} {name}", command


def _summary(commands: list[tuple[str, Any]]) -> str:
    rows = [f"| [`{name}`](#{name.replace(' ', '-')}) | {_paragraphs(command)[0][:-1]} |" for name, command in commands]
    return _table("command", "what it does", rows)


def _section(name: str, command: Any) -> str:
    text, _, example = inspect.cleandoc(command.help).partition("\n\nExample\n\n")
    shown = [parameter for parameter in command.params if not parameter.hidden]
    arguments = [parameter for parameter in shown if parameter.param_type_name == "argument"]
    options = [
        parameter for parameter in shown if parameter.param_type_name == "option" and parameter.opts != ["--help"]
    ]
    usage = " ".join([name, "[OPTIONS]", *(argument.metavar for argument in arguments)])
    parts = [f"## {name}\n", f"Usage: `{usage}`\n", f"{text}\n", f"```\n{inspect.cleandoc(example)}\n```\n"]
    if arguments:
        rows = [f"| `{argument.metavar}` | {_meaning(argument)} |" for argument in arguments]
        parts.append(_table("argument", "meaning", rows))
    parts.append(_table("option", "meaning", [f"| {_names(option)} | {_meaning(option)} |" for option in options]))
    return "\n".join(parts)


def _paragraphs(command: Any) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in command.help.split("\n\n")]


def _names(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    return names if option.is_flag else f"{names} {_escaped(option.metavar)}"


def _meaning(parameter: Any) -> str:
    notes = [] if parameter.help is None else [_escaped(parameter.help)]
    if parameter.envvar:
        notes.append(f"Also set by `{parameter.envvar}`.")
    if parameter.show_default and parameter.default not in (None, False, ""):
        notes.append(f"Default: `{parameter.default}`.")
    return " ".join(notes)


def _exit_codes() -> str:
    rows = [f"| {code} | {meaning} |" for code, meaning in re.findall(r"^ +(\d+) +(.*)$", EXIT_CODES, re.MULTILINE)]
    return "## Exit codes\n\n" + _table("exit code", "meaning", rows)


def _table(first: str, second: str, rows: list[str]) -> str:
    return "\n".join([f"| {first} | {second} |", "|---|---|", *rows, ""])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
