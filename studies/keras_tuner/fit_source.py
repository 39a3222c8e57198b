"""Inspects the source of a hypermodel's `fit` before it is called: whether it trains its model, reports and returns.

It reports only what is certain: a source that cannot be read, or that is ambiguous, is accepted.
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

MAX_CALL_DEPTH = 4
"""Maximum depth of function calls through which a model is followed."""

READ_ONLY_ATTRIBUTES = frozenset(
    {
        *("build_config", "built", "compile", "compiled", "count_params", "dtype", "evaluate"),
        *("get_compile_config", "get_config", "get_metrics_result", "get_weights", "input_shape", "loss"),
        *("metrics", "metrics_names", "name", "optimizer", "output_shape", "predict", "predict_on_batch"),
        *("reset_metrics", "save", "summary", "test_on_batch", "to_json", "__class__"),
    }
)
"""Attributes of a model that leave its weights unchanged."""

READ_ONLY_FUNCTIONS = frozenset(
    {
        *("clone_model", "copy", "deepcopy", "hasattr", "id", "isinstance", "len", "plot_model", "print"),
        *("repr", "str", "type"),
    }
)
"""Functions that leave the weights of a model unchanged."""

_LOSS = re.compile(r"^(?!.*(acc|score|metric)).*loss(es)?(?![a-z])")
"""A name for a loss such as `best_loss` or `valloss`, but not `lossless` or `loss_and_accuracy`."""


@dataclass(frozen=True)
class FitSource:
    """Source of a hypermodel's `fit`.

    Args:
        fit: The bound method, or a function that replaces it.
        tree: Syntax tree of the source.
    """

    fit: Callable[..., Any]
    tree: Function

    @property
    def may_train_its_model(self) -> bool:
        """Return False if `fit` certainly never trains its model, nor sets the model's weights."""
        arguments = _positional_names(self.fit, self.tree)
        if len(arguments) < 2:
            return True
        return _may_train(self.fit, self.tree, arguments[1], MAX_CALL_DEPTH)

    @property
    def may_report(self) -> bool:
        """Return False if `fit` certainly never uses its callbacks."""
        names = {argument.arg for argument in _all_arguments(self.tree)}
        if "callbacks" in names:
            return _is_loaded(self.tree, "callbacks")
        rest = self.tree.args.kwarg
        return rest is not None and any(_may_hold_callbacks(use) for use in _uses(self.tree, rest.arg))

    @property
    def keywords_set(self) -> set[str]:
        """Return the arguments that `fit` sets in calls to which it also passes its `**kwargs`."""
        rest = self.tree.args.kwarg
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        passing = [call for call in calls if rest and any(_is_name(each.value, rest.arg) for each in _unpacked(call))]
        return {each.arg for call in passing for each in call.keywords if each.arg}

    @property
    def dicts_returned(self) -> list[list[str]]:
        """Return the names in each dict that `fit` returns, for dicts whose names are all literals."""
        dicts = [value for value in self._returned if isinstance(value, ast.Dict)]
        names = [[getattr(key, "value", None) for key in each.keys] for each in dicts]
        return [list(map(str, each)) for each in names if all(isinstance(name, str) for name in each)]

    @property
    def _returned(self) -> list[ast.expr | None]:
        return [node.value for node in _own_nodes(self.tree) if isinstance(node, ast.Return)]

    @property
    def returns_a_loss(self) -> bool:
        """Return True if `fit` returns a number that it calls a loss."""
        return any(_is_loss(value) for value in self._returned)

    @property
    def returns_an_error_rate(self) -> bool:
        """Return True if `fit` returns a negated accuracy, or 1 minus an accuracy."""
        return any(_is_error_rate(value) for value in self._returned)

    @property
    def returns_evaluation(self) -> bool:
        """Return True if `fit` returns the result of `model.evaluate`: the loss, or the loss and the metrics."""
        return any(
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "evaluate"
            and not any(each.arg in ("return_dict", None) for each in call.keywords)
            for call in self._returned
        )

    @property
    def training_call(self) -> str:
        """Return the line that trains the model with the arguments of `fit`."""
        positional = _positional_names(self.fit, self.tree)
        names = [name for name in positional[2:] if name in ("x", "y") or len(name) == 1]
        arguments = self.tree.args
        given = [*names, *([f"*{arguments.vararg.arg}"] if arguments.vararg else [])] or ["x", "y"]
        if "callbacks" in {each.arg for each in _all_arguments(self.tree)} or not arguments.kwarg:
            given.append("callbacks=callbacks")
        if arguments.kwarg:
            given.append(f"**{arguments.kwarg.arg}")
        model = positional[1] if len(positional) > 1 else "model"
        return f"{model}.fit({', '.join(given)})"


def source_of(fit: Callable[..., Any]) -> FitSource | None:
    """Return the source of a `fit`; None if it cannot be read."""
    tree = _parse(fit)
    return None if tree is None else FitSource(fit, tree)


def _parse(function: Any) -> Function | None:
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, SyntaxError, TypeError, ValueError):
        return None
    return body[0] if body and isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef) else None


def _all_arguments(tree: Function) -> list[ast.arg]:
    return [*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs]


def _positional_names(function: Any, tree: Function) -> list[str]:
    """Return the names of the positional arguments, without `self`."""
    names = [argument.arg for argument in (*tree.args.posonlyargs, *tree.args.args)]
    return names[1:] if inspect.ismethod(function) else names


def _may_train(function: Any, tree: Function, name: str, depth: int) -> bool:
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    return any(_trains(function, tree, load, parents, depth) for load in loads_of(tree, name))


def _trains(function: Any, tree: Function, load: ast.Name, parents: dict[ast.AST, ast.AST], depth: int) -> bool:
    """Return False if this use of the model certainly leaves its weights unchanged."""
    above = parents[load]
    if isinstance(above, ast.Attribute):
        return above.attr not in READ_ONLY_ATTRIBUTES
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
    return called not in READ_ONLY_FUNCTIONS and _trains_within(function, tree, call, place, depth)


def _trains_within(function: Any, tree: Function, call: ast.Call, place: int | str | None, depth: int) -> bool:
    """Return False if the user's function that receives the model certainly never trains it."""
    own = _own_function(function, tree, call.func)
    inner = _parse(own) if own is not None and depth else None
    if own is None or inner is None:
        return True
    if isinstance(place, int):
        names = _positional_names(own, inner)
        starred = any(isinstance(each, ast.Starred) for each in call.args[:place])
        name = names[place] if place < len(names) and not starred else None
    else:
        name = place if place in {each.arg for each in _all_arguments(inner)} else None
    return name is None or _may_train(own, inner, name, depth - 1)


def _own_function(function: Any, tree: Function, called: ast.expr) -> Any:
    """Return the user's function in a call, if it is a method of the same object or a function of the module."""
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


def _unpacked(call: ast.Call) -> list[ast.keyword]:
    return [each for each in call.keywords if each.arg is None]


def _is_loaded(tree: Function, name: str) -> bool:
    return any(_is_name(node, name) and isinstance(node.ctx, ast.Load) for node in ast.walk(tree))  # type: ignore[attr-defined]


def _uses(tree: Function, name: str) -> Iterator[ast.AST]:
    """Yield the parent node of each use of a name."""
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if _is_name(child, name):
                yield node


def _may_hold_callbacks(use: ast.AST) -> bool:
    """Return False for a use of `kwargs` that reads something else from it."""
    if isinstance(use, ast.Subscript) and isinstance(use.slice, ast.Constant):
        return use.slice.value == "callbacks"
    return not isinstance(use, ast.Compare)


def _is_loss(value: ast.AST | None) -> bool:
    """Return True for a name such as `best_loss`, or a call of a function such as `float` or `mean` on one."""
    if isinstance(value, ast.Call) and len(value.args) == 1:
        called = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return called in ("float", "mean", "min", "average") and _is_loss(value.args[0])
    name = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
    return bool(_LOSS.search(str(name).lower()))


def _is_error_rate(value: ast.AST | None) -> bool:
    """Return True for `1 - accuracy` or `-accuracy`, judged by the names and strings in the expression."""
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
    """Yield the nodes of a function, without those of functions inside it."""
    for child in ast.iter_child_nodes(tree):
        yield from _walk(child)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)
