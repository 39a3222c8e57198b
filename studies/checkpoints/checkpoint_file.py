"""Encodes a training state as a checkpoint file: a checksum, JSON and plain arrays, nothing executable."""

import contextlib
import hashlib
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

_MAGIC = b"search checkpoint 1\n"
_DIGEST_BYTES, _LENGTH_BYTES = 32, 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingState:
    """Training state of a trial at the end of an epoch.

    Args:
        epoch: Number of finished epochs, over phases and folds.
        arrays: Weights, optimizer variables and states of random generators, by name.
        state: Everything else that is needed to resume; JSON.
    """

    epoch: int
    arrays: Mapping[str, np.ndarray]
    state: Mapping[str, Any]


class UnreadableError(Exception):
    """The bytes are not a complete checkpoint, or not one of this trial."""


def failure_reason(error: Exception) -> str:
    """Return what went wrong, without a path or a URL, which may contain a password."""
    if isinstance(error, UnreadableError):
        return str(error)
    return f"{error.strerror}" if isinstance(error, OSError) and error.strerror else type(error).__name__


@contextlib.contextmanager
def log_failure(message: str, *values: Any) -> Iterator[None]:
    """Log any error in the block, with a message formatted as by `logging`: no file system may end a trial."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a file system may raise anything
        logger.warning(f"{message}: %s", *values, failure_reason(error))


def encode(training_state: TrainingState, fingerprint: str, study: str = "") -> Sequence[bytes | memoryview]:
    """Return the bytes of a checkpoint in pieces, to be written in order.

    `fingerprint` identifies what is trained, and `study` is the identity of the study.
    """
    arrays = {name: np.asarray(array) for name, array in training_state.arrays.items()}
    head = json.dumps(
        {
            "study": study,
            "fingerprint": _digest_of(fingerprint),
            "epoch": training_state.epoch,
            "state": training_state.state,
            "arrays": [(name, array.dtype.name, array.shape) for name, array in arrays.items()],
        }
    ).encode()
    body: list[bytes | memoryview] = [len(head).to_bytes(_LENGTH_BYTES, "little"), head]
    body += [_bytes_of(array) for array in arrays.values()]
    digest = hashlib.sha256()
    for piece in body:
        digest.update(piece)
    return [_MAGIC, digest.digest(), *body]


def decode(content: bytes, fingerprint: str, study: str = "") -> TrainingState:
    """Return the training state in a checkpoint of this study, by its identity, and of this training.

    Raises:
        UnreadableError: The bytes are incomplete, or belong to another study or training.
    """
    if not content.startswith(_MAGIC):
        raise UnreadableError("not a checkpoint of this version")
    digest, body = _split(memoryview(content)[len(_MAGIC) :], _DIGEST_BYTES)
    if hashlib.sha256(body).digest() != digest:
        raise UnreadableError("checksum mismatch")
    length, rest = _split(body, _LENGTH_BYTES)
    head, data = _split(rest, int.from_bytes(length, "little"))
    try:
        described = json.loads(bytes(head))
        if described["study"] != study:
            raise UnreadableError("it belongs to another study")
        if described["fingerprint"] != _digest_of(fingerprint):
            raise UnreadableError("it belongs to another recipe or another version of Keras")
        arrays = _arrays(described["arrays"], data)
        return TrainingState(int(described["epoch"]), arrays, dict(described["state"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableError(f"invalid content: {error}") from error


def _arrays(described: Sequence[tuple[str, str, Sequence[int]]], data: memoryview) -> dict[str, np.ndarray]:
    arrays, start = {}, 0
    for name, kind, shape in described:
        dtype = np.dtype(kind)
        if dtype.hasobject:
            raise UnreadableError("it contains Python objects")
        count = math.prod(shape)
        found = np.frombuffer(data, np.uint8, count * dtype.itemsize, start)
        # The copy aligns the array in memory as its type requires.
        arrays[name] = found.copy().view(dtype).reshape(shape)
        start += found.nbytes
    return arrays


def _bytes_of(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _split(content: memoryview, at: int) -> tuple[memoryview, memoryview]:
    return content[:at], content[at:]


def _digest_of(fingerprint: str) -> str:
    """Return a digest of what is trained and of Keras' version, which may change the order of variables."""
    return hashlib.sha256(f"keras {metadata.version('keras')}\n{fingerprint}".encode()).hexdigest()
