"""What the README and the pages in `docs/` show works as written."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import typer

from search.cli import app
from spaces.loading import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND_PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page.read_text(encoding="utf-8") for page in FILES]
BLOCKS = [block for page in PAGES for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]
TYPED = sorted({line for page in PAGES for line in re.findall(r"^(?:\$ )?(search [a-z]+ [^\n]*)", page, re.MULTILINE)})
COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("block", BLOCKS)
def test_every_space_that_is_shown_loads(block, tmp_path):
    """A Python block of a page is a space file."""
    file = tmp_path / "space.py"
    file.write_text(block)
    assert load(str(file)).space.data


def test_the_command_reference_is_generated():
    """docs/commands.md has every command, option, help text and exit code of the program as it is."""
    script = ROOT / "docs" / "generate_commands.py"
    assert runpy.run_path(str(script))["page"]() == COMMAND_PAGE, "run python docs/generate_commands.py"


@pytest.mark.parametrize("line", TYPED)
def test_every_line_that_is_to_be_typed_is_understood(line):
    """Commands in README and on its pages have the options and arguments that the program knows."""
    name, *words = shlex.split(line.removesuffix(" &").partition(" > ")[0], comments=True)[1:]
    COMMANDS[name].make_context(name, words)


def test_every_page_is_linked():
    """The README leads to every page."""
    for page in FILES[1:]:
        assert f"({page.relative_to(ROOT).as_posix()})" in README


@pytest.mark.parametrize("page", FILES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    """A link between pages is written as seen from its own page."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_readme_is_short():
    """It shows how to install, to run the main job and to pass the tests; the pages hold everything else."""
    assert len(README.splitlines()) <= 150
    assert "pip install -e . && search run digits" in README
    assert "pip install -e '.[test]' && pytest" in README


def test_the_picture_can_be_drawn_again():
    """The script that draws the live table finds what it imports, and the picture names no machine."""
    picture = runpy.run_path(str(ROOT / "docs" / "live_table.py"))["PICTURE"].read_text(encoding="utf-8")
    assert "host&#160;1" in picture
    assert not re.search("font-face|/tmp|/home", picture)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_pages_for_developers_name_files_that_are_there(page):
    """A newcomer finds each file where the page says it is; one that is named alone is in the folder named before."""
    text, folder = (ROOT / page).read_text(encoding="utf-8"), ROOT
    for name in re.findall(r"`((?:[\w.]+/)*[\w.]+(?:\.py|/))`", text):
        path = ROOT / name if "/" in name else folder / name
        assert path.exists(), name
        folder = path if name.endswith("/") else path.parent
