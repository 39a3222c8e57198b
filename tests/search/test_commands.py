import re
import subprocess
import sys

import pytest

WITH_DATABASE = ("run", "trials", "status", "workers", "stop", "resume", "delete")
COMMANDS = (*WITH_DATABASE, "predict", "evaluate", "show", "cache")


def python(*words, **options):
    """Run another Python, whose imports and output are its own."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=30, check=False, **options)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(search, monkeypatch, command):
    """It has an example, the exit codes and the variable of the database without its value; `--help` names it."""
    monkeypatch.setenv("SEARCH_STORAGE", "postgresql+psycopg://me:s3cr3t@host/db")
    shown = search(command, "--help")
    assert shown.exit_code == 0
    assert f"search {command} " in shown.stdout.split("Example")[1]
    assert "no trial completed" in shown.stdout
    assert ("SEARCH_STORAGE" in shown.stdout) == (command in WITH_DATABASE)
    assert "s3cr3t" not in shown.stdout
    assert re.search(rf"\b{command}\b", search("--help").stdout)


def test_help_imports_nothing_heavy():
    """Help does not load Keras, Optuna, NumPy or the live view."""
    heavy = "{'keras', 'optuna', 'numpy', 'tensorflow', 'sqlalchemy', 'sklearn', 'rich.live'}"
    done = python("-c", f"import sys, search.cli; print(sorted({heavy} & set(sys.modules)))")
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("run digits --trials 0", "--trials': got '0', expected at least 1"),
        ("run digits --trials many", "--trials': got 'many', expected an integer"),
        ("run digits --trials 1" + "0" * 23, "2147483647"),
        ("run digits --timeout soon", "30m"),
        ("run digits --timeout 0", "more than 0"),
        ("run digits --timeout " + "1" * 31 + "x", "30m"),
        ("stop digits --wait " + "1" * 31 + "x", "30m"),
        ("run digits --sampler best", "tpe, random, grid"),
        ("run digits --pruner best", "hyperband, asha"),
        ("run digits --study a/b", "--study"),
        ("run digits --seed -1", "--seed"),
        ("run digits --test 30", "--test"),
        ("run digits --wrong", "--wrong"),
        ("run digits --workers 0", "--workers"),
        ("run digits --devices gpu", "auto, cpu"),
        ("run digits --workers 2 --gpu-memory much", "8GiB"),
        ("run", "SPACE"),
        ("run", "chest_xray Chest X-rays"),
        ("show", "small_cnn"),
        ("predict runs/x/best", "IMAGE"),
        ("nosuch", "nosuch"),
    ],
)
def test_usage_errors_end_with_2(search, line, named):
    """The error names the option or value, with a hint, on standard error alone."""
    done = search(*line.split())
    assert done.exit_code == 2
    assert named in re.sub(r"\s+", " ", done.stderr)
    assert done.stdout == ""
    assert (done.stderr.count("error: "), done.stderr.count("hint: ")) == (1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--workers-per-gpu 2", "--workers-per-gpu requires --workers or --devices"),
        ("--gpu-memory 8GiB", "--gpu-memory requires --workers or --devices"),
        ("--max-worker-memory 6GiB", "--max-worker-memory requires --workers or --devices"),
        ("--workers-per-gpu 2 --devices cpu", "--workers-per-gpu cannot be combined with --devices cpu"),
        ("--gpu-memory 8GiB --devices cpu", "--gpu-memory cannot be combined with --devices cpu"),
        ("--workers-per-gpu 2 --per-gpu 2", "--per-gpu is the old name of --workers-per-gpu"),
        ("--max-worker-memory 6GiB --worker-memory 6GiB", "--worker-memory is the old name of --max-worker-memory"),
    ],
)
def test_options_without_effect_are_refused(search, options, message):
    """An option that nothing would use, or that is passed under two names, is a usage error."""
    done = search("run", "digits", "--quiet", *options.split())
    assert (done.exit_code, message in done.stderr) == (2, True)


def test_a_closed_pipe_ends_silently():
    """A closed reader, such as `head`, is not an error."""
    command = f"{sys.executable} -m search.cli show digits | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.split() == ["name", "digits"]
    assert done.stderr == ""


CTRL_C = """
import signal, sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == interrupted:
            signal.raise_signal(signal.SIGINT)

interrupted = sys.argv[1]
sys.meta_path.insert(0, CtrlC())
from search.__main__ import main

if sys.argv[2:]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.argv[1:] = ["show", "digits"]
main()
"""


@pytest.mark.parametrize("imported", ["search.cli", "typer", "spaces.errors", "search.commands.show", "spaces.loading"])
def test_ctrl_c_during_imports_exits_quietly(imported):
    """Whatever is being imported, the exit code is 130, without a traceback; an ignored signal stays ignored."""
    done = python("-c", CTRL_C, imported)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    ignored = python("-c", CTRL_C, imported, "as in the background of a shell")
    assert (ignored.returncode, ignored.stderr) == (0, "")


@pytest.mark.parametrize(
    ("option", "setting", "value"),
    [
        ("--workers-per-gpu", "workers_per_gpu", 2),
        ("--per-gpu", "workers_per_gpu", 2),
        ("--max-worker-memory", "max_worker_memory", "6GiB"),
        ("--worker-memory", "max_worker_memory", "6GiB"),
    ],
)
def test_renamed_options_keep_their_old_names(search, monkeypatch, option, setting, value):
    """The old name sets the same setting, and the next command shows the new one."""
    commands = []
    monkeypatch.setattr("search.commands.run.run", lambda command, *_, **__: commands.append(command) or 0)
    assert search("run", "digits", option, str(value)).exit_code == 0
    assert commands[0].settings == {setting: value}
    assert f"--{setting.replace('_', '-')} {value}" in commands[0].rerun_command()


def test_old_names_of_options_are_hidden(search):
    """Help shows the new names only."""
    shown = search("run", "--help").stdout + search("workers", "--help").stdout
    assert all(name in shown for name in ("--workers-per-gpu", "--max-worker-memory", "--include-ended"))
    assert not re.search(r"\s(--per-gpu|--worker-memory|--all)\s", shown)
