"""Which module may import which: the structure of the project, held by its source."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "spaces" / "examples"
SLOW = {"keras", "optuna", "tensorflow", "sklearn", "jax", "matplotlib"}
IMPORTED_BY = {
    "tensorflow": r".*\.tensorflow_\w+$",
    "matplotlib": r"studies\.export\.plots\b",
    "optuna": r"(?!studies\.(backend|images|data|models|features|checkpoints|training)\.)",
}
"""The modules that may import a package."""
LAYERS = [
    re.findall(r"`([\w/]+)`", row.split("|")[1])
    for row in (ROOT / "docs" / "architecture.md").read_text().splitlines()
    if row.startswith("| `")
]
"""The rows of the table in `docs/architecture.md`: a folder with a slash at its end, or files."""


def name_of(file: Path) -> str:
    """The dotted name of a module."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = [file for package in ("spaces", "studies", "search") for file in sorted((ROOT / package).rglob("*.py"))]
MODULES = {name_of(file): file for file in FILES}
OWN = {name: file for name, file in MODULES.items() if file.parent != EXAMPLES}
"""The modules of the program; an example is a user's file."""


def imports(module: str, *, at_import: bool = False) -> Iterator[tuple[int, str]]:
    """The line and the dotted name of each module that one imports anywhere, or only while it is itself imported."""
    tree = ast.parse(MODULES[module].read_text())
    for node in executed(tree) if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((node.lineno, name if name in MODULES else node.module) for name in full)


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not is_for_types and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from executed(node)


def packages(module: str, *, at_import: bool = False) -> set[str]:
    """The top packages that a module imports."""
    return {name.split(".")[0] for _, name in imports(module, at_import=at_import)}


@cache
def loaded_with(module: str) -> frozenset[str]:
    """The packages that importing one of our modules imports, also through others of ours."""
    assert module in MODULES, module
    seen, waiting, found = set(), [module], set()
    while waiting:
        current = waiting.pop()
        if current in MODULES and current not in seen:
            seen.add(current)
            found |= packages(current, at_import=True)
            waiting += [name for _, name in imports(current, at_import=True)] + [current.rpartition(".")[0]]
    return frozenset(found)


def layer_of(module: str) -> int:
    """The row of a module."""
    path = MODULES[module].relative_to(ROOT).with_suffix("").as_posix()
    rows = [
        row
        for row, names in enumerate(LAYERS)
        if any(path == name or (name.endswith("/") and path.startswith(name)) for name in names)
    ]
    assert len(rows) == 1, f"{path} has {len(rows)} places in docs/architecture.md"
    return rows[0]


@pytest.mark.parametrize("module", OWN)
def test_imports_follow_the_order_of_the_folders(module):
    """A file imports its own row of the table in `docs/architecture.md` and those above it."""
    wrong = [
        f"{module}:{line} imports {name}, which comes later"
        for line, name in imports(module)
        if name in OWN and layer_of(name) > layer_of(module)
    ]
    assert wrong == []


def test_no_files_import_each_other_in_a_circle():
    """Each file can be understood after those that it imports."""
    graph = {module: {name for _, name in imports(module) if name in OWN} - {module} for module in OWN}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize("folder", ["studies", "search"])
def test_at_most_eight_files_are_directly_in_a_package(folder):
    """All others are in a folder whose name says what they have in common."""
    files = {file.name for file in (ROOT / folder).glob("*.py")} - {"__init__.py", "__main__.py"}
    assert len(files) <= 8


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("spaces")])
def test_spaces_needs_the_standard_library_only(module):
    """A space can be read, shown and compared where nothing is installed; a model of an example's own needs Keras."""
    own = {*sys.stdlib_module_names, "spaces", *(["studies"] if module not in OWN else [])}
    assert packages(module, at_import=True) <= own
    assert packages(module) <= own | ({"keras"} if module not in OWN else set())


def test_importing_spaces_brings_in_nothing_slow():
    """Importing `spaces` takes milliseconds: nothing but the standard library is loaded with it."""
    code = (
        "import sys; import spaces, spaces.loading, spaces.table\n"
        "print(*{name.split('.')[0] for name in sys.modules} - {*sys.stdlib_module_names, 'spaces', '__main__'})"
    )
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


@pytest.mark.parametrize("package", IMPORTED_BY)
def test_packages_are_imported_only_in_their_place(package):
    """TensorFlow in files named after it, matplotlib for plots; models, data and training know nothing of Optuna."""
    wrong = [name for name in MODULES if package in packages(name) and not re.match(IMPORTED_BY[package], name)]
    assert wrong == []


KERAS = {"keras", "tensorflow", "jax"}


@pytest.mark.parametrize(
    ("module", "not_loaded"),
    [
        ("studies.database.connection", KERAS),
        ("studies.workers.worker", KERAS),
        ("studies.status.trial_table", KERAS),
        ("search.launch.supervised_run", KERAS),
        *((module, SLOW) for module in ("search.cli", "studies", "spaces")),
    ],
)
def test_modules_load_nothing_slow(module, not_loaded):
    """Reading a study or starting workers initialises no device, and `search --help` answers at once."""
    assert not loaded_with(module) & not_loaded
