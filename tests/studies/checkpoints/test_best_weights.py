"""The weights of the best trials, kept for an export without retraining."""

import numpy as np

from studies.checkpoints.best_weights import saved_weights
from studies.checkpoints.study_checkpoints import StudyCheckpoints

WEIGHTS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(2.5, np.float32)]


def test_weights_come_back_as_they_were(tmp_path):
    """Shapes, types and order are kept; other recipes and other studies do not get them."""
    kept = StudyCheckpoints(tmp_path, "one").best_weights
    kept.save(3, "recipe", 1, WEIGHTS, {})
    found = kept.load(3, "recipe")
    for one, other in zip(saved_weights(found), WEIGHTS, strict=True):
        assert (one.dtype, one.shape, one.tolist()) == (other.dtype, other.shape, other.tolist())
    assert kept.load(3, "another recipe") is None
    assert kept.load(4, "recipe") is None
    assert StudyCheckpoints(tmp_path, "two").best_weights.load(3, "recipe") is None


def test_the_last_attempt_that_can_be_read_counts(tmp_path):
    """A torn file, as of a worker that was killed, is passed over."""
    kept = StudyCheckpoints(tmp_path).best_weights
    kept.save(3, "recipe", 1, WEIGHTS[:1], {})
    kept.save(3, "recipe", 2, WEIGHTS, {})
    assert len(saved_weights(kept.load(3, "recipe"))) == 2
    file = next(tmp_path.glob("*-2.weights"))
    file.write_bytes(file.read_bytes()[:-1])
    assert len(saved_weights(kept.load(3, "recipe"))) == 1


def test_only_the_weights_of_other_trials_of_the_study_are_removed(tmp_path):
    """Checkpoints of trainings, and the files of other studies in the same place, stay."""
    kept, other = (StudyCheckpoints(tmp_path, name).best_weights for name in ("one", "two"))
    for number in (1, 2, 3):
        kept.save(number, "", 1, WEIGHTS, {})
    other.save(1, "", 1, WEIGHTS, {})
    kept.delete_except([2])
    assert [kept.load(number, "") is not None for number in (1, 2, 3)] == [False, True, False]
    assert other.load(1, "") is not None


def test_a_place_that_cannot_be_written_ends_no_trial(tmp_path, caplog):
    """It is logged, and the trial has no weights of its own to export."""
    (tmp_path / "file").write_text("")
    kept = StudyCheckpoints(tmp_path / "file").best_weights
    kept.save(3, "recipe", 1, WEIGHTS, {})
    assert "could not save the weights of trial 3" in caplog.text
    assert kept.load(3, "recipe") is None
