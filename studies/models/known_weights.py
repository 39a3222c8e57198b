"""Identifies the network of `keras.applications` that a weights file belongs to by the shapes of its weights."""

from dataclasses import dataclass

from studies.models.weights_content import WeightsContent, fingerprint_of

# By network and width: the fingerprint without a top, and with the top of ImageNet's 1,000 classes.
_FINGERPRINTS: dict[tuple[str, float | None], tuple[str, str]] = {
    ("ConvNeXtTiny", None): ("1dce3f387bcc714e", "c82a3afc50b10146"),
    ("ConvNeXtSmall", None): ("cfd59ee617ad309a", "52b91f30c76e850e"),
    ("ConvNeXtBase", None): ("86e55f8522717193", "37c64aed20d65117"),
    ("ConvNeXtLarge", None): ("3122d6b4b1ddb801", "b60f77ab4e25b067"),
    ("ConvNeXtXLarge", None): ("51d9a8aa88e7a5de", "e9a7b69935ee65c0"),
    ("DenseNet121", None): ("b5bc8c64e9484f15", "9e8589754110915d"),
    ("DenseNet169", None): ("6a79fbd81bba1564", "93225410e9eaf5cf"),
    ("DenseNet201", None): ("1671031c8a1a8b07", "f6d46ebbcb6cd80d"),
    ("EfficientNetB0", None): ("a35d6ab83c18e50f", "60ef017a13f94666"),
    ("EfficientNetB1", None): ("be1408bd0f985a47", "d07558a7b0a7c6df"),
    ("EfficientNetB2", None): ("b131e66ea3b4a52d", "80435d0f28c4afd5"),
    ("EfficientNetB3", None): ("2cc27f9c8a1f8d8f", "f4c8ad1add9a59a9"),
    ("EfficientNetB4", None): ("9680fb1632ad4694", "1c3446f4fcd34ab2"),
    ("EfficientNetB5", None): ("7825596ecfd24c92", "74e505e5ffd299ef"),
    ("EfficientNetB6", None): ("2f1f3651a09ce1bf", "3fd56a287489a61e"),
    ("EfficientNetB7", None): ("dcd648abe1012095", "35d44b6b81dec945"),
    ("EfficientNetV2B0", None): ("3a9df274e6d0092a", "16c710c69f71e8e0"),
    ("EfficientNetV2B1", None): ("0d4f5105d3d773aa", "13168ae7a96d7d72"),
    ("EfficientNetV2B2", None): ("c11081669ad2ed3d", "1aab86fb91bc5d4d"),
    ("EfficientNetV2B3", None): ("b5ddd07b90b06460", "ea276928a21b5479"),
    ("EfficientNetV2S", None): ("481d3adb32e95c0d", "314926b64893e1d4"),
    ("EfficientNetV2M", None): ("555014f7dba8e22c", "b5190306b92def58"),
    ("EfficientNetV2L", None): ("55de05e7d44edc33", "f39fb95371386863"),
    ("InceptionResNetV2", None): ("76f3ce7c2a539c99", "efa794287b53d0cd"),
    ("InceptionV3", None): ("80fe6adb00f81a3d", "de6f4fb8d476208f"),
    ("MobileNet", 0.25): ("c2ef1aab2201e837", "ae5435590db1e7cf"),
    ("MobileNet", 0.5): ("7e45020c3e5fe24b", "ebb3271becb39b6c"),
    ("MobileNet", 0.75): ("6fda2750844108f2", "547d453a6c59058b"),
    ("MobileNet", 1.0): ("b6acc5fa606828f7", "40fc7009ec4903f9"),
    ("MobileNetV2", 0.35): ("367bacd51450e2e9", "79bdd383b3dd0595"),
    ("MobileNetV2", 0.5): ("a3b596e2c01e31aa", "9f7814e1910bb493"),
    ("MobileNetV2", 0.75): ("e857f60543e9d59b", "11c0c06cded85337"),
    ("MobileNetV2", 1.0): ("fbfed7fb7cd57514", "4ea915f7a6734a49"),
    ("MobileNetV2", 1.3): ("e73bcfe9ec53353a", "e56ce53dbb0ed312"),
    ("MobileNetV2", 1.4): ("bbb685bbf5ada1cd", "d74b6059f5e013f1"),
    ("MobileNetV3Large", 0.75): ("d1620b8cfd0a8ef3", "46e0340087ee76d5"),
    ("MobileNetV3Large", 1.0): ("6a9c2cd18b58b0d6", "e63d7160069013a7"),
    ("MobileNetV3Small", 0.75): ("922e27806fc4ebcc", "d3c7046465802b45"),
    ("MobileNetV3Small", 1.0): ("c0906a54fe4ba6a3", "74f6024ff151a52a"),
    ("NASNetLarge", None): ("71614c4ddb308557", "b76db014516d43dc"),
    ("NASNetMobile", None): ("d3a5054556fddd34", "789e8298145e3abe"),
    ("ResNet50", None): ("d457ea3344051b0d", "6221308ed23563f0"),
    ("ResNet101", None): ("739455f98b40e544", "3dc1c7815a041ad4"),
    ("ResNet152", None): ("27bc46c5f788f485", "25f51612b87ef8d1"),
    ("ResNet50V2", None): ("b22402e1f8202854", "257eddd78f29d1a0"),
    ("ResNet101V2", None): ("7fcd9d1607fd9a23", "1c65da559344cba1"),
    ("ResNet152V2", None): ("915476142915db94", "fa0e92e4a5f0e681"),
    ("VGG16", None): ("5464c3102e503f35", "4139c962e6cd778d"),
    ("VGG19", None): ("5b198c1e4e5750b7", "e4434d5b0b21de98"),
    ("Xception", None): ("cdef8d0ce1706626", "7997a2dd654ee120"),
}


@dataclass(frozen=True)
class KnownNetwork:
    """Network of `keras.applications`.

    Args:
        name: Name, as in `Pretrained`.
        alpha: Width multiplier; None if the network has none.
        has_top: Whether the file includes the classifier of ImageNet's 1,000 classes.
    """

    name: str
    alpha: float | None
    has_top: bool

    def __str__(self) -> str:
        return describe_network(self.name, self.alpha)


_NETWORKS = {
    fingerprint: KnownNetwork(name, alpha, has_top)
    for (name, alpha), fingerprints in _FINGERPRINTS.items()
    for has_top, fingerprint in zip((False, True), fingerprints, strict=True)
}


def describe_network(name: str, alpha: float | None) -> str:
    """Return a network's name and width for a message."""
    return name if alpha is None else f"{name} with alpha={alpha:g}"


def network_of(content: WeightsContent) -> KnownNetwork | None:
    """Return the network that a file's weights belong to; None if no network of Keras has these shapes."""
    return _NETWORKS.get(content.fingerprint)


def network_inside(content: WeightsContent) -> KnownNetwork | None:
    """Return the network that is one layer of the model in a weights file; None if there is none."""
    found = (_NETWORKS.get(fingerprint_of(layer.shapes)) for layer in content.layers)
    return next((network for network in found if network is not None), None)


def widths_of(name: str) -> tuple[float, ...]:
    """Return a network's width multipliers with ImageNet weights; empty if it has no width multiplier."""
    return tuple(alpha for known, alpha in _FINGERPRINTS if known == name and alpha is not None)
