"""Trials of a hypermodel that were enqueued: their values are those of its hyperparameters, or they fail alone."""

import re

from optuna.trial import TrialState

from spaces import Digits, KerasTunerModel, Space
from studies import Study
from studies.database.stored_trials import outcome_of, params_of
from studies.outcome import COMPLETE, TrialOutcome
from tests.support.fakes import load_plainly, run_tiny


def build(hp):
    """A hypermodel with a conditional hyperparameter; it is not built to the end."""
    hp.Int("units", 8, 32, step=8)
    if hp.Choice("kind", ["a", "b"]) == "b":
        with hp.conditional_scope("kind", ["b"]):
            hp.Float("rate", 0.0, 0.5, step=0.1)
    raise ValueError("nothing to train in this test")


SPACE = Space(Digits(), model=KerasTunerModel(build), epochs=2)
CASES = [
    ({"units": 16, "kind": "a"}, None),
    ({"units": 12}, "units: enqueued with 12, which is not one of its values"),
    ({"kind": "c"}, "kind: enqueued with 'c'"),
    ({"units": "16"}, "units: enqueued with '16'"),
    ({"layers": 3}, "layers: enqueued with 3, but the hypermodel does not ask for it"),
    ({"kind": "a", "rate [kind=b]": 0.2}, "rate .kind=b.: enqueued with 0.2, but the hypermodel does not ask for it"),
    ({"kind": "b", "rate [kind=b]": 0.2}, None),
]


def test_enqueued_values_are_used_or_fail_their_trial(tmp_path):
    """Values are given by the names of the hyperparameters in the study; a wrong one fails only its trial."""

    def run(trials):
        outcome = TrialOutcome(COMPLETE, 0.5, 1, 1, 0.0)
        run_tiny(tmp_path, Study(trials=trials, sampler="random", pruner="none"), lambda *given: outcome, SPACE)

    run(1)
    study = load_plainly(tmp_path)
    for values, _ in CASES:
        study.enqueue_trial(values)
    run(1 + len(CASES))
    for trial, (values, reason) in zip(study.trials[1:], CASES, strict=True):
        assert trial.state == (TrialState.FAIL if reason else TrialState.COMPLETE), outcome_of(trial)
        assert re.match(reason or "", outcome_of(trial).reason), outcome_of(trial).reason
        if reason is None:
            assert params_of(trial).items() >= {name.split(" ")[0]: value for name, value in values.items()}.items()
