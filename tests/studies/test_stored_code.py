"""A study's database may be written by others: what is read from it is text, and never run."""

import ast
import base64
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from studies import Study
from studies.database.optuna_tables import SYSTEM_ATTRIBUTES, TRIALS, USER_ATTRIBUTES
from studies.database.tables import STUDIES, WORKERS
from tests.support.fakes import joined, opened_tiny, run_tiny

ROOT = Path(__file__).parents[2]
FILES = sorted(file for package in ("spaces", "studies", "search") for file in (ROOT / package).rglob("*.py"))
RUNS_THE_USERS_OWN_FILE = {"spaces/loading.py"}
SPACE = """
from spaces import CNN, Digits, Space

space = Space(data=Digits(), backbone=CNN(filters=4, blocks=1), augment=None, batch_size=64, epochs=1)
"""
LOOKING = (["status"], ["status", "tiny"], ["workers", "tiny"], ["trials", "tiny", "--csv"], ["stop", "tiny"])
OTHERS = ("python", "template", "path", "record")
RUN = ["run", "mine.py", "--study", "tiny", "--quiet"]
# What is compiled, run, unpickled or started while a command runs, but for what Python and libraries do by themselves.
SPY = """
import json, sys

def spy(event, arguments):
    if event == "pickle.find_class" or event in ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen"):
        found = event != "subprocess.Popen" or "pwned" in repr(arguments)
    elif event == "compile":
        found = "pwned" in repr(arguments[0])
    elif event in ("import", "open"):
        found = "pwned" in str(arguments[0])
    else:
        found = False
    if found:
        sys.__stderr__.write(f"RUN {event} {arguments!r}\\n")

sys.addaudithook(spy)
from search.cli import app
for words in json.loads(sys.argv[1]):
    try:
        app(words, prog_name="search")
    except SystemExit as ended:
        if ended.code not in (0, 6):
            raise
"""


class Payload:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


POISON = {
    "python": "__import__('os').system('touch pwned')",
    "template": "{{ ''.__class__.__mro__[1].__subclasses__() }} pwned",
    "pickle": base64.b64encode(pickle.dumps(Payload())).decode(),
    "path": "file:///pwned.py",
    "record": {"py/object": "pwned.Payload", "function": "pwned", "__reduce__": ["os.system", "pwned"]},
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_modules_neither_evaluate_nor_unpickle(file):
    """Only one module runs code: the space file that the user names."""
    tree = ast.parse(file.read_text())
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    imported = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not re.search(r"\bmarshal\.loads?\b", file.read_text())
    assert not imported & {"pickle", "shelve", "dill", "cloudpickle", "joblib", "runpy", "yaml"}
    if str(file.relative_to(ROOT)) not in RUNS_THE_USERS_OWN_FILE:
        assert not called & {"eval", "exec", "compile", "__import__"}


@pytest.mark.parametrize(
    ("poison", "commands"),
    [
        pytest.param("pickle", LOOKING, id="look at pickle"),
        *(pytest.param(name, LOOKING, id=f"look at {name}", marks=pytest.mark.slow) for name in OTHERS),
        *(pytest.param(name, [RUN], id=f"run {name}", marks=pytest.mark.slow) for name in ("python", "pickle")),
    ],
)
def test_stored_text_is_never_executed(tmp_path, poison, commands):
    """Attributes, workers, logs and exports may hold anything; a worker reads the space from the space file."""
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    (tmp_path / "mine.py").write_text(SPACE)
    run_tiny(folder, Study(trials=2, pruner="none"))
    _poison(folder, POISON[poison])
    command = [sys.executable, "-c", SPY, json.dumps(commands)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEARCH_STORAGE": f"sqlite:///{folder / 'study.db'}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "RUN " not in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert commands is LOOKING or "was not created by search" in done.stderr
    assert [file.name for file in tmp_path.rglob("*") if "pwned" in file.name] == []


def _poison(folder, poison):
    """Write it to every place that others can write."""
    opened = opened_tiny(folder, Study(trials=2, pruner="none"))
    joined(opened, Study(trials=2))
    study, text = opened.study, poison if isinstance(poison, str) else json.dumps(poison)
    keys = study.user_attrs.keys() - {"search:fingerprint"}
    with opened.database.engine.begin() as connection:
        for key in keys:
            change = "UPDATE study_user_attributes SET value_json = :value WHERE key = :key"
            connection.execute(sa.text(change), {"value": json.dumps(poison), "key": key})
        for table in (USER_ATTRIBUTES, SYSTEM_ATTRIBUTES):
            connection.execute(sa.update(table).values(value_json=json.dumps(poison)))
            ids = connection.scalars(sa.select(TRIALS.c.trial_id)).all()
            rows = [{"trial_id": each, "key": "pwned", "value_json": json.dumps(poison)} for each in ids]
            connection.execute(sa.insert(table), rows)
        names = {"activity": text[:200], "log": text[:500], "device": text[:200], "host": text[:200]}
        connection.execute(sa.update(WORKERS).values(names))
        connection.execute(sa.update(STUDIES).values(export_info=poison, stop_reason=text[:200], exporter_id=text[:36]))
