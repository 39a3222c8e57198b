"""What the source of a hypermodel's `fit` shows before it is called."""

import ast
import copy

import keras
import pytest

from spaces import Digits, KerasTunerModel, Space
from spaces.errors import ModelError
from studies.keras_tuner.fit_check import check_fit
from studies.keras_tuner.fit_source import FitSource, source_of
from tests.studies.keras_tuner.hypermodels import Dense, OwnFit, OwnLoop


def cross_validated(hypermodel, template, x):
    net = keras.models.clone_model(template)
    return net.evaluate(x)


def fine_tuned(network, x):
    network.fit(x)


class Ignoring(Dense):
    def fit(self, hp, model, x, y, **kwargs):
        return [self.build(hp).fit(x, y, **kwargs) for _ in range(3)]


class Cloning(Dense):
    def fit(self, hp, model, x, y, **kwargs):
        scores = []
        for _ in range(3):
            net = keras.models.clone_model(model)
            net.set_weights(model.get_weights())
            net.compile(optimizer=model.optimizer.get_config()["name"], loss=model.loss)
            scores.append(net.fit(x, y, **kwargs))
        return scores


class Copying(Dense):
    def fit(self, hp, model, *args, **kwargs):
        nets = [copy.deepcopy(model) for _ in range(2)]
        return [net.fit(*args, **kwargs) for net in nets]


class Rebuilding(Dense):
    def fit(self, hp, model, x, y, **kwargs):
        scores = []
        for _ in range(3):
            model = self.build(hp)
            scores.append(model.fit(x, y, **kwargs))
        model.summary()
        return scores


class Helping(Dense):
    def fit(self, hp, model, x, y, **kwargs):
        return [*self.folds(hp, model, x), cross_validated(self, template=model, x=x)]

    def folds(self, hp, template, x):
        return [keras.models.clone_model(template).fit(x) for _ in range(2)]


@pytest.mark.parametrize("hypermodel", [Ignoring(), Cloning(), Copying(), Rebuilding(), Helping()])
def test_a_fit_that_never_trains_its_model_is_refused_with_the_lines_that_fix_it(hypermodel):
    """Nothing would say which model to export; a search without an export needs none."""
    space = Space(data=Digits(), model=KerasTunerModel(hypermodel))
    with pytest.raises(ModelError, match="never trains the model") as refused:
        check_fit(space, exports=True)
    assert "    model.fit(" in str(refused.value)
    assert "    model.set_weights(best.get_weights())" in str(refused.value)
    check_fit(space, exports=False)


class AtTheEnd(Cloning):
    def fit(self, hp, model, x, y, **kwargs):
        scores = [keras.models.clone_model(model).fit(x, y, **kwargs) for _ in range(3)]
        model.fit(x, y, **kwargs)
        return scores


class Weights(Dense):
    def fit(self, hp, model, x, y, **kwargs):
        best = self.build(hp)
        best.fit(x, y, **kwargs)
        model.set_weights(best.get_weights())
        return 0.5


class Wrapped(Dense):
    def fit(self, hp, model, *args, **kwargs):
        whole = keras.Sequential([keras.layers.RandomFlip(), model])
        return whole.fit(*args, **kwargs)


class OnCondition(Dense):
    def fit(self, hp, model, *args, **kwargs):
        if hp.Boolean("fresh"):
            model = self.build(hp)
        return model.fit(*args, **kwargs)


class Elsewhere(Dense):
    def fit(self, hp, model, x, y, **kwargs):
        fine_tuned(network=model, x=x)


class Super(Dense):
    def fit(self, hp, model, *args, **kwargs):
        return super().fit(hp, model, *args, **kwargs)


class Positional(Dense):
    def fit(self, *args, **kwargs):
        return args[1].fit(*args[2:], **kwargs)


@pytest.mark.parametrize(
    "hypermodel",
    [AtTheEnd(), Weights(), Wrapped(), OnCondition(), Elsewhere(), Super(), Positional(), OwnFit(), OwnLoop()],
)
def test_a_fit_that_may_train_its_model_is_not_refused(hypermodel):
    """What the source leaves open is seen when the first trial has ended."""
    assert source_of(hypermodel.fit).may_train_its_model


def test_a_source_that_cannot_be_read_is_not_refused():
    """A class from a console has no source."""
    names = {"Dense": Dense}
    exec("class Typed(Dense):\n    def fit(self, hp, model, x, y, **kwargs):\n        return 0.5\n", names)
    assert source_of(names["Typed"]().fit) is None
    assert check_fit(Space(data=Digits(), model=KerasTunerModel(names["Typed"]())), exports=True) == []


class Unheard(Dense):
    def fit(self, hp, model, x, y, **kwargs):
        return model.fit(x, y, epochs=kwargs["epochs"], verbose=0)


class Deaf(Dense):
    def fit(self, hp, model, x, y, validation_data):
        return model.fit(x, y, validation_data=validation_data)


@pytest.mark.parametrize("hypermodel", [Unheard(), Deaf()])
def test_a_fit_that_calls_no_callbacks_is_told(hypermodel):
    """Its trials cannot be pruned, which is said before they begin."""
    [notice] = check_fit(Space(data=Digits(), model=KerasTunerModel(hypermodel)), exports=True)
    assert notice.startswith(f"{type(hypermodel).__name__}.fit() does not use its callbacks")
    assert check_fit(Space(data=Digits(), model=KerasTunerModel(OwnFit())), exports=True) == []


class OtherNames(Dense):
    def fit(self, hp, model, *args, **kwargs):
        model.fit(*args, **kwargs)
        return {"accuracy": 0.5, "loss": 1.0}


class Loss(Dense):
    def fit(self, hp, model, *args, **kwargs):
        best_loss = min(model.fit(*args, **kwargs).history["val_loss"])
        return float(best_loss)


class Evaluation(Dense):
    def fit(self, hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, **kwargs)
        return model.evaluate(*validation_data)


def test_what_it_returns_is_refused_where_the_source_shows_it():
    """A dict without the metric, and a loss where the highest value wins, alone or in a list."""
    with pytest.raises(ModelError, match=r"(?s)evaluate\(\).*return only the val_accuracy"):
        check_fit(Space(data=Digits(), model=KerasTunerModel(Evaluation())), exports=True)
    with pytest.raises(ModelError, match="returns a dict of accuracy, loss, without val_accuracy"):
        check_fit(Space(data=Digits(), model=KerasTunerModel(OtherNames())), exports=True)
    with pytest.raises(ModelError, match=r'(?s)returns a loss.*Space\(metric="val_loss"'):
        check_fit(Space(data=Digits(), model=KerasTunerModel(Loss())), exports=True)
    assert check_fit(Space(data=Digits(), model=KerasTunerModel(Loss()), metric="val_loss"), exports=True) == []


def test_arguments_that_it_sets_beside_its_keywords_are_seen():
    """`model.fit(*args, epochs=3, **kwargs)` takes no epochs in `kwargs`."""
    assert source_of(OwnFit().fit).keywords_set == {"batch_size", "epochs"}
    assert source_of(Super().fit).keywords_set == set()


@pytest.mark.parametrize(
    ("name", "is_loss"),
    [("best_loss", True), ("valloss", True), ("mean_losses", True), ("loss_2", True)]
    + [(name, False) for name in ("lossless", "loss_and_accuracy", "neg_loss_score", "closest", "result")],
)
def test_a_name_is_a_loss_only_where_it_says_nothing_else(name, is_loss):
    """A value that is no loss is never refused for the letters in its name."""
    tree = ast.parse(f"def fit(self, hp, model):\n    return {name}").body[0]
    assert FitSource(lambda: None, tree).returns_a_loss is is_loss


@pytest.mark.parametrize(
    ("returned", "is_error_rate"),
    [
        ("1 - best_acc", True),
        ("1.0 - max(history.history['val_accuracy'])", True),
        ("-np.mean(accuracies)", True),
        ("1 - error", False),
        ("best_acc", False),
        ("-loss", False),
        ("2 - accuracy", False),
    ],
)
def test_an_accuracy_turned_round_is_seen(returned, is_error_rate):
    """Its highest value would be that of the worst model."""
    tree = ast.parse(f"def fit(self, hp, model):\n    return {returned}").body[0]
    assert FitSource(lambda: None, tree).returns_an_error_rate is is_error_rate


class Turned(Dense):
    def fit(self, hp, model, *args, **kwargs):
        return 1 - max(model.fit(*args, **kwargs).history["val_accuracy"])


def test_an_accuracy_turned_round_is_refused_where_the_highest_value_wins():
    """Where the lowest wins it is what is asked for."""
    with pytest.raises(ModelError, match="returns an error rate, but val_accuracy"):
        check_fit(Space(data=Digits(), model=KerasTunerModel(Turned())), exports=True)
    assert check_fit(Space(data=Digits(), model=KerasTunerModel(Turned()), metric="val_loss"), exports=True) == []
