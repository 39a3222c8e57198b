"""Where a study keeps its files."""

from pathlib import Path

from spaces.errors import OutputError


def ensure_study_folder(output: Path, name: str) -> Path:
    """Make sure that the study's folder is there and can be written.

    Raises:
        OutputError: It cannot be made or written.
    """
    folder = output / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        # Another process that starts at the same time may have done so.
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be written: {error.strerror}: give another --output") from error
    return folder
