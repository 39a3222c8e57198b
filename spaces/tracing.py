"""Traces the user's code from a function or object through the functions, classes and values that it reads."""

import dataclasses
import enum
import functools
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from spaces.contents import KEPT_BY_NAME, elements, literal
from spaces.members import captured_by, functions_of, is_generated
from spaces.syntax import (
    chains_of,
    file_tree,
    function_node,
    global_names,
    imported_modules,
    normalized_source,
    outside_reads,
)
from spaces.user_code import is_users_class, is_users_file, is_users_module, module_file, prefix

_MISSING = object()
_MADE_BY_PYTHON = {"_abc_impl", "__slots__"}


@dataclass(frozen=True)
class Traced:
    """The trace of a function or object.

    Args:
        name: Its name.
        source: Its content as text.
        uses: The content of all the user's code and values that it reaches, by name.
        places: File and line of those in files, by name; they do not enter the fingerprint.
        untraced: Descriptions of what it reads that cannot be traced.
    """

    name: str
    source: str
    uses: Mapping[str, str]
    places: Mapping[str, str]
    untraced: tuple[str, ...]


def trace(value: Any) -> Traced:
    """Trace a function, an object or any other callable."""
    tracer = _Tracer()
    source = tracer.value(value, name_of(value))
    if source in tracer.parts:
        source = tracer.parts.pop(source)
    uses = dict(sorted(tracer.parts.items()))
    return Traced(name_of(value), source, uses, tracer.places, tuple(tracer.untraced))


def name_of(value: Any) -> str:
    """Return the name of a function, of the function that a partial calls, or of an object's class."""
    while isinstance(value, functools.partial):
        value = value.func
    return str(getattr(value, "__qualname__", type(value).__qualname__))


@dataclass
class _Tracer:
    parts: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    untraced: dict[str, None] = field(default_factory=dict)
    _seen: dict[int, tuple[Any, str]] = field(default_factory=dict)

    def value(self, value: Any, where: str) -> str:
        """Return the content of a value as text; the user's functions and classes become separate parts.

        A value that cannot be traced is noted as `where`.
        """
        if (text := literal(value)) is not None:
            return text
        if id(value) in self._seen:
            return self._seen[id(value)][1]
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, ModuleType):
            return self._module(value)
        # An object that contains itself is represented by the order in which it was found.
        self._seen[id(value)] = (value, f"<{type(value).__qualname__} {len(self._seen)}>")
        return self._object(value, where)

    def _object(self, value: Any, where: str) -> str:
        kind = type(value).__qualname__
        if isinstance(value, MethodType):
            return f"{self.value(value.__func__, where)} of {self.value(value.__self__, where)}"
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, value.keywords)
            return f"partial({', '.join(self.value(each, where) for each in parts)})"
        if (items := elements(value)) is not None:
            texts = [f"{self.value(key, where)}: {self.value(item, where)}" for key, item in items]
            return f"{kind}({', '.join(texts if isinstance(value, list | tuple) else sorted(texts))})"
        if isinstance(value, KEPT_BY_NAME):
            return str(getattr(value, "__qualname__", kind))
        if (inner := getattr(value, "python_function", getattr(value, "__wrapped__", None))) is not None:
            return f"{kind}({self.value(inner, where)})"
        if is_users_class(type(value)):
            return self._instance(value)
        if dataclasses.is_dataclass(value):
            return f"{kind}({self._attributes(_fields(value), where)})"
        if callable(config := getattr(value, "get_config", None)):
            return f"{kind}({self._config(config, where)})"
        self.untraced.setdefault(f"{where} ({type(value).__module__.split('.')[0]}.{kind})")
        return kind

    def _config(self, get_config: Any, where: str) -> str:
        """Return the content of an object of Keras or KerasTuner, without its numbered name."""
        try:
            config = get_config()
        except (NotImplementedError, TypeError, ValueError, AttributeError):
            self.untraced.setdefault(where)
            return ""
        named = {"name", "layers", "module", "registered_name"}
        known = {key: item for key, item in config.items() if key not in named} if isinstance(config, dict) else config
        return self.value(known, where)

    def _instance(self, value: Any) -> str:
        """Return the class of one of the user's objects; its attributes become separate parts."""
        kind = self._class(type(value))
        held = dict(getattr(value, "__dict__", {}))
        for each in type(value).__mro__:
            slots = vars(each).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if (item := getattr(value, name, _MISSING)) is not _MISSING and not name.startswith("__"):
                    held[name] = item
        if not has_code(value):
            return f"{kind}({self._attributes(held, kind)})"
        for name, item in sorted(held.items()):
            self._part(f"{kind}.{name}", lambda where, item=item: self.value(item, where))
        return f"{kind}()"

    def _attributes(self, held: Mapping[str, Any], where: str) -> str:
        return ", ".join(f"{name}={self.value(item, f'{where}.{name}')}" for name, item in sorted(held.items()))

    def _part(self, label: str, meaning: Any) -> str:
        """Add a separate part; returns its label, which is unique."""
        while label in self.parts:
            label += "'"
        self.parts[label] = ""
        self.parts[label] = meaning(label)
        return label

    def _function(self, function: FunctionType) -> str:
        code = function.__code__
        if not is_users_file(code.co_filename):
            return function.__qualname__
        label = f"{prefix(function.__module__)}{function.__qualname__}()"
        while label in self.parts:
            label += "'"
        self._seen[id(function)] = (function, label)
        return self._part(label, lambda label: self._of_function(function, label))

    def _of_function(self, function: FunctionType, label: str) -> str:
        code, node = function.__code__, function_node(function.__code__)
        self.places[label] = f"{Path(code.co_filename).name}, line {code.co_firstlineno}"
        captured = captured_by(function)
        texts = [_code(code) if node is None else normalized_source(node)]
        texts += [f"{name}={self.value(item, f'{label} {name}')}" for name, item in captured.items()]
        chains = {} if node is None else chains_of(node)
        for name in sorted(global_names(code)):
            if (found := function.__globals__.get(name, _MISSING)) is not _MISSING:
                texts += self._global(function.__module__, name, found, chains.get(name, {()}))
        if node is not None:
            package = str(function.__globals__.get("__package__") or "")
            self._imports(imported_modules(node, package))
            for what, line in outside_reads(node):
                self.untraced.setdefault(f"{what} in {label} ({Path(code.co_filename).name}, line {line})")
        return "\n".join(texts)

    def _global(self, module: str, name: str, value: Any, chains: Iterable[tuple[str, ...]]) -> list[str]:
        """Trace a global name of a module; returns the text for the code that reads it."""
        if isinstance(value, ModuleType):
            return [text for chain in sorted(chains) for text in self._chain(value, chain)]
        if isinstance(value, type | FunctionType):
            return [f"{name}={self.value(value, name)}"]
        label = f"{prefix(module)}{name}"
        if label not in self.parts and not isinstance(value, KEPT_BY_NAME):
            self._part(label, lambda where: self.value(value, where))
        return [f"{name}={label}"]

    def _chain(self, module: ModuleType, chain: tuple[str, ...]) -> list[str]:
        """Trace the attribute of a module that is read, such as `block` in `helpers.block`."""
        if not is_users_module(module):
            return []
        if not chain:
            return [self._module(module)]
        found = vars(module).get(chain[0], _MISSING)
        if found is _MISSING:
            self.untraced.setdefault(f"{module.__name__}.{chain[0]}")
            return []
        if isinstance(found, ModuleType):
            return self._chain(found, chain[1:])
        return self._global(module.__name__, chain[0], found, ())

    def _module(self, module: ModuleType) -> str:
        """Trace a whole module, if it is unknown which of its attributes are read."""
        if is_users_module(module) and module.__file__:
            self._file(module.__name__, module.__file__)
        return module.__name__

    def _imports(self, names: Iterable[str]) -> None:
        for name in names:
            if (file := module_file(name)) is not None:
                self._file(name, file)

    def _file(self, name: str, file: str) -> None:
        """Trace one of the user's files as a whole, and its imports."""
        label = f"module {name}"
        tree = file_tree(file)
        if label in self.parts or tree is None:
            return
        self.places[label] = Path(file).name
        self.parts[label] = normalized_source(tree)
        package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
        self._imports(imported_modules(tree, package))

    def _class(self, kind: type) -> str:
        if not is_users_class(kind):
            return kind.__qualname__
        label = f"{prefix(kind.__module__)}{kind.__qualname__}"
        while label in self.parts:
            label += "'"
        self._seen[id(kind)] = (kind, label)
        return self._part(label, lambda label: self._of_class(kind, label))

    def _of_class(self, kind: type, label: str) -> str:
        texts = [self._class_base(base) for base in kind.__bases__ if base is not object]
        if issubclass(kind, enum.Enum):
            members = {name: member.value for name, member in kind.__members__.items()}
            return f"{texts}{self._attributes(members, label)}"
        if dataclasses.is_dataclass(kind):
            texts += [f"{each.name}={self.value(_default(each), label)}" for each in dataclasses.fields(kind)]
        for name, member in sorted(vars(kind).items()):
            if (functions := functions_of(member)) is not None:
                texts += [f"{name}={self.value(each, label)}" for each in functions if not is_generated(each)]
            elif not name.startswith("__") and name not in _MADE_BY_PYTHON and not inspect.isdatadescriptor(member):
                self._part(f"{label}.{name}", lambda where, member=member: self.value(member, where))
        return "\n".join(texts)

    def _class_base(self, base: type) -> str:
        return self._seen[id(base)][1] if id(base) in self._seen else self._class(base)


def has_code(value: Any) -> bool:
    """Return True for a function, a callable object, or an object with a method `build`, such as a hypermodel."""
    return callable(value) or callable(getattr(value, "build", None))


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name, None) for each in dataclasses.fields(value)}


def _default(each: Any) -> Any:
    return each.default if each.default is not dataclasses.MISSING else each.default_factory


def _code(code: CodeType) -> str:
    """Return the code of a function without source as text."""
    consts = [_code(const) if isinstance(const, CodeType) else literal(const) or "" for const in code.co_consts]
    return repr((code.co_code, consts, code.co_names, code.co_varnames))
