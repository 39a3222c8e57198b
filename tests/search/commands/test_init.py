"""`search init` writes the plan for a folder of images to a space file."""

import pytest

from spaces.loading import load
from spaces.open_space import is_open
from tests.support.images import write_classes


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder of small images in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_classes(tmp_path / "data" / "my photos", {"a": 3, "b": 3}, height=16, width=16)


def test_file_can_be_run(search, small, tmp_path):
    """The file holds the space of the folder, whose path starts at the file, and the reasons."""
    done = search("init", small, "--file", tmp_path / "plan.py")
    assert done.exit_code == 0, done.stderr
    assert "too small" in done.stdout
    loaded = load(str(tmp_path / "plan.py"))
    assert loaded.space.data.train == "data/my photos"
    assert is_open(loaded.space)
    assert "too small" in (tmp_path / "plan.py").read_text()


def test_existing_file_is_kept(search, small, tmp_path):
    """Without --file the file is named after the folder; it is never overwritten."""
    assert search("init", small).exit_code == 0
    before = (tmp_path / "my-photos.py").read_text()
    done = search("init", small)
    assert (done.exit_code, (tmp_path / "my-photos.py").read_text()) == (8, before)
    assert "my-photos.py exists" in done.stderr


@pytest.mark.parametrize(("target", "code"), [("digits", 2), ("nosuch", 3)])
def test_only_a_folder_is_planned(search, target, code):
    """A built-in space has a file already."""
    assert search("init", target).exit_code == code


def test_show_prints_the_plan(search, small):
    """`search show FOLDER` shows the reasons, and the sampler that will be used."""
    done = search("show", small)
    assert "plan " in done.stdout
    assert "too small" in done.stdout
    assert "sampler tpe" in done.stdout
