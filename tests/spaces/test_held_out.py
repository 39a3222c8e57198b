"""`--test`: a fraction of the images or a folder replaces the test images of a space."""

from pathlib import Path

import pytest

from spaces import CustomData, Digits, ImageFolder, KerasDataset, Npz, Space
from spaces.errors import DataError, UsageError
from spaces.held_out import with_test
from spaces.loading import LoadedSpace, with_data


def data_of(data: object, test: str, folder: str = "/spaces") -> object:
    return with_test(LoadedSpace("name", Space(data=data), None, Path(folder)), test).space.data


@pytest.mark.parametrize("data", [ImageFolder("photos"), ImageFolder("photos", test="other"), Digits()])
def test_fractions_replace_the_test_images(data):
    """Whatever the space says about them."""
    assert data_of(data, "0.3").test == 0.3


def test_folders_start_at_the_current_folder(tmp_path, monkeypatch):
    """The paths of the record start at the folder of the space file."""
    (tmp_path / "here" / "held").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert data_of(ImageFolder("photos"), "held", str(tmp_path / "spaces")).test == "../here/held"
    with pytest.raises(DataError, match="got 'missing', expected a fraction"):
        data_of(ImageFolder("photos"), "missing")


@pytest.mark.parametrize("number", ["0", "-0.2", "0.95", "nan"])
def test_other_numbers_are_refused(number):
    """A folder of that name has to be written as a path."""
    with pytest.raises(UsageError, match=rf"got {number}, expected a fraction.*\n.* pass \./{number}$"):
        data_of(ImageFolder("photos"), number)


@pytest.mark.parametrize(
    ("data", "test", "message"),
    [
        (KerasDataset("mnist"), "0.2", "has its own test images"),
        (Npz("a.npz"), "0.2", r"hint: .* Npz\(..., test=0.2\)"),
        (CustomData(lambda: {}), "0.2", r"CustomData\(..., test=0.2\)"),
        (Digits(), "folder", "pass a fraction such as 0.2"),
    ],
)
def test_sources_without_replaceable_test_images_refuse_it(data, test, message):
    """The option is never ignored."""
    with pytest.raises(UsageError, match=message):
        data_of(data, test)


def test_data_option_keeps_the_fraction_and_not_the_classes(tmp_path):
    """`--data` replaces the folders of a space, not the split of its images."""
    own = LoadedSpace("name", Space(data=ImageFolder("photos", test=0.3, classes=("a", "b"))), None, tmp_path)
    assert with_data(own, str(tmp_path)).space.data == ImageFolder(tmp_path, test=0.3)
