"""An export takes the place of an earlier one of its own study, and touches nothing that another process writes."""

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
    """An export that holds a text."""
    (folder / "metrics.json").write_text(json.dumps({"study_id": study} if study else {}))
    (folder / "text").write_text(text)


def exported(folder, study, text):
    """Export as a study does."""
    with replace_folder(folder, study) as new:
        write(new, study, text)


def held(tmp_path):
    """The texts of all exports that are there, by folder."""
    return {path.name: (path / "text").read_text() for path in tmp_path.iterdir()}


def test_the_same_study_replaces_its_export(tmp_path):
    """One export of a study is kept, and nothing beside it."""
    exported(tmp_path / "best", ONE, "a")
    exported(tmp_path / "best", ONE, "b")
    assert held(tmp_path) == {"best": "b"}


@pytest.mark.parametrize(
    ("study", "aside"), [(OTHER, "best-22222222"), ("", "best-earlier"), ("../../x", "best-earlier")]
)
def test_the_export_of_another_study_is_kept(tmp_path, study, aside):
    """It is moved, also one that does not say what it is of, and never over one that was moved before."""
    for text in "ab":
        shutil.rmtree(tmp_path / "best", ignore_errors=True)
        (tmp_path / "best").mkdir()
        write(tmp_path / "best", study, text)
        exported(tmp_path / "best", ONE, "mine")
    assert held(tmp_path) == {"best": "mine", aside: "a", f"{aside}-2": "b"}


def test_two_exporters_with_one_process_id(tmp_path):
    """Each writes a folder of its own: the later one replaces the earlier one, and both are whole."""
    first, second = replace_folder(tmp_path / "best", ONE), replace_folder(tmp_path / "best", ONE)
    one, other = first.__enter__(), second.__enter__()
    write(one, ONE, "first")
    (other / "half-written").write_text("")
    first.__exit__(None, None, None)
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["metrics.json", "text"]
    write(other, ONE, "second")
    second.__exit__(None, None, None)
    assert held(tmp_path) == {"best": "second"}


def test_an_export_that_was_claimed_by_another_worker_is_not_put_in_place(tmp_path):
    """It is removed, and what is there stays."""
    exported(tmp_path / "best", ONE, "theirs")
    with (
        pytest.raises(ExportLockLostError, match="another worker"),
        replace_folder(tmp_path / "best", ONE, lambda _: False) as new,
    ):
        write(new, ONE, "mine")
    assert held(tmp_path) == {"best": "theirs"}


def test_putting_it_in_place_twice_changes_nothing(tmp_path):
    """A database whose answer got lost has it done again."""

    def twice(swap):
        swap()
        swap()
        return True

    exported(tmp_path / "best", ONE, "old")
    with replace_folder(tmp_path / "best", ONE, twice) as new:
        write(new, ONE, "new")
    assert held(tmp_path) == {"best": "new"}


@pytest.mark.parametrize("is_between", [True, False], ids=["between the two steps", "after them"])
def test_a_kill_in_the_last_steps_loses_nothing(tmp_path, is_between):
    """The export of another study, which a killed process had moved away or not removed yet, is kept."""
    best = tmp_path / "best"
    exported(best, OTHER, "theirs")
    best.rename(previous_export(best))
    if not is_between:
        exported(tmp_path / "made", ONE, "killed")
        (tmp_path / "made").rename(best)
    exported(best, ONE, "mine")
    assert held(tmp_path) == {"best": "mine", "best-22222222": "theirs"}


def test_leftovers_of_a_living_process_are_left_alone(tmp_path):
    """However long an export takes: only what no process holds any more is removed."""
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


def test_another_process_that_never_ends_its_last_step(tmp_path, monkeypatch):
    """Waiting for it is bounded, and says what is held."""
    monkeypatch.setattr(export_folder, "SWAP_SECONDS", 0.0)
    with (
        export_folder._folder_lock(tmp_path, 0.0),
        pytest.raises(OutputError, match="locked by another process"),
        replace_folder(tmp_path / "best", ONE),
    ):
        pass
