"""What the README shows works as written."""

import re
from pathlib import Path

import pytest
import typer

from search.cli import app
from search.failures import EXIT_CODES
from spaces.files import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_every_space_that_is_shown_loads(block, tmp_path):
    """A Python block of the README is a space file."""
    file = tmp_path / "space.py"
    file.write_text(block)
    assert load(str(file)).space.data


def test_every_command_that_is_shown_exists():
    """The table of commands names each command of the program, and no other."""
    assert set(re.findall(r"\| `search (\w+)", README)) == set(COMMANDS)


def test_every_option_of_run_is_shown():
    """The options of `search run` stand in the README."""
    shown = set(re.findall(r"--[a-z-]+", README))
    options = {name for parameter in COMMANDS["run"].params for name in parameter.opts if name.startswith("--")}
    assert options - {"--help"} <= shown


def test_exit_codes_are_the_same_everywhere():
    """README and `--help` list the same codes."""
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    helped = {int(code) for code in re.findall(r"^  (\d+)  ", EXIT_CODES, re.MULTILINE)}
    assert table | {130, 143} == helped


def test_the_two_commands_of_a_fresh_machine_are_shown():
    """One installs and runs the main job, one installs and passes the tests."""
    assert "pip install -e . && search run digits" in README
    assert "pip install -e '.[test]' && pytest" in README
