"""Fitting one recipe: seeds, best epochs, patience, divergence and stopping."""

import math
from dataclasses import replace

import numpy as np
import pytest

from spaces import CNN, SGD, Adam, AdamW, Constant, Cosine, Digits, RMSprop, Space
from studies.data.dataset import Split
from studies.training import result
from studies.training.compile import cooldown_schedule, make_optimizer, read_learning_rate
from studies.training.feed import ShuffledBatches, evaluation_data, steps_per_execution, training_feed
from tests.support.fitting import fit

SIDE = 8
RECIPE = Space(
    data=Digits(),
    backbone=CNN(filters=4, blocks=1),
    augment=None,
    dropout=0.1,
    learning_rate=0.03,
    batch_size=32,
    schedule=Constant(),
    epochs=4,
)


def bright_or_dark(images: int, seed: int = 0) -> Split:
    """Images of two classes that differ in brightness, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images, dtype=np.int64) % 2
    pixels = rng.integers(0, 80, (images, SIDE, SIDE, 1)) + 120 * labels[:, None, None, None]
    return Split(pixels.astype(np.uint8), labels)


TRAIN, VALIDATION = bright_or_dark(100), bright_or_dark(40, seed=1)


def fitted(recipe=RECIPE, seed=1, **more):
    more.setdefault("validation", VALIDATION)
    return fit(recipe, TRAIN, seed=seed, **more)


@pytest.fixture(scope="module")
def trained():
    """One training for the tests that only look at it."""
    return fitted()


def test_the_model_learns(trained):
    """Two classes that differ in brightness are told apart."""
    assert trained.end_reason == result.EndReason.FINISHED
    assert trained.best_value == 1.0
    assert len(trained.history) == RECIPE.epochs


def test_the_same_seed_trains_the_same_model(trained):
    """Weights, dropout and the order of images follow from the seed."""
    again = fitted()
    assert again.history == trained.history
    for one, two in zip(again.model.get_weights(), trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_another_seed_trains_another_model(trained):
    """The seed matters."""
    assert fitted(seed=2).history != trained.history


def test_the_model_has_the_weights_of_its_best_epoch(trained):
    """What the model scores is the best epoch's value."""
    scores = trained.model.evaluate(evaluation_data(VALIDATION, 32), verbose=0, return_dict=True)
    assert scores["accuracy"] == pytest.approx(trained.best_value)
    assert scores["loss"] == pytest.approx(trained.best_loss, rel=1e-5)


def test_patience_ends_a_training_that_stands_still():
    """No better metric for `patience` epochs ends the training."""
    still = fitted(replace(RECIPE, learning_rate=1e-12, epochs=30, patience=2))
    assert still.end_reason == result.EndReason.EARLY_STOPPED
    assert len(still.history) == 3


def test_a_loss_that_is_not_finite_ends_the_training():
    """Divergence is told as such, with the epoch it was seen in."""
    diverged = fitted(replace(RECIPE, learning_rate=1e30, optimizer=SGD(), epochs=30))
    assert diverged.end_reason == result.EndReason.DIVERGED
    assert len(diverged.history) < 30


def test_a_refused_epoch_is_the_last():
    """Who is told of an epoch may end the training."""
    refused = fitted(on_epoch=lambda epoch, metrics: epoch < 2)
    assert refused.end_reason == result.EndReason.PRUNED
    assert len(refused.history) == 2


@pytest.mark.slow
def test_a_request_ends_the_training_and_its_epoch_does_not_count():
    """An epoch that was cut short has no metrics."""
    asked = iter([False, True])
    stopped = fitted(replace(RECIPE, batch_size=1), stop=lambda: next(asked, True))
    assert stopped.end_reason == result.EndReason.STOPPED
    assert stopped.history == ()


def test_without_validation_every_epoch_is_trained():
    """Retraining has nothing to compare: all epochs, the last weights."""
    blind = fitted(validation=None, epochs=2)
    assert len(blind.history) == 2
    assert blind.best_epoch is None
    assert math.isnan(blind.best_value)


def test_an_order_depends_on_seed_and_epoch_alone():
    """Two feeds of one seed agree in every epoch; epochs and seeds differ; every image comes once."""

    def seen(seed: int, epoch: int) -> list[float]:
        feed = training_feed(TRAIN, 32, seed)
        feed.begin_epoch(epoch)
        return [float(image.mean()) for images, _ in feed.inputs["x"] for image in np.asarray(images)]

    assert seen(1, 0) == seen(1, 0)
    assert seen(1, 0) != seen(1, 1)
    assert seen(1, 0) != seen(2, 0)
    assert sorted(seen(1, 3)) == sorted(float(image.mean()) for image in TRAIN.images)


def test_batches_from_arrays_hold_every_image_once():
    """The feed of the other backends keeps images and labels together."""
    batches = ShuffledBatches(TRAIN, 32, seed=3)
    batches.begin_epoch(1)
    images, labels = (np.concatenate(part) for part in zip(*(batches[i] for i in range(len(batches))), strict=True))
    assert sorted(images.mean((1, 2, 3))) == sorted(TRAIN.images.mean((1, 2, 3)))
    assert ((images.mean((1, 2, 3)) > 100) == labels).all()


def test_no_feed_is_tuned():
    """A feed whose tuning thread sleeps is waited for when it is left: up to half a minute after a signal."""
    for batches in (training_feed(TRAIN, 32, seed=3).inputs["x"], evaluation_data(TRAIN, 32)):
        assert not batches.options().autotune.enabled
        assert not batches.map(lambda *columns: columns).options().autotune.enabled


def test_a_split_too_large_for_memory_is_read_in_batches(monkeypatch):
    """The same batches in the same order come from the memory-mapped file as from memory."""
    import studies.training.tensorflow_feed as feed

    def labelled() -> list[tuple[float, int]]:
        shuffled = training_feed(TRAIN, 32, seed=3)
        shuffled.begin_epoch(1)
        batches = [*feed.ordered_batches(TRAIN, 32), *shuffled.inputs["x"]]
        return [
            (float(i.mean()), int(n)) for x, y in batches for i, n in zip(np.asarray(x), np.asarray(y), strict=True)
        ]

    held = labelled()
    monkeypatch.setattr(feed, "IN_MEMORY_BYTES", 0)
    assert labelled() == held


@pytest.mark.parametrize(("side", "batch", "steps", "expected"), [(8, 64, 18, 32), (8, 64, 500, 32), (224, 32, 500, 1)])
def test_small_images_run_many_steps_at_a_time(side, batch, steps, expected):
    """Few pixels: many steps without returning to Python, whatever the length of an epoch; many pixels: one."""
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
    """The learning rate at the beginning, in the middle and at the end of 4 epochs of 10 steps."""
    rate = read_learning_rate(replace(RECIPE, schedule=schedule), 10)
    found = [float(rate(step)) if callable(rate) else rate for step in (0, 20, 40)]
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [(Constant(), [0.03, 0.03, 0.015, 0.0, 0.0]), (Cosine(floor=0.5), [0.03, 0.0225, 0.5 * 0.0171967, 0.0, 0.0])],
)
def test_a_cooldown_ends_at_zero(schedule, expected):
    """The schedule as it is, times what is left of the last share of the epochs, which may be fewer than planned."""
    planned = replace(RECIPE, schedule=schedule, epochs=4)
    rate = cooldown_schedule(planned, 10, 4, 0.5)
    found = [float(rate(step)) for step in (0, 20, 30, 40, 41)]
    assert found == pytest.approx(expected, abs=1e-6)
    assert float(cooldown_schedule(planned, 10, 2, 0.5)(20)) == 0.0


@pytest.mark.parametrize(
    "record",
    [Adam(beta_1=0.8, clipnorm=1.0), AdamW(weight_decay=0.01), SGD(momentum=0.5, nesterov=True), RMSprop(rho=0.8)],
)
def test_optimizers_get_their_own_settings(record):
    """Every field of the record reaches Keras' optimizer."""
    settings = make_optimizer(replace(RECIPE, optimizer=record), 10).get_config()
    for name, (value, _) in record.children().items():
        expected = None if (name, value) == ("weight_decay", 0.0) else value
        assert settings[name] == expected
