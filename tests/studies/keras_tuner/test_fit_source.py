"""What the source of a hypermodel's `fit` shows before it is called."""

import ast

import keras
import pytest

from spaces import Digits, KerasTunerModel, Space
from spaces.errors import ModelError
from studies.keras_tuner.fit_check import check_fit
from studies.keras_tuner.fit_source import FitSource, source_of
from tests.studies.keras_tuner.hypermodels import SHAPE, Dense, OwnFit, OwnLoop


def cross_validate(hypermodel, template, x):
    net = keras.models.clone_model(template)
    return net.evaluate(x)


def fine_tune(network, x):
    network.fit(x)


class Fits(Dense):
    """Many versions of `fit`; the one named in `method` is used."""

    def __init__(self, method, **fields):
        super().__init__(**fields)
        self.fit = getattr(self, method)

    def other_models(self, hp, model, x, y, **kwargs):
        return [self.build(hp).fit(x, y, **kwargs) for _ in range(3)]

    def clones_in_helpers(self, hp, model, x, y, **kwargs):
        return [*self.folds(hp, model, x), cross_validate(self, template=model, x=x)]

    def folds(self, hp, template, x):
        return [keras.models.clone_model(template).fit(x) for _ in range(2)]

    def wraps(self, hp, model, *args, **kwargs):
        whole = keras.Sequential([keras.Input(SHAPE), keras.layers.GaussianNoise(0.01), model])
        whole.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return whole.fit(*args, **kwargs)

    def trains_nothing(self, *args, **kwargs):
        return 0.5

    def catches_errors(self, hp, model, *args, **kwargs):
        try:
            model.fit(*args, **kwargs)
        except Exception:  # noqa: BLE001 - as a user may write it
            return 0.5

    def trains_in_function(self, hp, model, x, y, **kwargs):
        fine_tune(network=model, x=x)

    def calls_super(self, hp, model, *args, **kwargs):
        return super().fit(hp, model, *args, **kwargs)

    def takes_positional(self, *args, **kwargs):
        return args[1].fit(*args[2:], **kwargs)

    def takes_no_callbacks(self, hp, model, x, y, validation_data):
        return model.fit(x, y, validation_data=validation_data)

    def takes_keywords_only(self, hp, model, **kwargs):
        return model.fit(**kwargs)

    def takes_a_dataset(self, hp, model, dataset, validation_data=None, **kwargs):
        return model.fit(dataset, validation_data=validation_data, **kwargs)

    def takes_class_weights(self, hp, model, x, y, class_weight, **kwargs):
        return model.fit(x, y, class_weight=class_weight, **kwargs)

    def returns_other_names(self, hp, model, *args, **kwargs):
        model.fit(*args, **kwargs)
        return {"accuracy": 0.5, "loss": 1.0}

    def returns_loss(self, hp, model, *args, **kwargs):
        best_loss = min(model.fit(*args, **kwargs).history["val_loss"])
        return float(best_loss)

    def returns_evaluation(self, hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, **kwargs)
        return model.evaluate(*validation_data)

    def returns_error_rate(self, hp, model, *args, **kwargs):
        return 1 - max(model.fit(*args, **kwargs).history["val_accuracy"])


def check(hypermodel, *, exports=True, **fields):
    return check_fit(Space(data=Digits(), model=KerasTunerModel(hypermodel), **fields), exports=exports)


def parsed(body, arguments="hp, model, x, y, **kwargs"):
    """Return the source of a `fit` that is a function."""
    return FitSource(lambda: None, ast.parse(f"def fit({arguments}):\n    {body}").body[0])


@pytest.mark.parametrize(
    ("body", "may_train"),
    [
        ("net = clone_model(model); net.compile(model.optimizer.name); net.set_weights(model.get_weights())", False),
        ("nets = [copy.deepcopy(model) for _ in range(2)]; nets[0].fit(x, y)", False),
        ("for _ in range(3): model = build(hp); model.fit(x, y)", False),
        ("scores = [clone_model(model).fit(x, y) for _ in range(3)]; model.fit(x, y)", True),
        ("best = build(hp); best.fit(x, y); model.set_weights(best.get_weights())", True),
        ("whole = keras.Sequential([layers.GaussianNoise(0.01), model]); whole.fit(x, y)", True),
        ("if hp.Boolean('fresh'): model = build(hp)\n    model.fit(x, y)", True),
    ],
)
def test_training_of_the_model_or_of_others_is_told_apart(body, may_train):
    """Clones and networks that take the model's place are others; a network around the model trains it."""
    assert parsed(body).may_train_its_model is may_train


@pytest.mark.parametrize("method", ["other_models", "clones_in_helpers"])
def test_fit_that_never_trains_its_model_is_refused_with_the_lines_that_fix_it(method):
    """Without a trained model there is nothing to export; a study without an export needs none."""
    with pytest.raises(ModelError, match="never trains the model") as refused:
        check(Fits(method))
    assert "    model.fit(" in str(refused.value)
    assert "    model.set_weights(best.get_weights())" in str(refused.value)
    check(Fits(method), exports=False)


@pytest.mark.parametrize(
    "hypermodel", [*map(Fits, ("trains_in_function", "calls_super", "takes_positional")), OwnFit(), OwnLoop()]
)
def test_fit_that_may_train_its_model_is_accepted(hypermodel):
    """Whatever the source leaves open is decided after the first trial."""
    assert source_of(hypermodel.fit).may_train_its_model


def test_unreadable_source_is_accepted():
    """A class from a console has no source."""
    names = {"Dense": Dense}
    exec("class Typed(Dense):\n    def fit(self, hp, model, x, y, **kwargs):\n        return 0.5\n", names)
    assert source_of(names["Typed"]().fit) is None
    assert check(names["Typed"]()) == []


def test_fit_without_callbacks_gives_a_notice():
    """A notice says before the first trial that trials cannot be pruned."""
    [notice] = check(Fits("takes_no_callbacks"))
    assert notice.startswith("Fits.fit() does not use its callbacks")
    assert not parsed("return model.fit(x, y, epochs=kwargs['epochs'], verbose=0)").may_report
    assert check(OwnFit()) == check(Fits("takes_keywords_only")) == []


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("takes_a_dataset", "(?s)values for argument 'validation_data'.*def fit"),
        ("takes_class_weights", "(?s)'class_weight'.*def fit"),
        ("returns_evaluation", r"(?s)evaluate\(\).*return only the val_accuracy"),
        ("returns_other_names", "dict of accuracy, loss, without val_accuracy"),
        ("returns_loss", r'(?s)returns a loss.*Space\(metric="val_loss"'),
        ("returns_error_rate", "returns an error rate"),
    ],
)
def test_wrong_arguments_and_return_values_are_refused(method, message):
    """Each would fail or mislead every trial: a value must be the metric, and best where the metric is best."""
    with pytest.raises(ModelError, match=message):
        check(Fits(method))
    if method in ("returns_loss", "returns_error_rate"):
        assert check(Fits(method), metric="val_loss") == []


def test_arguments_set_next_to_kwargs_are_found():
    """`model.fit(*args, epochs=3, **kwargs)` takes no epochs in `kwargs`."""
    assert source_of(OwnFit().fit).keywords_set == {"batch_size", "epochs"}
    assert source_of(Fits("calls_super").fit).keywords_set == set()


@pytest.mark.parametrize(
    ("returned", "is_loss", "is_error_rate"),
    [
        *((name, True, False) for name in ("best_loss", "valloss", "mean_losses", "loss_2")),
        *((name, False, False) for name in ("lossless", "loss_and_accuracy", "neg_loss_score", "closest", "result")),
        ("1 - best_acc", False, True),
        ("1.0 - max(history.history['val_accuracy'])", False, True),
        ("-np.mean(accuracies)", False, True),
        *((text, False, False) for text in ("1 - error", "best_acc", "-loss", "2 - accuracy")),
    ],
)
def test_losses_and_error_rates_are_recognized_by_name(returned, is_loss, is_error_rate):
    """Letters within another word, or a sign before another value, do not count."""
    source = parsed(f"return {returned}")
    assert (source.returns_a_loss, source.returns_an_error_rate) == (is_loss, is_error_rate)
