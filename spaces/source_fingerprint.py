"""Fingerprints of the user's code in a space, and what in it cannot be traced."""

from collections.abc import Iterator
from typing import Any

from spaces.choices import Choice
from spaces.contents import is_number, short_hash
from spaces.data import DATA
from spaces.records import Record
from spaces.tracing import Traced, has_code, trace

_KEPT: dict[int, tuple[Any, Traced]] = {}


def traced(value: Any) -> Traced:
    """Return the trace of a function or object: the one that `keep` recorded, else that of its present state."""
    kept = _KEPT.get(id(value))
    return kept[1] if kept else trace(value)


def keep(space: Any) -> None:
    """Record the present traces of the code of a space: building a network may change the objects that it reads."""
    for value in code_in(space):
        _KEPT[id(value)] = (value, trace(value))


def form_of(value: Any) -> dict[str, Any]:
    """Return the canonical form of a function or object: its name, and hashes of the whole and of each part it uses."""
    found = traced(value)
    everything = [found.source, *(f"{name} {text}" for name, text in found.uses.items())]
    form: dict[str, Any] = {"function": found.name, "source": short_hash("\n".join(everything))}
    uses = {name: text if is_number(text) else short_hash(text) for name, text in found.uses.items()}
    return {**form, "uses": uses} if uses else form


def code_in(space: Any, *, with_data: bool = True) -> Iterator[Any]:
    """Yield every function and object with code that a space holds."""
    if isinstance(space, Record):
        if with_data or not isinstance(space, DATA):
            for child, _ in space.children().values():
                yield from code_in(child, with_data=with_data)
    elif isinstance(space, Choice):
        for option in space.options:
            yield from code_in(option, with_data=with_data)
    elif has_code(space):
        yield space


def untraced(space: Any) -> list[str]:
    """Return what the code of a space reads that cannot be traced, but for data sources: their images are compared."""
    return list(dict.fromkeys(each for value in code_in(space, with_data=False) for each in traced(value).untraced))


def places(space: Any) -> dict[str, str]:
    """Return the file and line of the functions and modules that the code of a space uses, by name."""
    return {name: place for value in code_in(space) for name, place in traced(value).places.items()}
