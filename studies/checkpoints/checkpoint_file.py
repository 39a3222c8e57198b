"""A snapshot and its form on disk: JSON and plain arrays behind a check sum, nothing that could be executed."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

_MAGIC = b"search checkpoint 1\n"
_DIGEST_BYTES, _LENGTH_BYTES = 32, 8


@dataclass(frozen=True)
class TrainingState:
    """A trial's training at the end of an epoch.

    Args:
        epoch: Whole epochs that are done, over phases and folds.
        arrays: Weights, the optimizer's variables and the states of random generators, by name.
        state: What else is needed to go on; JSON.
    """

    epoch: int
    arrays: Mapping[str, np.ndarray]
    state: Mapping[str, Any]


class UnreadableError(Exception):
    """Bytes are not a whole checkpoint, or not one of this trial."""


def encode(snapshot: TrainingState, fingerprint: str, study: str = "") -> Sequence[bytes | memoryview]:
    """The bytes of a checkpoint, in pieces to be written one after the other.

    Args:
        snapshot: What to keep.
        fingerprint: Of what is trained.
        study: Identity of the study.
    """
    arrays = {name: np.asarray(array) for name, array in snapshot.arrays.items()}
    head = json.dumps(
        {
            "study": study,
            "fingerprint": _digest_of(fingerprint),
            "epoch": snapshot.epoch,
            "state": snapshot.state,
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
    """The snapshot of a checkpoint.

    Args:
        content: All its bytes.
        fingerprint: Of what is to be trained.
        study: Identity of the study.

    Raises:
        UnreadableError: They are not whole, or another study's or training's.
    """
    if not content.startswith(_MAGIC):
        raise UnreadableError("it is no checkpoint of this version")
    digest, body = _split(memoryview(content)[len(_MAGIC) :], _DIGEST_BYTES)
    if hashlib.sha256(body).digest() != digest:
        raise UnreadableError("it is torn: its check sum is another")
    length, rest = _split(body, _LENGTH_BYTES)
    head, data = _split(rest, int.from_bytes(length, "little"))
    try:
        described = json.loads(bytes(head))
        if described["study"] != study:
            raise UnreadableError("it is of another study")
        if described["fingerprint"] != _digest_of(fingerprint):
            raise UnreadableError("it is of another recipe, or was made with another version of Keras")
        arrays = _arrays(described["arrays"], data)
        return TrainingState(int(described["epoch"]), arrays, dict(described["state"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableError(f"it makes no sense: {error}") from error


def _arrays(described: Sequence[tuple[str, str, Sequence[int]]], data: memoryview) -> dict[str, np.ndarray]:
    arrays, start = {}, 0
    for name, kind, shape in described:
        dtype = np.dtype(kind)
        if dtype.hasobject:
            raise UnreadableError("it holds Python objects")
        count = math.prod(shape)
        found = np.frombuffer(data, np.uint8, count * dtype.itemsize, start)
        # Copied, so that no array lies across the bounds its type wants.
        arrays[name] = found.copy().view(dtype).reshape(shape)
        start += found.nbytes
    return arrays


def _bytes_of(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _split(content: memoryview, at: int) -> tuple[memoryview, memoryview]:
    return content[:at], content[at:]


def _digest_of(fingerprint: str) -> str:
    """Of what is trained and of what trains it: another Keras may order its variables otherwise."""
    return hashlib.sha256(f"keras {metadata.version('keras')}\n{fingerprint}".encode()).hexdigest()
