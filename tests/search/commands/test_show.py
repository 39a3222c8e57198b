from spaces import baseline
from spaces.loading import load


def test_show_lists_parameters_and_baseline(search):
    """Every parameter is in the table and in the baseline, with the number of combinations."""
    done = search("show", "digits")
    assert done.exit_code == 0
    assert all(done.stdout.count(name) >= 2 for name in baseline(load("digits").space))
    assert "continuous" in done.stdout


def test_show_uses_the_typed_data(search, refused, tmp_path):
    """It shows the space that would run; an error names an absent folder and the option."""
    (tmp_path / "photos").mkdir()
    shown = search("show", "small_cnn", "--data", "photos/").stdout
    assert "ImageFolder(train='photos', image_size=64)" in shown
    for command in ("run", "show"):
        message = refused(4, command, "digits", "--data", "absent")
        assert ("--data" in message, "'absent'" in message) == (True, True)
