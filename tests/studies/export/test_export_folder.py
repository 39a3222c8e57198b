"""An export replaces an earlier one of its study, and never touches the files of running processes."""

import json
import os
import shutil
import time

import pytest

from spaces.errors import OutputError
from studies.export import export_folder
from studies.export.export_folder import STALE_EXPORT_SECONDS, ExportLockLostError, previous_export, replace_folder

ONE, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def write(folder, study, text):
    """Write an export that contains a text."""
    (folder / "metrics.json").write_text(json.dumps({"study_id": study} if study else {}))
    (folder / "text").write_text(text)


def exported(folder, study, text):
    """Export a text as a study does."""
    with replace_folder(folder, study) as new:
        write(new, study, text)


def held(tmp_path):
    """Return the texts of all exports by folder."""
    return {path.name: (path / "text").read_text() for path in tmp_path.iterdir()}


def twice(swap):
    """Publish as when the database's reply to the first attempt is lost."""
    swap()
    swap()
    return True


def test_study_replaces_its_export(tmp_path):
    """A study has one export, also if the swap is repeated, and nothing else is left."""
    exported(tmp_path / "best", ONE, "a")
    with replace_folder(tmp_path / "best", ONE, twice) as new:
        write(new, ONE, "b")
    assert held(tmp_path) == {"best": "b"}


@pytest.mark.parametrize(
    ("study", "aside"), [(OTHER, "best-22222222"), ("", "best-earlier"), ("../../x", "best-earlier")]
)
def test_export_of_another_study_is_moved(tmp_path, study, aside):
    """An export of another or unknown study is moved to an unused name."""
    for text in "ab":
        shutil.rmtree(tmp_path / "best", ignore_errors=True)
        (tmp_path / "best").mkdir()
        write(tmp_path / "best", study, text)
        exported(tmp_path / "best", ONE, "mine")
    assert held(tmp_path) == {"best": "mine", aside: "a", f"{aside}-2": "b"}


def test_two_exporters_do_not_mix(tmp_path):
    """Each writes its own folder, and the later complete export replaces the earlier one."""
    first, second = replace_folder(tmp_path / "best", ONE), replace_folder(tmp_path / "best", ONE)
    one, other = first.__enter__(), second.__enter__()
    write(one, ONE, "first")
    (other / "half-written").write_text("")
    first.__exit__(None, None, None)
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["metrics.json", "text"]
    write(other, ONE, "second")
    second.__exit__(None, None, None)
    assert held(tmp_path) == {"best": "second"}


def test_export_is_discarded_after_losing_the_lock(tmp_path):
    """The new folder is removed, and the other worker's export stays."""
    exported(tmp_path / "best", ONE, "theirs")
    with (
        pytest.raises(ExportLockLostError, match="another worker"),
        replace_folder(tmp_path / "best", ONE, lambda _: False) as new,
    ):
        write(new, ONE, "mine")
    assert held(tmp_path) == {"best": "theirs"}


@pytest.mark.parametrize("is_between", [True, False], ids=["between the two steps", "after them"])
def test_kill_during_the_swap_loses_nothing(tmp_path, is_between):
    """The export of another study survives a kill between the renames or after them."""
    best = tmp_path / "best"
    exported(best, OTHER, "theirs")
    best.rename(previous_export(best))
    if not is_between:
        exported(tmp_path / "made", ONE, "killed")
        (tmp_path / "made").rename(best)
    exported(best, ONE, "mine")
    assert held(tmp_path) == {"best": "mine", "best-22222222": "theirs"}


def test_leftovers_of_running_processes_are_kept(tmp_path):
    """Only old folders that no process has locked are removed, however long an export takes."""
    with replace_folder(tmp_path / "best", ONE) as new:
        dead = tmp_path / ".best.new-dead"
        dead.mkdir()
        for folder in (new, dead):
            os.utime(folder, (time.time() - 2 * STALE_EXPORT_SECONDS,) * 2)
        exported(tmp_path / "best", ONE, "quick")
        assert new.is_dir()
        assert not dead.exists()
        write(new, ONE, "slow")
    assert held(tmp_path) == {"best": "slow"}


def test_waiting_for_the_folder_lock_is_limited(tmp_path, monkeypatch):
    """After the time limit an error names the locked folder."""
    monkeypatch.setattr(export_folder, "SWAP_SECONDS", 0.0)
    with export_folder._folder_lock(tmp_path, 0.0), pytest.raises(OutputError, match="locked by another process"):
        exported(tmp_path / "best", ONE, "mine")
