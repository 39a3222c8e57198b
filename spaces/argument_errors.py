"""Constructor errors in the user's terms: arguments that are unknown, missing, given twice or too many."""

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from spaces.errors import SpaceError
from spaces.scalars import short_repr

T = TypeVar("T")

# Keras passes these to its optimizers, layers or `fit`; here they are fields of the space.
OF_THE_SPACE = ("batch_size", "dropout", "epochs", "learning_rate", "metric", "patience")


def checked_arguments(cls: type[T]) -> type[T]:
    """Decorate a class to raise `SpaceError` for arguments that its constructor does not take."""
    construct: Callable[..., None] = cls.__init__

    @functools.wraps(construct)
    def __init__(self: T, *args: Any, **keywords: Any) -> None:
        try:
            _signature(construct).bind(self, *args, **keywords)
        except TypeError:
            raise SpaceError(_problem(cls.__name__, _signature(construct), args, keywords)) from None
        construct(self, *args, **keywords)

    cls.__init__ = __init__  # type: ignore[method-assign, assignment]
    return cls


_signature = functools.cache(inspect.signature)


def _problem(record: str, signature: inspect.Signature, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> str:
    fields = [field for field in signature.parameters.values() if field.name != "self"]
    names = [field.name for field in fields]
    ordered = [field.name for field in fields if field.kind is field.POSITIONAL_OR_KEYWORD]
    if len(args) > len(ordered):
        taken, values = ", ".join(ordered) or "nothing", ", ".join(map(short_repr, args))
        hint = f"\nhint: pass the others by name, as in {names[-1]}=..."
        return f"{record}(...): got {values} by position, expected {taken}{hint}"
    given = {*ordered[: len(args)], *keywords}
    for name in keywords:
        if name not in names:
            return f"{record}({name}=...): no such field\nhint: {_suggestion(name, names)}"
        if name in ordered[: len(args)]:
            return f"{record}({name}=...): given twice"
    missing = [field.name for field in fields if field.default is field.empty and field.name not in given]
    return f"{record}(...): missing {' and '.join(missing)}\nhint: write {record}({missing[0]}=...)"


def _suggestion(name: str, names: list[str]) -> str:
    if nearest := difflib.get_close_matches(name, names, n=1):
        return f"did you mean {nearest[0]}?"
    if name in OF_THE_SPACE:
        return f"set it on the space: Space(..., {name}=...)"
    return f"the fields are {', '.join(names)}"
