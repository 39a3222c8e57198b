"""Loading a space: from a file, by a built-in name, from a folder of images, and every way in which that fails."""

import inspect
import linecache
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from spaces import Digits, ImageFolder, Space, SpaceError, fingerprint
from spaces.errors import DataError
from spaces.loading import built_in, default_study_name, load

HEAD = "from spaces import *\n"


def written(folder: Path, source: str | bytes, name: str = "space.py") -> str:
    """The path of a file with this source."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(source if isinstance(source, bytes) else source.encode())
    return str(file)


def failure(folder: Path, source: str | bytes) -> list[str]:
    """The lines of the error that a file ends in, without its folder."""
    with pytest.raises(SpaceError) as caught:
        load(written(folder, source))
    return str(caught.value).replace(f"{folder}/", "").split("\n")


def test_a_file_gives_its_space_its_study_and_its_folder(tmp_path):
    """The folder is where the file stands, and the name is the file's."""
    loaded = load(written(tmp_path, HEAD + "space = Space(Digits(), epochs=3)\nstudy = {'trials': 3}\n", "my xray.py"))
    assert loaded.space == Space(Digits(), epochs=3)
    assert (loaded.name, loaded.study, loaded.folder) == ("my-xray", {"trials": 3}, tmp_path)


def test_a_relative_path_is_found_from_the_current_folder(tmp_path, monkeypatch):
    """`search run sub/space.py` reads that file; data paths start beside it."""
    written(tmp_path, HEAD + "space = Space(Digits())\n", "sub/space.py")
    monkeypatch.chdir(tmp_path)
    assert load("sub/space.py").folder == tmp_path / "sub"


def test_a_built_in_is_found_by_its_name(tmp_path, monkeypatch):
    """A bare name is a built-in, whose paths start at the current folder; a path never is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert load("digits").space.data == Digits()
    assert (load("digits").name, load("digits").folder) == ("digits", tmp_path)
    assert load("./digits").space == load("digits/").space == Space(ImageFolder("digits"))


@pytest.mark.parametrize("target", ["my photos", "my photos/", "./my photos", "sub/../my photos"])
def test_a_folder_of_images_is_a_complete_space(tmp_path, monkeypatch, target):
    """A folder gives the default space, with paths from its parent folder, however it is written."""
    (tmp_path / "my photos").mkdir()
    monkeypatch.chdir(tmp_path)
    loaded = load(target)
    assert loaded.space == Space(data=ImageFolder("my photos"))
    assert (loaded.name, loaded.study, loaded.folder) == ("my-photos", None, tmp_path)


def test_the_current_folder_can_be_given(tmp_path, monkeypatch):
    """`.` has the name of the folder that it is, also when a link leads there."""
    (tmp_path / "real").mkdir()
    (tmp_path / "photos").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real")
    assert (load(".").name, load(".").space.data.train) == ("real", "real")
    assert load(str(tmp_path / "photos")).name == "photos"


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
def test_a_study_name_is_safe_as_a_folder(text, name):
    """Letters of any script, digits, `-`, `_` and `.`; never empty, hidden or too long."""
    assert default_study_name(text) == name


def test_a_file_imports_what_stands_beside_it_also_later(tmp_path):
    """Modules beside the space file are found, as beside a script, also by an import inside a function."""
    written(tmp_path / "one", "EPOCHS = 3\n", "beside_it.py")
    written(tmp_path / "one", "EPOCHS = 4\n", "beside_it_later.py")
    source = (
        "import beside_it\n"
        "def images():\n"
        "    import beside_it_later\n"
        "    return beside_it_later.EPOCHS\n"
        "space = Space(images, epochs=beside_it.EPOCHS)\n"
    )
    loaded = load(written(tmp_path / "one", HEAD + source))
    assert loaded.space.epochs == 3
    assert loaded.space.data.load() == 4
    assert sys.path.count(str(tmp_path / "one")) == 1


def test_files_of_one_name_do_not_meet(tmp_path):
    """Two folders may each have a `space.py` and a module of the same name."""
    for epochs in (3, 4):
        folder = tmp_path / str(epochs)
        written(folder, f"EPOCHS = {epochs}\n", "namesake.py")
        source = HEAD + "from namesake import EPOCHS\nspace = Space(Digits(), epochs=EPOCHS)\n"
        assert load(written(folder, source)).space.epochs == epochs


def test_functions_keep_the_source_that_was_read(tmp_path):
    """A function's source is found, and stays as it was read when the file is edited later."""
    source = (
        HEAD + "def build(recipe, shape, outputs):\n    return {0}\n\nspace = Space(Digits(), model=Custom(build))\n"
    )
    target = written(tmp_path, source.format(1))
    space = load(target).space
    before = fingerprint(space)
    written(tmp_path, "\n\n" + source.format(2))
    linecache.checkcache()
    assert inspect.getsource(space.model.build) == "def build(recipe, shape, outputs):\n    return 1\n"
    assert fingerprint(space) == before
    assert fingerprint(load(target).space) != before


def test_a_file_with_windows_lines_and_a_mark_at_its_start_is_read(tmp_path):
    """Editors differ in line ends and in the byte-order mark."""
    source = b"\xef\xbb\xbffrom spaces import *\r\nspace = Space(\r\n    Digits(),\r\n    epochs={},\r\n)\r\n"
    assert load(written(tmp_path, source.replace(b"{}", b"3"))).space.epochs == 3
    assert failure(tmp_path, source.replace(b"{}", b"0"))[:2] == ["space.py, line 4:", "    epochs=0,"]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("x = (1,\ny = 2\n", ["space.py, line 1:", "    x = (1,", "this is not valid Python: '(' was never closed"]),
        ("if 1:\nx = 2\n", ["space.py, line 2:", "    x = 2", "this is not valid Python: expected an indented block"]),
        (b"x = 1\n\0", ["space.py: this is not valid Python: source code string cannot contain null bytes"]),
        (
            "import math\ndef f(x):\n    return math.sqrt(x)\nf(-1)\n",
            ["space.py, line 3:", "    return math.sqrt(x)", "ValueError: math domain error"],
        ),
        ("x = 1\nassert x == 2\n", ["space.py, line 2:", "    assert x == 2", "AssertionError"]),
        (
            "import no_such_module\n",
            ["space.py, line 1:", "    import no_such_module", "there is no module 'no_such_module'"],
        ),
        (
            "from spaces import Chioce\n",
            ["space.py, line 1:", "    from spaces import Chioce", "spaces has no Chioce: did you"],
        ),
        (
            "from math import pie\n",
            ["space.py, line 1:", "    from math import pie", "ImportError: cannot import name 'pie'"],
        ),
        (
            "import sys\nsys.exit(3)\n",
            ["space.py, line 2:", "    sys.exit(3)", "the file ends the program (SystemExit(3))"],
        ),
        ("raise KeyboardInterrupt\n", ["space.py, line 1:", "    raise KeyboardInterrupt", "KeyboardInterrupt"]),
        ("", ["space.py: the file must define `space`, and does not: add a line such as space = Space("]),
        (HEAD + "my = Space(Digits())\n", ["space.py: the file must define `space`, and does not: call `my` `space`"]),
        (
            HEAD + "space = 1\nspace = CNN()\n",
            ["space.py, line 3:", "    space = CNN()", "`space` must be a Space(...), got CNN()"],
        ),
        (
            "def space(): ...\n",
            ["space.py, line 1:", "    def space(): ...", "`space` must be a Space(...), got <function"],
        ),
        (
            "import math as space\n",
            ["space.py, line 1:", "    import math as space", "`space` must be a Space(...), got <module"],
        ),
    ],
)
def test_a_wrong_file_is_told_by_its_own_line_and_nothing_else(tmp_path, source, lines):
    """File, line number, the user's own line and the reason: no traceback, no frames of this program."""
    told = failure(tmp_path, source)
    assert len(told) == len(lines)
    assert all(line.startswith(start) for line, start in zip(told, lines, strict=True)), told


@pytest.mark.parametrize(
    ("source", "number", "line", "message"),
    [
        ("Space(\n  data=Digits(),\n  dropout=Float(0.6, 0.2),\n)", 4, "dropout=Float(0.6, 0.2),", "dropout: low"),
        ("Space(\n  Digits(),\n  backbone=CNN(\n    filter=3))", 5, "filter=3))", "CNN(filter=...): there is"),
        ("Space(\n  Digits(),\n  backbone=CNN(0),\n)", 4, "backbone=CNN(0),", "backbone.filters: must"),
        ("Space(\n  Digits(),\n  # epochs=1\n  epochs=0)", 5, "epochs=0)", "epochs: must"),
        (
            "Space(\n  Digits(),\n  backbone=Choice(\n    a=CNN(filters=0),\n    b=CNN(filters=2)))",
            5,
            "a=CNN(filters=0),",
            "backbone.a.filters: must",
        ),
        ("Space(\n  epochs=1)", 2, "space = Space(", "Space(...): needs data"),
    ],
)
def test_a_wrong_space_is_told_by_the_line_of_its_field(tmp_path, source, number, line, message):
    """Of a call over several lines, the line of the field concerned is shown."""
    where, shown, told = failure(tmp_path, f"{HEAD}space = {source}\n")
    assert (where, shown) == (f"space.py, line {number}:", f"    {line}")
    assert told.startswith(message)


def test_an_error_in_a_module_beside_the_file_is_told_by_its_line(tmp_path):
    """The innermost line of the user's counts, wherever it stands."""
    written(tmp_path, HEAD + "def net():\n    return CNN(filter=3)\n", "nets_beside.py")
    assert failure(tmp_path, "import nets_beside\nnets_beside.net()\n")[:2] == [
        "nets_beside.py, line 3:",
        "    return CNN(filter=3)",
    ]
    written(tmp_path, "x = = 3\n", "broken_beside.py")
    assert failure(tmp_path, "import broken_beside\n")[:2] == ["broken_beside.py, line 1:", "    x = = 3"]


def test_a_wrong_study_is_told_by_its_line(tmp_path):
    """The file's `study` fails as its `space` does."""
    source = HEAD + "from studies import Study\nspace = Space(Digits())\nstudy = Study(\n    trials=0,\n)\n"
    assert failure(tmp_path, source)[:2] == ["space.py, line 5:", "    trials=0,"]


def test_a_file_that_failed_leaves_nothing_behind(tmp_path):
    """After an error the modules are as before."""
    before = set(sys.modules)
    failure(tmp_path, "1 / 0\n")
    assert set(sys.modules) == before


def test_an_interrupt_from_outside_is_no_error_of_the_file(tmp_path):
    """Ctrl-C while a file is read ends the program as anywhere else."""
    with pytest.raises(KeyboardInterrupt):
        load(written(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(10**6): pass\n"))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("digitz", "'digitz': there is no such built-in space and no such folder: did you mean digits?"),
        ("phots", "'phots': there is no such built-in space and no such folder: did you mean photos?"),
        ("./phots/", r"'./phots/': there is no such folder: did you mean photos\?"),
        ("spce.py", r"'spce.py': there is no such file: did you mean space.py\?"),
        ("no/such/file.py", "'no/such/file.py': there is no such file: check the path"),
        ("space.txt", "'space.txt' must be a Python file that ends in .py, a folder of images, or a built-in space"),
        ("", "'' must be a Python file"),
        ("a\0b", "'a.x00b': there is no such"),
        ("x" * 5000, "'xxx"),
    ],
)
def test_a_missing_target_is_answered_with_the_nearest_names(tmp_path, monkeypatch, target, message):
    """What is not there is told by its name, with what may have been meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("space.py", "space.txt"):
        written(tmp_path, "", name)
    with pytest.raises(SpaceError, match=f"^{message}"):
        load(target)


def test_the_built_in_names_are_listed_for_an_unknown_one(tmp_path, monkeypatch):
    """Somebody who guesses learns what there is, one line for each, which a terminal of 80 columns holds."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpaceError, match="built-in spaces:") as caught:
        load("mnist_quick")
    listed = str(caught.value).splitlines()[2:]
    assert [line.split()[0] for line in listed] == built_in()
    assert all(len(line.split()) > 3 and len(line) <= 78 for line in listed)


def test_a_folder_takes_the_place_of_the_data(tmp_path, monkeypatch):
    """How images are read stays, their folders do not; the path starts at the current folder."""
    (tmp_path / "photos").mkdir()
    data = "ImageFolder('x/train', test='x/test', validation='x/val', image_size=24, channels=1, resize='pad')"
    file = written(tmp_path, HEAD + f"space = Space({data}, dropout=0.1)\n", "sub/space.py")
    monkeypatch.chdir(tmp_path)
    loaded = load(file, "photos")
    assert loaded.space.data == ImageFolder("../photos", image_size=24, channels=1, resize="pad")
    assert (loaded.folder / loaded.space.data.train).resolve() == (tmp_path / "photos").resolve()
    assert loaded.space.dropout == 0.1
    assert load("digits", "photos").space.data == ImageFolder("photos")
    assert load("digits", str(tmp_path / "photos")).space.data == ImageFolder(tmp_path / "photos")


def test_the_data_are_part_of_the_space(tmp_path, monkeypatch):
    """A study of other images is another study."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    prints = {fingerprint(load("small_cnn", data).space) for data in (None, "a", "b")}
    assert len(prints) == 3


@pytest.mark.parametrize("data", ["", "absent", "file.txt", "a\0b"])
def test_data_that_are_no_folder_are_refused(tmp_path, monkeypatch, data):
    """The message names the option and what was given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").touch()
    with pytest.raises(DataError, match=r"^--data: .* must be a folder with one sub-folder"):
        load("digits", data)


def test_processes_agree_on_a_space_file(tmp_path):
    """Several workers that load one file hold the same space under the same module name."""
    target = written(tmp_path, HEAD + "def build(r, i, o): ...\nspace = Space(Digits(), model=Custom(build))\n")
    code = (
        "import sys; from spaces import fingerprint; from spaces.loading import load\n"
        "space = load(sys.argv[1]).space; print(fingerprint(space), space.model.build.__module__)"
    )
    command = [sys.executable, "-c", code, target]
    folder = Path(__file__).parents[2]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) for _ in range(3)]
    space = load(target).space
    assert {process.communicate()[0] for process in running} == {
        f"{fingerprint(space)} {space.model.build.__module__}\n"
    }
