"""Finds where a function reads the original value of an argument, rather than one that it assigned later."""

import ast
from collections.abc import Iterator, Sequence

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def loads_of(tree: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> list[ast.Name]:
    """Return the nodes at which a function may read the argument of that name.

    Every loop runs at least once, and either of two branches may run.
    """
    walk = _Walk(name)
    walk.block(tree.body, True)
    return walk.loads


class _Walk:
    """Follow one name through statements, in order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.loads: list[ast.Name] = []

    def block(self, statements: Sequence[ast.stmt], is_argument: bool) -> bool:
        """Follow statements; return True if the name may still be the argument after them."""
        for statement in statements:
            is_argument = self._statement(statement, is_argument)
        return is_argument

    def _statement(self, statement: ast.stmt, is_argument: bool) -> bool:
        match statement:
            case ast.If():
                self._read(statement.test, is_argument)
                first = self.block(statement.body, is_argument)
                return self.block(statement.orelse, is_argument) or first
            case ast.For() | ast.AsyncFor():
                self._read(statement.iter, is_argument)
                after = self.block(statement.body, is_argument and not self._is_set(statement.target))
                return self.block(statement.orelse, after)
            case ast.While():
                self._read(statement.test, is_argument)
                return self.block(statement.orelse, self.block(statement.body, is_argument))
            case ast.With() | ast.AsyncWith():
                for item in statement.items:
                    self._read(item.context_expr, is_argument)
                    is_argument = is_argument and not (item.optional_vars and self._is_set(item.optional_vars))
                return self.block(statement.body, is_argument)
            case ast.Try() | ast.TryStar():
                after = self.block(statement.orelse, self.block(statement.body, is_argument))
                handled = [self.block(each.body, is_argument) for each in statement.handlers]
                return self.block(statement.finalbody, after or any(handled))
        self._read(statement, is_argument)
        if isinstance(statement, ast.Match):
            return is_argument
        is_inner = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        return is_argument and (is_inner or not self._is_set(statement))

    def _read(self, node: ast.AST, is_argument: bool) -> None:
        if is_argument:
            self.loads += [each for each in self._names(node) if isinstance(each.ctx, ast.Load)]

    def _is_set(self, node: ast.AST) -> bool:
        return any(not isinstance(each.ctx, ast.Load) for each in self._names(node))

    def _names(self, node: ast.AST) -> Iterator[ast.Name]:
        if isinstance(node, ast.Name) and node.id == self._name:
            yield node
        if not self._rebinds(node):
            for child in ast.iter_child_nodes(node):
                yield from self._names(child)
        elif isinstance(node, _COMPREHENSIONS):
            yield from self._names(node.generators[0].iter)

    def _rebinds(self, node: ast.AST) -> bool:
        """Return True if an inner function or a comprehension binds the name again."""
        if isinstance(node, _FUNCTIONS):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            return any(each.arg == self._name for each in arguments)
        if isinstance(node, _COMPREHENSIONS):
            targets = [each.target for each in node.generators]
            return any(isinstance(each, ast.Name) and each.id == self._name for each in targets)
        return False
