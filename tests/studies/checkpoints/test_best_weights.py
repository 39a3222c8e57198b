"""Weights of the best trials, stored for an export without retraining."""

import numpy as np
import pytest

from studies.checkpoints.best_weights import saved_weights
from studies.checkpoints.study_checkpoints import StudyCheckpoints

WEIGHTS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(2.5, np.float32)]


@pytest.fixture
def best(tmp_path):
    """The weights of study `one`, with those of trial 3."""
    best = StudyCheckpoints(tmp_path, "one").best_weights
    best.save(3, "recipe", 1, WEIGHTS, {})
    return best


def test_weights_are_restored_for_the_same_recipe_only(best, tmp_path):
    """Shapes, types and order are restored; other recipes, trials and studies do not get them."""
    for one, other in zip(saved_weights(best.load(3, "recipe")), WEIGHTS, strict=True):
        assert (one.dtype, one.shape, one.tolist()) == (other.dtype, other.shape, other.tolist())
    assert best.load(3, "another recipe") is best.load(4, "recipe") is None
    assert StudyCheckpoints(tmp_path, "two").best_weights.load(3, "recipe") is None


def test_last_readable_attempt_is_used(best, tmp_path):
    """A damaged file, as left by a killed worker, is ignored."""
    best.save(3, "recipe", 2, WEIGHTS[:1], {})
    assert len(saved_weights(best.load(3, "recipe"))) == 1
    file = next(tmp_path.glob("*-2.weights"))
    file.write_bytes(file.read_bytes()[:-1])
    assert len(saved_weights(best.load(3, "recipe"))) == 2


def test_weights_of_other_trials_are_removed(best, tmp_path):
    """Only the study's own weights are removed."""
    other = StudyCheckpoints(tmp_path, "two").best_weights
    for each, number in ((best, 1), (best, 2), (other, 1)):
        each.save(number, "recipe", 1, WEIGHTS, {})
    best.delete_except([2])
    assert [best.load(number, "recipe") is not None for number in (1, 2, 3)] == [False, True, False]
    assert other.load(1, "recipe") is not None


def test_unwritable_store_does_not_end_a_trial(tmp_path, caplog):
    """The error is logged, and the trial has no saved weights."""
    (tmp_path / "file").write_text("")
    best = StudyCheckpoints(tmp_path / "file").best_weights
    best.save(3, "recipe", 1, WEIGHTS, {})
    assert "weights of trial 3" in caplog.text
    assert best.load(3, "recipe") is None
