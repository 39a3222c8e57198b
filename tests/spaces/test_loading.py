"""Loading a space from a file, by a built-in name, or from a folder of images."""

import inspect
import linecache
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from spaces import Digits, ImageFolder, Space, SpaceError, fingerprint
from spaces.errors import DataError
from spaces.loading import LoadedSpace, built_in, default_study_name, load

HEAD = "from spaces import *\n"


def write(folder: Path, source: str | bytes, name: str = "space.py") -> str:
    """Write a file and return its path."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(source if isinstance(source, bytes) else source.encode())
    return str(file)


def test_file_defines_space_and_study(tmp_path):
    """The name and the folder are those of the file."""
    loaded = load(write(tmp_path, HEAD + "space = Space(Digits(), epochs=3)\nstudy = {'trials': 3}\n", "my xray.py"))
    assert loaded.space == Space(Digits(), epochs=3)
    assert (loaded.name, loaded.study, loaded.folder) == ("my-xray", {"trials": 3}, tmp_path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return an empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_relative_paths_start_at_the_current_folder(here):
    """The paths of the data start at the folder of the file."""
    write(here, HEAD + "space = Space(Digits())\n", "sub/space.py")
    assert load("sub/space.py").folder == here / "sub"


def test_bare_names_are_built_in_spaces(here):
    """Their paths start at the current folder; a path is never a built-in space."""
    (here / "digits").mkdir()
    loaded = load("digits")
    assert (loaded.space.data, loaded.name, loaded.folder) == (Digits(), "digits", here)
    assert load("./digits").space == load("digits/").space == Space(ImageFolder("digits"))


@pytest.mark.parametrize("target", ["my photos", "my photos/", "./my photos", "sub/../my photos"])
def test_folders_become_the_default_space(here, target):
    """Paths start at the parent folder, however the folder is written."""
    (here / "my photos").mkdir()
    assert load(target) == LoadedSpace("my-photos", Space(data=ImageFolder("my photos")), None, here)


def test_folders_are_named_without_following_links(here):
    """`.` is named after the current folder, and a link after itself."""
    (here / "photos").symlink_to(here)
    assert (load(".").name, load(".").space.data.train) == (here.name, here.name)
    assert load(str(here / "photos")).name == "photos"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("photos", "photos"),
        ("my photos (2)", "my-photos-2"),
        (unicodedata.normalize("NFD", "Röntgen"), "Röntgen"),
        ("写真", "写真"),
        ("..", "study"),
        ("", "study"),
        ("$$$", "study"),
        (".hidden", "hidden"),
        ("a/b\\c:d", "a-b-c-d"),
        ("v1.2_x-y", "v1.2_x-y"),
        ("x" * 300, "x" * 80),
    ],
)
def test_study_names_are_safe_as_folders(text, name):
    """Letters of any script, digits, `-`, `_` and `.`; never empty, hidden or too long."""
    assert default_study_name(text) == name


def test_files_import_modules_next_to_them(tmp_path):
    """As in a script, also inside a function that is called later."""
    write(tmp_path / "one", "EPOCHS = 3\n", "beside_it.py")
    write(tmp_path / "one", "EPOCHS = 4\n", "beside_it_later.py")
    source = (
        "import beside_it\ndef images():\n    import beside_it_later\n    return beside_it_later.EPOCHS\n"
        "space = Space(images, epochs=beside_it.EPOCHS)\n"
    )
    space = load(write(tmp_path / "one", HEAD + source)).space
    assert (space.epochs, space.data.load()) == (3, 4)
    assert sys.path.count(str(tmp_path / "one")) == 1


def test_modules_of_one_name_are_kept_apart(tmp_path):
    """Two folders may each have a `space.py` and a module of the same name."""
    for epochs in (3, 4):
        folder = tmp_path / str(epochs)
        write(folder, f"EPOCHS = {epochs}\n", "namesake.py")
        source = HEAD + "from namesake import EPOCHS\nspace = Space(Digits(), epochs=EPOCHS)\n"
        assert load(write(folder, source)).space.epochs == epochs


def test_functions_keep_their_source(tmp_path):
    """It stays as it was read when the file is edited later."""
    source = HEAD + "def build(r, i, o):\n    return {0}\n\nspace = Space(Digits(), model=Custom(build))\n"
    target = write(tmp_path, source.format(1))
    space = load(target).space
    before = fingerprint(space)
    write(tmp_path, "\n\n" + source.format(2))
    linecache.checkcache()
    assert inspect.getsource(space.model.build) == "def build(r, i, o):\n    return 1\n"
    assert fingerprint(space) == before
    assert fingerprint(load(target).space) != before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("digitz", r"'digitz' not found\nhint: did you mean digits\?\nbuilt-in spaces:"),
        ("phots", r"'phots' not found\nhint: did you mean photos\?\nbuilt-in spaces:"),
        ("./phots/", r"'./phots/' not found\nhint: did you mean photos\?$"),
        ("spce.py", r"'spce.py' not found\nhint: did you mean space.py\?$"),
        ("no/such/file.py", "'no/such/file.py' not found$"),
        ("space.txt", "got 'space.txt', expected a Python file that ends in .py, a folder of images, or"),
        ("", "got '', expected a Python file"),
        ("a\0b", "'a.x00b' not found"),
        ("x" * 5000, "'xxx"),
    ],
)
def test_hint_names_similar_targets(here, target, message):
    """Built-in spaces, files and folders count."""
    (here / "photos").mkdir()
    for name in ("space.py", "space.txt"):
        write(here, "", name)
    with pytest.raises(SpaceError, match=f"^{message}"):
        load(target)


def test_unknown_names_list_the_built_in_spaces(here):
    """One line each, which fits a terminal of 80 columns."""
    with pytest.raises(SpaceError, match="built-in spaces:") as caught:
        load("mnist_quick")
    listed = str(caught.value).split("built-in spaces:\n")[1].splitlines()
    assert [line.split()[0] for line in listed] == built_in()
    assert all(len(line.split()) > 3 and len(line) <= 78 for line in listed)


def test_data_option_replaces_the_folders(here):
    """How images are read stays the same; the path starts at the current folder."""
    (here / "photos").mkdir()
    data = "ImageFolder('x/train', test='x/test', validation='x/val', image_size=24, channels=1, resize='pad')"
    file = write(here, HEAD + f"space = Space({data}, dropout=0.1)\n", "sub/space.py")
    replaced = ImageFolder("../photos", image_size=24, channels=1, resize="pad")
    assert load(file, "photos") == LoadedSpace("space", Space(replaced, dropout=0.1), None, here / "sub")
    assert load("digits", "photos").space.data == ImageFolder("photos")
    assert load("digits", str(here / "photos")).space.data == ImageFolder(here / "photos")


@pytest.mark.parametrize("data", ["", "absent", "file.txt", "a\0b"])
def test_data_option_requires_a_folder(here, data):
    """The message names the option and its value."""
    (here / "file.txt").touch()
    with pytest.raises(DataError, match=r"^--data: got .*, expected a folder"):
        load("digits", data)


def test_processes_agree_on_a_space_file(tmp_path):
    """The space and the name of its module depend on the file alone."""
    target = write(tmp_path, HEAD + "def build(r, i, o): ...\nspace = Space(Digits(), model=Custom(build))\n")
    code = (
        "import sys; from spaces import fingerprint; from spaces.loading import load\n"
        "space = load(sys.argv[1]).space; print(fingerprint(space), space.model.build.__module__)"
    )
    command = [sys.executable, "-c", code, target]
    other = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    space = load(target).space
    assert other.stdout == f"{fingerprint(space)} {space.model.build.__module__}\n"
