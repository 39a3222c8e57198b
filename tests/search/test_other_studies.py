"""Studies that `search` did not create, or whose folder was renamed, are shown as far as possible."""

import json

import optuna
import pytest

from studies import Study
from studies.database.urls import sqlite_url
from tests.support.fakes import opened_tiny, run_tiny

SETTINGS = Study(trials=5, pruner="none", sampler="random")


@pytest.mark.parametrize("shared", [True, False])
def test_studies_of_plain_optuna_are_shown(search, folder, shared):
    """Trials are shown; workers are unknown, and there is nothing to stop, also in a database with tables of search."""
    url = sqlite_url(folder / "study.db")
    if shared:
        run_tiny(folder, Study(trials=1, pruner="none"))
    optuna.create_study(storage=url, study_name="plain").add_trial(optuna.trial.create_trial(value=1.0))
    rows = [line.split()[:3] for line in search("status", "--storage", url).stdout.splitlines()]
    assert ["plain", "1/-", "1"] in rows
    shown = search("status", "plain", "--storage", url).stdout
    for fragment in ("not created by search", "1 of 1: 1 complete", "best       trial 0: 1.0000\n"):
        assert fragment in shown
    assert "baseline" not in shown
    record = json.loads(search("status", "plain", "--storage", url, "--json").stdout)
    assert (record["best"]["epoch"], record["baseline"]) == (None, None)
    assert "no running workers" in search("workers", "plain", "--storage", url).stdout
    assert "not created by search" in search("stop", "plain", "--storage", url).stderr


@pytest.mark.parametrize("shared", [True, False])
def test_studies_of_several_objectives_are_listed_without_a_best(search, refused, folder, shared):
    """They are listed without a best value, and every other command refuses them."""
    url = sqlite_url(folder / "study.db")
    if shared:
        run_tiny(folder, Study(trials=1, pruner="none"))
    study = optuna.create_study(storage=url, study_name="pareto", directions=["minimize", "maximize"])
    study.add_trial(optuna.trial.create_trial(values=[1.0, 2.0]))
    rows = {row["name"]: row for row in json.loads(search("status", "--storage", url, "--json").stdout)}
    assert (rows["pareto"]["best"], rows["pareto"]["states"]) == (None, {"complete": 1})
    assert not shared or rows["tiny"]["best"] > 0
    for command in ("status", "trials", "workers", "stop"):
        assert "2 objectives" in refused(6, command, "pareto", "--storage", url)


@pytest.mark.parametrize("typed", ["renamed", "runs/renamed"])
def test_a_renamed_folder_is_read(search, folder, typed):
    """A database with one study needs no matching folder name."""
    run_tiny(folder, Study(trials=1, pruner="none"))
    folder.rename(folder.with_name("renamed"))
    assert "study      tiny in " in search("status", typed).stdout
    assert "no running workers on tiny" in search("workers", typed).stdout
    assert "complete" in search("trials", typed).stdout
    stopped = search("stop", typed)
    assert (stopped.exit_code, "none running" in stopped.stdout) == (0, True)
    opened_tiny(folder.with_name("renamed"), SETTINGS, name="other")
    assert "other, tiny" in search("status", typed).stderr
