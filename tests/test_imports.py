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
PACKAGES = ("spaces", "studies", "search")
WITHOUT_OPTUNA = ("backend", "images", "data", "models", "features", "checkpoints", "training")
SLOW = {"keras", "optuna", "tensorflow", "sklearn", "jax", "matplotlib"}
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
EXAMPLES = ROOT / "spaces" / "examples"


def name_of(file: Path) -> str:
    """The dotted name of a module."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(file: Path, *, at_import: bool = False) -> set[str]:
    """The dotted names that a file imports anywhere, or only while it is itself imported."""
    tree = ast.parse(file.read_text())
    nodes = executed(tree) if at_import else ast.walk(tree)
    return {name for node in nodes for name in names(node)}


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not is_for_types and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from executed(node)


def names(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set()


def tops(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


@cache
def loaded_with(module: str) -> frozenset[str]:
    """The packages that importing one of our modules imports, also through others of ours."""
    files = {name_of(file): file for file in FILES}
    assert module in files, module
    seen, waiting, others = set(), [module], set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in files:
            found = imported(files[current], at_import=True)
            others |= tops(found) - {*PACKAGES}
            waiting += [name for name in found if name in files]
        waiting += [current.rpartition(".")[0]] if "." in current else []
    return frozenset(others)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_go_in_one_direction(file):
    """`search` may import `studies`, and both `spaces`; never back. An example is a user's file."""
    allowed = PACKAGES[: PACKAGES.index(name_of(file).split(".")[0]) + 1]
    if file.parent != EXAMPLES:
        assert (tops(imported(file)) & {*PACKAGES}) <= {*allowed}


LAYERS = [
    re.findall(r"`([\w/]+)`", row.split("|")[1])
    for row in (ROOT / "docs" / "architecture.md").read_text().splitlines()
    if row.startswith("| `")
]
"""The rows of the table in `docs/architecture.md`: a folder with a slash at its end, or files."""


def layer_of(file: Path) -> int:
    """The row of a file."""
    path = file.relative_to(ROOT).with_suffix("").as_posix()
    rows = [
        row
        for row, names in enumerate(LAYERS)
        if any(path == name or (name.endswith("/") and path.startswith(name)) for name in names)
    ]
    assert len(rows) == 1, f"{path} has {len(rows)} places in docs/architecture.md"
    return rows[0]


def lines_of_imports(file: Path) -> list[tuple[int, Path]]:
    """The line and the file of every import of our own modules, lazy ones and those for type checkers too."""
    files = {name_of(file): file for file in FILES}
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in files:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(node.lineno, files.get(name, files[node.module])) for name in full]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, files[alias.name]) for alias in node.names if alias.name in files]
    return found


OWN = [file for file in FILES if file.parent != EXAMPLES]


@pytest.mark.parametrize("file", OWN, ids=name_of)
def test_imports_follow_the_order_of_the_folders(file):
    """A file imports its own row of the table in `docs/architecture.md` and those above it."""
    wrong = [
        f"{name_of(file)}:{line} imports {name_of(other)}, which comes later"
        for line, other in lines_of_imports(file)
        if other.parent != EXAMPLES and layer_of(other) > layer_of(file)
    ]
    assert wrong == []


def test_no_files_import_each_other_in_a_circle():
    """Each file can be understood after those that it imports."""
    graph = {file: {other for _, other in lines_of_imports(file)} - {file} for file in OWN}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(name_of(file) for file in error.args[1]))


@pytest.mark.parametrize("folder", ["studies", "search"])
def test_at_most_eight_files_stand_directly_in_a_package(folder):
    """All others are in a folder whose name says what they have in common."""
    files = {file.name for file in (ROOT / folder).glob("*.py")} - {"__init__.py", "__main__.py"}
    assert len(files) <= 8


@pytest.mark.parametrize("file", [file for file in FILES if file.is_relative_to(ROOT / "spaces")], ids=name_of)
def test_spaces_needs_the_standard_library_only(file):
    """A space can be read, shown and compared where nothing is installed; a model of an example's own needs Keras."""
    is_example = file.parent == EXAMPLES
    assert tops(imported(file, at_import=True)) <= {*sys.stdlib_module_names, "spaces", *(["studies"] * is_example)}
    assert tops(imported(file)) <= {*sys.stdlib_module_names, "spaces", *(["studies", "keras"] * is_example)}


def test_importing_spaces_brings_in_nothing_slow():
    """Importing `spaces` takes milliseconds: nothing but the standard library is loaded with it."""
    code = (
        "import sys; import spaces, spaces.loading, spaces.table\n"
        "print(*{name.split('.')[0] for name in sys.modules} - {*sys.stdlib_module_names, 'spaces', '__main__'})"
    )
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_tensorflow_is_imported_only_where_the_name_says_so(file):
    """Modules that import a backend are named after it."""
    assert "tensorflow" not in tops(imported(file)) or file.stem.startswith("tensorflow_")


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_pictures_are_drawn_in_one_place(file):
    """Only `studies.export.plots` imports matplotlib."""
    assert "matplotlib" not in tops(imported(file)) or name_of(file).startswith("studies.export.plots")


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_models_data_and_training_know_nothing_of_optuna(file):
    """Optuna and Keras meet in as few files as possible."""
    if name_of(file).startswith(tuple(f"studies.{folder}." for folder in WITHOUT_OPTUNA)):
        assert "optuna" not in tops(imported(file))


@pytest.mark.parametrize(
    "module",
    [
        "studies.database.connection",
        "studies.workers.worker",
        "studies.status.trial_table",
        "search.launch.supervised_run",
    ],
)
def test_storage_worker_and_results_do_not_load_keras(module):
    """Reading a study, or starting workers, initialises no device."""
    assert not loaded_with(module) & {"keras", "tensorflow", "jax"}


@pytest.mark.parametrize("module", ["search.cli", "studies", "spaces"])
def test_the_command_line_loads_nothing_slow(module):
    """`search --help` answers at once: what is slow is imported by the command that needs it."""
    assert not loaded_with(module) & SLOW
