"""`search weights` lists and downloads weights."""

import re
import shutil

import pytest

from studies.models.weights_download import keras_file
from tests.studies.models.test_weights_find import NAME, places, server
from tests.studies.models.weights_files import mobilenet, write_current, write_legacy

__all__ = ["places", "server"]


def test_files_are_listed_by_content(search, places):
    """Both folders are listed, with network, width, top and size; other files are ignored."""
    folder, cache = places
    write_current(mobilenet(), folder / "mine.bin")
    write_legacy(mobilenet(0.5, top=True), cache / "resnet50.h5")
    write_current(mobilenet(top=True, classes=3), folder / "three.h5")
    (folder / "notes.txt").write_text("hello")
    done = search("weights", "list")
    assert done.exit_code == 0
    assert re.search(rf"MobileNet +0.25 +none +\S+ MB +{folder}/mine.bin\n", done.stdout)
    assert re.search(rf"unknown +\S+ MB +{folder}/three.h5\n", done.stdout)
    assert re.search(rf"MobileNet +0.5 +1,000 classes +\S+ MB +{cache}/resnet50.h5\n", done.stdout)
    assert f"2 files in {folder}\n1 file in {cache}\n" in done.stdout


def test_a_download_goes_to_the_folder(search, server, places, tmp_path):
    """`get` fetches what Keras would, to --output; SEARCH_WEIGHTS finds it there."""
    root, _ = server
    path = root / keras_file("MobileNet", 0.25, (224, 224, 3)).url.split("/", 3)[3]
    path.parent.mkdir(parents=True)
    write_legacy(mobilenet(), path)
    done = search("weights", "get", "mobilenet", "--alpha", "0.25", "--output", tmp_path / "carried")
    assert done.exit_code == 0, done.stderr
    assert f"MobileNet: {tmp_path}/carried/{NAME}, " in done.stdout
    shutil.copy(tmp_path / "carried" / NAME, places[0])
    assert re.search(rf"MobileNet +0.25 +none .*{NAME}", search("weights", "list").stdout)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["MobileNetV"], 2, "unknown network 'MobileNetV'\nhint: did you mean MobileNetV2 or"),
        (["zzz"], 2, "hint: `search weights get --help` lists all"),
        (["MobileNet", "--alpha", "0.3"], 5, "MobileNet"),
        (["MobileNet", "--alpha", "0.25"], 5, "404"),
    ],
)
@pytest.mark.usefixtures("places", "server")
def test_failed_downloads_end_with_a_code(refused, words, code, message):
    """Unknown names end with 2, missing weights with 5."""
    assert message in refused(code, "weights", "get", *words)
