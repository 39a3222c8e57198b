"""`--test`: a share of the images, or a folder, in place of what the space says."""

from pathlib import Path

import pytest

from spaces import CustomData, Digits, ImageFolder, KerasDataset, Npz, Space
from spaces.errors import DataError, UsageError
from spaces.held_out import with_test
from spaces.loading import LoadedSpace, with_data


def data_of(data: object, test: str, folder: str = "/spaces") -> object:
    return with_test(LoadedSpace("name", Space(data=data), None, Path(folder)), test).space.data


@pytest.mark.parametrize("data", [ImageFolder("photos"), ImageFolder("photos", test="other"), Digits()])
def test_a_share_is_split_off(data):
    """Whatever the space says about its test images."""
    assert data_of(data, "0.3").test == 0.3


def test_a_folder_is_looked_up_from_the_current_folder(tmp_path, monkeypatch):
    """The paths of the record start at the folder of the space file."""
    (tmp_path / "here" / "held").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert data_of(ImageFolder("photos"), "held", str(tmp_path / "spaces")).test == "../here/held"
    with pytest.raises(DataError, match="'missing' must be a fraction such as"):
        data_of(ImageFolder("photos"), "missing")


@pytest.mark.parametrize("share", ["0", "1", "-0.2", "0.95", "20", "nan", "inf"])
def test_a_number_that_is_no_share_is_refused(share):
    """A folder of that name has to be written as a path."""
    with pytest.raises(UsageError, match=rf"above 0 and at most 0.9, got {share}.* write \./{share}"):
        data_of(ImageFolder("photos"), share)


@pytest.mark.parametrize(
    ("data", "test", "message"),
    [
        (KerasDataset("mnist"), "0.2", "comes with test images of its own"),
        (Npz("a.npz"), "0.2", r"write the share in the space file: Npz\(..., test=0.2\)"),
        (CustomData(lambda: {}), "0.2", r"CustomData\(..., test=0.2\)"),
        (Digits(), "folder", "must be a share such as 0.2"),
    ],
)
def test_it_is_refused_where_it_has_no_meaning(data, test, message):
    """Nothing that was typed is left out silently."""
    with pytest.raises(UsageError, match=message):
        data_of(data, test)


def test_another_folder_keeps_the_share_and_not_the_classes(tmp_path):
    """`--data` replaces the folders of a space, not how its images are split."""
    own = Space(data=ImageFolder("photos", test=0.3, classes=("a", "b")))
    assert with_data(LoadedSpace("name", own, None, tmp_path), str(tmp_path)).space.data == ImageFolder(
        tmp_path, test=0.3
    )
