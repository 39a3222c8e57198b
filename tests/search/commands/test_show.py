import pytest

from spaces import baseline
from spaces.loading import load


def test_show_lists_parameters_and_baseline(search):
    """Every parameter is in the table and in the baseline, with the number of combinations."""
    done = search("show", "digits")
    assert done.exit_code == 0
    assert all(done.stdout.count(name) >= 2 for name in baseline(load("digits").space))
    assert "continuous" in done.stdout


def test_show_uses_the_typed_data(search, tmp_path):
    """It shows the space that would run."""
    (tmp_path / "photos").mkdir()
    shown = search("show", "small_cnn", "--data", "photos/").stdout
    assert "ImageFolder(train='photos', image_size=64)" in shown


@pytest.mark.parametrize("command", ["run", "show"])
def test_data_that_is_not_a_folder_ends_with_4(refused, command):
    """The message names the option and the value."""
    message = refused(4, command, "digits", "--data", "absent")
    assert "--data" in message
    assert "'absent'" in message
