import pytest
from keras import layers

from spaces import CNN, Digits, Space
from spaces.errors import ModelError
from studies.models.build import build_model


def layers_of(record, shape=(28, 28, 1), classes=10, dropout=0.5):
    model = build_model(Space(data=Digits(), backbone=record, dropout=dropout, augment=None), shape, classes)
    return model.layers


def kinds(record, **more):
    return [type(layer).__name__ for layer in layers_of(record, **more)]


def test_keras_mnist_convnet_is_reproduced():
    """Keras' "Simple MNIST convnet" comes out layer by layer, but for the softmax that its loss applies here."""
    record = CNN(32, 2, padding="valid", batch_norm=False)
    found = layers_of(record)
    names = ["InputLayer", "Rescaling", *["Conv2D", "Activation", "MaxPooling2D"] * 2, "Flatten", "Dropout", "Dense"]
    assert [type(layer).__name__ for layer in found] == names
    assert [layer.filters for layer in found if isinstance(layer, layers.Conv2D)] == [32, 64]
    assert found[-3].output.shape == (None, 1600)
    assert found[-2].rate == 0.5


def test_block_is_convolutions_downsampling_and_dropout():
    """Batch normalisation replaces the bias and precedes the activation; filters grow by a factor per block."""
    record = CNN(10, 3, convolutions=2, downsample="average", block_dropout=0.1, activation="gelu", growth=1.5)
    found = layers_of(record)
    convolution = ["Conv2D", "BatchNormalization", "Activation"]
    assert kinds(record)[2:10] == [*convolution * 2, "AveragePooling2D", "Dropout"]
    assert (found[2].use_bias, found[9].rate) == (False, 0.1)
    assert [layer.filters for layer in found if isinstance(layer, layers.Conv2D)] == [10, 10, 15, 15, 22, 22]


def test_head_has_pooling_and_dense_layer():
    """The head is pooling, the dense layer with the record's activation, dropout and logits."""
    found = layers_of(CNN(4, 1, pooling="max", dense_units=6, activation="tanh"))
    assert [type(layer).__name__ for layer in found[-4:]] == ["GlobalMaxPooling2D", "Dense", "Dropout", "Dense"]
    assert (found[-3].units, found[-3].activation.__name__, found[-1].activation.__name__) == (6, "tanh", "linear")


def test_small_feature_maps_are_not_downsampled_further():
    """A block that has nothing left to halve keeps its size."""
    assert kinds(CNN(2, 6), shape=(8, 8, 1)).count("MaxPooling2D") == 3
    assert kinds(CNN(2, 3), shape=(8, 1, 1)).count("MaxPooling2D") == 0


def test_kernel_larger_than_the_feature_map_is_refused():
    """Without padding a feature map smaller than the kernel is an error that says where and what to do."""
    with pytest.raises(ModelError, match=r"kernel of 5 pixels .* 2x2 feature map of block 2"):
        layers_of(CNN(2, 3, kernel_size=5, padding="valid"), shape=(8, 8, 1))
