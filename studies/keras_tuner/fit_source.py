"""What the source of a hypermodel's `fit` shows before it is called: whether it trains its model, reports and returns.

Only what is certain is told: a source that cannot be read, or that leaves something open, counts as a good one.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from studies.keras_tuner.live_names import loads_of

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

MOST_CALLS = 4
"""How deep a model is followed from function to function."""

LOOKING = frozenset(
    {
        *("build_config", "built", "compile", "compiled", "count_params", "dtype", "evaluate", "get_compile_config"),
        *("get_config", "get_metrics_result", "get_weights", "input_shape", "loss", "metrics", "metrics_names", "name"),
        *(
            "optimizer",
            "output_shape",
            "predict",
            "predict_on_batch",
            "reset_metrics",
            "save",
            "summary",
            "test_on_batch",
        ),
        *("to_json", "__class__"),
    }
)
"""Attributes of a model that do not change its weights."""

COPYING = frozenset(
    {
        *(
            "clone_model",
            "copy",
            "deepcopy",
            "hasattr",
            "id",
            "isinstance",
            "len",
            "plot_model",
            "print",
            "repr",
            "str",
        ),
        "type",
    }
)
"""Functions that do not change the weights of a model that they are given."""

_LOSS = re.compile(r"^(?!.*(acc|score|metric)).*loss(es)?(?![a-z])")
"""A name for a loss such as `best_loss` or `valloss`, but not `lossless` or `loss_and_accuracy`."""


@dataclass(frozen=True)
class FitSource:
    """A hypermodel's `fit`, bound, and its source.

    Args:
        fit: The bound method, or a function that replaces it.
        tree: Its source.
    """

    fit: Callable[..., Any]
    tree: Function

    @property
    def may_train_its_model(self) -> bool:
        """Return False if it certainly never trains the model that it is given, nor sets its weights."""
        arguments = _positional(self.fit, self.tree)
        if len(arguments) < 2:
            return True
        return _may_train(self.fit, self.tree, arguments[1], MOST_CALLS)

    @property
    def may_report(self) -> bool:
        """Return False if it certainly never uses the callbacks that it is given."""
        names = {argument.arg for argument in _all_arguments(self.tree)}
        if "callbacks" in names:
            return _is_loaded(self.tree, "callbacks")
        rest = self.tree.args.kwarg
        return rest is not None and any(_may_hold_callbacks(use) for use in _uses(self.tree, rest.arg))

    @property
    def keywords_set(self) -> set[str]:
        """Arguments that it sets itself in a call that it also passes its `**kwargs` to."""
        rest = self.tree.args.kwarg
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        passing = [call for call in calls if rest and any(_is_name(each.value, rest.arg) for each in _starred(call))]
        return {each.arg for call in passing for each in call.keywords if each.arg}

    @property
    def dicts_returned(self) -> list[list[str]]:
        """The names in each dict that it returns, where all of them can be seen."""
        found = []
        for node in _own_nodes(self.tree):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
                keys = [key.value if isinstance(key, ast.Constant) else None for key in node.value.keys]
                if all(isinstance(key, str) for key in keys):
                    found.append([str(key) for key in keys])
        return found

    @property
    def returns_a_loss(self) -> bool:
        """Return True if it returns a number that it calls a loss."""
        returned = [node.value for node in _own_nodes(self.tree) if isinstance(node, ast.Return)]
        return any(_is_loss(value) for value in returned)

    @property
    def returns_an_error_rate(self) -> bool:
        """Return True if it returns an accuracy with its sign changed, or what an accuracy lacks to 1."""
        returned = [node.value for node in _own_nodes(self.tree) if isinstance(node, ast.Return)]
        return any(_is_error_rate(value) for value in returned)

    @property
    def returns_evaluation(self) -> bool:
        """Return True if it returns what `model.evaluate` gives: the loss, or a list of it and the metrics."""
        calls = [node.value for node in _own_nodes(self.tree) if isinstance(node, ast.Return)]
        return any(
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "evaluate"
            and not any(each.arg in ("return_dict", None) for each in call.keywords)
            for call in calls
        )

    @property
    def training_call(self) -> str:
        """The line that trains its model with the arguments that it is given."""
        names = [name for name in _positional(self.fit, self.tree)[2:] if name in ("x", "y") or len(name) == 1]
        arguments = self.tree.args
        given = [*names, *([f"*{arguments.vararg.arg}"] if arguments.vararg else [])] or ["x", "y"]
        if "callbacks" in {each.arg for each in _all_arguments(self.tree)} or not arguments.kwarg:
            given.append("callbacks=callbacks")
        if arguments.kwarg:
            given.append(f"**{arguments.kwarg.arg}")
        positional = _positional(self.fit, self.tree)
        model = positional[1] if len(positional) > 1 else "model"
        return f"{model}.fit({', '.join(given)})"


def source_of(fit: Callable[..., Any]) -> FitSource | None:
    """The source of a `fit`, where it can be read."""
    tree = _parsed(fit)
    return None if tree is None else FitSource(fit, tree)


def _parsed(function: Any) -> Function | None:
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, SyntaxError, TypeError, ValueError):
        return None
    return body[0] if body and isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef) else None


def _all_arguments(tree: Function) -> list[ast.arg]:
    return [*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs]


def _positional(function: Any, tree: Function) -> list[str]:
    """Names of the positional arguments, without that of the instance."""
    names = [argument.arg for argument in (*tree.args.posonlyargs, *tree.args.args)]
    return names[1:] if inspect.ismethod(function) else names


def _may_train(function: Any, tree: Function, name: str, depth: int) -> bool:
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    return any(_trains(function, tree, load, parents, depth) for load in loads_of(tree, name))


def _trains(function: Any, tree: Function, load: ast.Name, parents: dict[ast.AST, ast.AST], depth: int) -> bool:
    """Return False if this use of the model certainly leaves its weights as they are."""
    above = parents[load]
    if isinstance(above, ast.Attribute):
        return above.attr not in LOOKING
    if isinstance(above, ast.Compare):
        return False
    place: int | str | None
    if isinstance(above, ast.keyword):
        call, place = parents[above], above.arg
    elif isinstance(above, ast.Call) and load in above.args:
        call, place = above, above.args.index(load)
    else:
        return True
    if not isinstance(call, ast.Call):
        return True
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return called not in COPYING and _trains_within(function, tree, call, place, depth)


def _trains_within(function: Any, tree: Function, call: ast.Call, place: int | str | None, depth: int) -> bool:
    """Whether a function of the user's own that is given the model may train it."""
    own = _own_function(function, tree, call.func)
    inner = _parsed(own) if own is not None and depth else None
    if own is None or inner is None:
        return True
    if isinstance(place, int):
        names = _positional(own, inner)
        starred = any(isinstance(each, ast.Starred) for each in call.args[:place])
        name = names[place] if place < len(names) and not starred else None
    else:
        name = place if place in {each.arg for each in _all_arguments(inner)} else None
    return name is None or _may_train(own, inner, name, depth - 1)


def _own_function(function: Any, tree: Function, called: ast.expr) -> Any:
    """The function of the user's own that a call names: a method of the same object, or a function of the module."""
    if isinstance(called, ast.Attribute) and inspect.ismethod(function) and tree.args.args:
        owner = function.__self__
        if _is_name(called.value, tree.args.args[0].arg) and not isinstance(owner, type):
            found = getattr(owner, called.attr, None)
            return found if inspect.ismethod(found) else None
    if isinstance(called, ast.Name):
        found = getattr(inspect.unwrap(function), "__globals__", {}).get(called.id)
        return found if inspect.isfunction(found) else None
    return None


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _starred(call: ast.Call) -> list[ast.keyword]:
    return [each for each in call.keywords if each.arg is None]


def _is_loaded(tree: Function, name: str) -> bool:
    return any(_is_name(node, name) and isinstance(node.ctx, ast.Load) for node in ast.walk(tree))  # type: ignore[attr-defined]


def _uses(tree: Function, name: str) -> Iterator[ast.AST]:
    """What each use of a name is part of."""
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if _is_name(child, name):
                yield node


def _may_hold_callbacks(use: ast.AST) -> bool:
    """Return False for a use of `kwargs` that takes something else out of it."""
    if isinstance(use, ast.Subscript) and isinstance(use.slice, ast.Constant):
        return use.slice.value == "callbacks"
    return not isinstance(use, ast.Compare)


def _is_loss(value: ast.AST | None) -> bool:
    """Whether an expression is a name such as `best_loss`, or a call of a function such as `float` or `mean` on one."""
    if isinstance(value, ast.Call) and len(value.args) == 1:
        called = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return called in ("float", "mean", "min", "average") and _is_loss(value.args[0])
    name = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
    return bool(_LOSS.search(str(name).lower()))


def _is_error_rate(value: ast.AST | None) -> bool:
    """Whether an expression is `1 - accuracy` or `-accuracy`, as the names and texts in it say."""
    match value:
        case ast.BinOp(left=ast.Constant(value=1), op=ast.Sub(), right=subtracted):
            pass
        case ast.UnaryOp(op=ast.USub(), operand=subtracted):
            pass
        case _:
            return False
    words = [getattr(node, name, "") for node in ast.walk(subtracted) for name in ("id", "attr", "value")]
    return any(isinstance(word, str) and "acc" in word.lower() for word in words)


def _own_nodes(tree: Function) -> Iterator[ast.AST]:
    """The nodes of a function but for those of functions inside it."""
    for child in ast.iter_child_nodes(tree):
        yield from _walk(child)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)
