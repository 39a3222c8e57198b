"""Where the cache of decoded images is."""

from studies.images.image_cache import cache_root


def test_the_cache_folder_is_the_argument_the_variable_or_the_users(monkeypatch, tmp_path):
    """In this order."""
    monkeypatch.setenv("SEARCH_CACHE", str(tmp_path / "variable"))
    assert cache_root(tmp_path / "argument").parent == tmp_path / "argument"
    assert cache_root().parent == tmp_path / "variable"
    monkeypatch.delenv("SEARCH_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name, appauthor: str(tmp_path / name))
    assert cache_root().parent == tmp_path / "search"
