"""Fitting one recipe: seeds, best epochs, patience, divergence and stopping."""

import math
from dataclasses import replace

import numpy as np
import pytest

from spaces import SGD, Adam, AdamW, Constant, Cosine, RMSprop
from studies.training import result
from studies.training.compile import cooldown_schedule, make_optimizer, read_learning_rate
from studies.training.feed import evaluation_data, steps_per_execution, training_feed
from tests.support.fitting import SMALL, assert_same_weights, fit, noisy_images

RECIPE = replace(SMALL, learning_rate=0.03, epochs=4)


TRAIN, VALIDATION = (noisy_images(n, seed, shape=(8, 8, 1), noise=80, contrast=120) for seed, n in enumerate((100, 40)))


def fitted(recipe=RECIPE, seed=1, **more):
    more.setdefault("validation", VALIDATION)
    return fit(recipe, TRAIN, seed=seed, **more)


@pytest.fixture(scope="module")
def trained():
    """Train once for the tests that only inspect the result."""
    return fitted()


def test_model_has_the_weights_of_its_best_epoch(trained):
    """Two classes that differ in brightness are learned, and the model scores the value of its best epoch."""
    assert (trained.end_reason, trained.best_value) == (result.EndReason.FINISHED, 1.0)
    assert len(trained.history) == RECIPE.epochs
    scores = trained.model.evaluate(evaluation_data(VALIDATION, 32), verbose=0, return_dict=True)
    assert scores["accuracy"] == pytest.approx(trained.best_value)
    assert scores["loss"] == pytest.approx(trained.best_loss, rel=1e-5)


def test_seed_determines_the_training(trained):
    """Weights, dropout and the order of images follow from the seed."""
    same = fitted()
    assert same.history == trained.history
    assert_same_weights(same.model, trained.model)
    assert fitted(seed=2).history != trained.history


DIVERGING = {"learning_rate": 1e30, "optimizer": SGD(), "epochs": 30, "patience": None}


@pytest.mark.parametrize(
    ("changes", "options", "end_reason", "epochs"),
    [
        ({"learning_rate": 1e-12, "epochs": 30, "patience": 2}, {}, result.EndReason.EARLY_STOPPED, [3]),
        (DIVERGING, {}, result.EndReason.DIVERGED, range(1, 30)),
        ({**DIVERGING, "metric": "val_auc"}, {}, result.EndReason.DIVERGED, range(1, 30)),
        ({}, {"on_epoch": lambda epoch, metrics: epoch < 2}, result.EndReason.PRUNED, [2]),
    ],
    ids=["patience", "loss is not finite", "not finite with a metric of ours", "pruned"],
)
def test_training_ends_early(changes, options, end_reason, epochs):
    """No better value for `patience` epochs, a loss that is not finite, and pruning end it with their reason."""
    found = fitted(replace(RECIPE, **changes), **options)
    assert found.end_reason == end_reason
    assert len(found.history) in epochs


@pytest.mark.parametrize(
    "batch_size", [pytest.param(1, marks=pytest.mark.slow, id="training"), pytest.param(100, id="validation")]
)
def test_stop_request_discards_the_unfinished_epoch(batch_size):
    """An epoch whose training or validation is cut short has no metrics."""
    asked = iter([False, True])
    stopped = fitted(replace(RECIPE, batch_size=batch_size, metric="val_auc"), stop=lambda: next(asked, True))
    assert (stopped.end_reason, stopped.history) == (result.EndReason.STOPPED, ())


def test_training_without_validation_runs_all_epochs():
    """A retraining compares nothing and has no best epoch."""
    blind = fitted(validation=None, epochs=2)
    assert len(blind.history) == 2
    assert blind.best_epoch is None
    assert math.isnan(blind.best_value)


def test_feeds_are_not_autotuned():
    """Closing a feed would wait for its sleeping tuning thread, up to half a minute after a signal."""
    for batches in (training_feed(TRAIN, 32, seed=3).inputs["x"], evaluation_data(TRAIN, 32)):
        assert not batches.options().autotune.enabled
        assert not batches.map(lambda *columns: columns).options().autotune.enabled


def test_large_split_is_read_in_the_same_batches(monkeypatch):
    """A split too large for memory gives the batches that one in memory gives."""
    import studies.training.tensorflow_feed as feed

    def labelled() -> list[tuple[float, int]]:
        shuffled = training_feed(TRAIN, 32, seed=3)
        shuffled.begin_epoch(1)
        batches = [*feed.ordered_batches(TRAIN, 32), *shuffled.inputs["x"]]
        return [
            (float(i.mean()), int(n)) for x, y in batches for i, n in zip(np.asarray(x), np.asarray(y), strict=True)
        ]

    expected = labelled()
    monkeypatch.setattr(feed, "IN_MEMORY_BYTES", 0)
    assert labelled() == expected


@pytest.mark.parametrize(("side", "batch", "steps", "expected"), [(8, 64, 18, 32), (8, 64, 500, 32), (224, 32, 500, 1)])
def test_steps_per_execution_depend_on_pixels(side, batch, steps, expected):
    """Small images run many steps without returning to Python, whatever the length of an epoch; large ones one."""
    assert steps_per_execution((side, side, 3), batch, steps) == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), [0.03, 0.03, 0.03]),
        (Constant(warmup=0.5), [0.0, 0.03, 0.03]),
        (Cosine(), [0.03, 0.015, 0.0]),
        (Cosine(floor=0.5), [0.03, 0.0225, 0.015]),
        (Cosine(warmup=0.5), [0.0, 0.03, 0.0]),
    ],
)
def test_schedules_span_all_epochs(schedule, expected):
    """A schedule reaches its end after 4 epochs of 10 steps."""
    rate = read_learning_rate(replace(RECIPE, schedule=schedule), 10)
    found = [float(rate(step)) if callable(rate) else rate for step in (0, 20, 40)]
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [(Constant(), [0.03, 0.03, 0.015, 0.0, 0.0]), (Cosine(floor=0.5), [0.03, 0.0225, 0.5 * 0.0171967, 0.0, 0.0])],
)
def test_cooldown_ends_at_zero(schedule, expected):
    """The schedule is scaled down over the last fraction of the epochs, which may be fewer than planned."""
    planned = replace(RECIPE, schedule=schedule, epochs=4)
    rate = cooldown_schedule(planned, 10, 4, 0.5)
    found = [float(rate(step)) for step in (0, 20, 30, 40, 41)]
    assert found == pytest.approx(expected, abs=1e-6)
    assert float(cooldown_schedule(planned, 10, 2, 0.5)(20)) == 0.0


@pytest.mark.parametrize(
    "record",
    [Adam(beta_1=0.8, clipnorm=1.0), AdamW(weight_decay=0.01), SGD(momentum=0.5, nesterov=True), RMSprop(rho=0.8)],
)
def test_optimizer_settings_reach_keras(record):
    """Every field of the record is a setting of the optimizer."""
    settings = make_optimizer(replace(RECIPE, optimizer=record), 10).get_config()
    for name, (value, _) in record.children().items():
        expected = None if (name, value) == ("weight_decay", 0.0) else value
        assert settings[name] == expected
