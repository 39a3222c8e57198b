import keras
import numpy as np
import pytest

from spaces import Digits, Pretrained, Space
from spaces.backbones import APPLICATIONS
from spaces.errors import ModelError
from studies.backend.quiet import quiet_keras
from studies.models.build import build_inference_model, build_model
from studies.models.pretrained import preprocessing

# One network for each way of preprocessing: tf, torch, caffe, and none since the network has its own.
MODES = {"MobileNetV2": "mobilenet_v2", "DenseNet121": "densenet", "ResNet50": "resnet"}
MODES["MobileNetV3Small"] = "mobilenet_v3"


def pixels(count=2):
    """Return colour images of noise as floats."""
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3)).astype(np.float32)


def model_of(name, shape=(32, 32, 3), classes=2, build=build_model, **fields):
    record = Pretrained(name, weights=None, **fields)
    return build(Space(data=Digits(), backbone=record, augment=None, dropout=0.3), shape, classes)


def network_of(model):
    return next(layer for layer in model.layers if isinstance(layer, keras.Model))


@pytest.mark.parametrize(("name", "family"), MODES.items())
def test_preprocessing_matches_the_family(name, family):
    """Inside the model images are prepared as the family's `preprocess_input` prepares arrays."""
    values, images = pixels(), keras.Input((32, 32, 3))
    outputs = preprocessing(name)(images)
    found = values if outputs is images else keras.Model(images, outputs)(values)
    expected = getattr(keras.applications, family).preprocess_input(values.copy())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_preprocessing_precedes_the_network():
    """The whole model is the network over prepared images: raw in, the same features out."""
    model, values = model_of("MobileNet", alpha=0.25), pixels()
    features = keras.Model(model.input, model.get_layer("pooling").output)(values)
    prepared = keras.applications.mobilenet.preprocess_input(values.copy())
    expected = np.mean(network_of(model)(prepared, training=False), axis=(1, 2))
    np.testing.assert_allclose(features, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4, 1000])
def test_last_layers_are_trainable(count):
    """N layers are trained, counted from the end of the network, except batch normalization."""
    network = network_of(model_of("MobileNet", alpha=0.25, trainable_layers=count))
    last = network.layers[-count:]
    assert all(layer.trainable != isinstance(layer, keras.layers.BatchNormalization) for layer in last)
    assert not any(layer.trainable for layer in network.layers[:-count])


def test_batch_normalization_keeps_its_statistics():
    """Also where its layer is trained, batch normalisation does not learn from the batches."""
    model = model_of("MobileNet", alpha=0.25, trainable_layers=1000)
    statistics = [weight for weight in model.weights if "moving" in weight.path]
    before = [weight.numpy().copy() for weight in statistics]
    model.compile(optimizer="sgd", loss=keras.losses.BinaryCrossentropy(from_logits=True))
    model.train_on_batch(pixels(4), np.array([0, 1, 0, 1]))
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, statistics, strict=True))


@pytest.mark.slow
def test_network_always_runs_in_inference_mode():
    """A network's own dropout is for training it from scratch: here its features are always the same."""
    model = model_of("EfficientNetB0", trainable_layers=1000)
    features = keras.Model(model.input, model.get_layer("pooling").output)
    np.testing.assert_array_equal(features(pixels(), training=True), features(pixels(), training=False))


def test_head_follows_the_record_and_is_trained_alone():
    """Pooling and dense layer are those of the record; the network is frozen without trainable layers."""
    model = model_of("MobileNet", alpha=0.25, pooling="flatten", dense_units=5)
    assert {weight.path.partition("/")[0] for weight in model.trainable_weights} == {"dense", "logits"}
    assert [layer.name for layer in model.layers[-4:]] == ["pooling", "dense", "dropout", "logits"]
    assert model.get_layer("dense").activation.__name__ == "relu"


def test_grey_images_become_three_equal_channels():
    """A grey image is read as the colour image that looks the same."""
    grey, colour = model_of("MobileNet", (32, 32, 1), alpha=0.25), model_of("MobileNet", alpha=0.25)
    colour.set_weights(grey.get_weights())
    values = pixels()[..., :1]
    np.testing.assert_allclose(grey(values), colour(np.repeat(values, 3, axis=-1)), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "shape", "fields", "message"),
    [
        ("InceptionV3", (64, 80, 3), {}, "at least 75x75 pixels, got 64x80\nhint: .*image_size of 75"),
        ("MobileNet", (8, 8, 3), {}, "at least 32x32 pixels, got 8x8"),
        ("MobileNet", (32, 32, 4), {}, "1 or 3 channels, got 4"),
        ("ResNet50", (32, 32, 3), {"alpha": 0.5}, "ResNet50 has no alpha"),
    ],
)
def test_impossible_networks_are_refused(name, shape, fields, message):
    """The error says what the network needs, such as the minimum image size."""
    with pytest.raises(ModelError, match=message):
        model_of(name, shape, **fields)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        pytest.param("MobileNetV3Small", 32, marks=pytest.mark.slow),
        *(pytest.param(name, 96, marks=pytest.mark.exhaustive) for name in APPLICATIONS),
    ],
)
def test_network_is_saved_and_loaded_by_plain_keras(name, side, tmp_path):
    """Every network with its preprocessing is loaded by plain Keras and gives the same outputs."""
    model = model_of(name, (side, side, 3), 3, build_inference_model)
    images = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
    expected = keras.ops.convert_to_numpy(model(images))
    with quiet_keras():
        model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), expected, atol=1e-5)
    assert np.isfinite(expected).all()
