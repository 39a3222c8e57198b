"""Parameters that two trials have stored with different distributions."""

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution

from studies.database.distributions import Agreement


def trial_of(number, **params):
    """Return a complete trial with options for each parameter."""
    distributions = {name: options for name, (_, options) in params.items()}
    trial = optuna.trial.create_trial(
        value=1.0, params={name: value for name, (value, _) in params.items()}, distributions=distributions
    )
    trial.number = number
    return trial


SMALL, LARGE = CategoricalDistribution((32, 64)), CategoricalDistribution((128, 256))


def test_first_distribution_of_name_counts():
    """The order of reading does not matter; stored trials stay unchanged."""
    first, third = trial_of(0, size=(32, SMALL)), trial_of(2)
    second = trial_of(1, size=(128, LARGE), kind=(32, SMALL))
    for order in ([first, second, third], [second, third, first]):
        agreement = Agreement()
        for index, trial in enumerate(order, start=1):
            agreement.note([trial], order[:index])
        assert [trial.params for trial in agreement.of([first, second, third])] == [{"size": 32}, {"kind": 32}, {}]
        assert agreement.distribution("size") == SMALL
    assert second.params == {"size": 128, "kind": 32}


def test_ranges_may_differ():
    """Optuna accepts values from other ranges."""
    agreement = Agreement()
    trials = [trial_of(0, n=(1, IntDistribution(1, 3))), trial_of(1, n=(9, IntDistribution(1, 9)))]
    agreement.note(trials, trials)
    assert agreement.of(trials) == trials
    assert agreement.distribution("other") is None
