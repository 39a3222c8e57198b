"""What a run says about its space, data and study: pairs of a label and a text, the same on every kind of output."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from search.formatting import clean, duration, masked, plural, scalar
from spaces import KerasTunerModel, baseline, combinations, flatten
from spaces.parameters import Scalar
from spaces.training import METRICS

if TYPE_CHECKING:
    from spaces.space import Space
    from studies.data.dataset import Dataset, Skipped
    from studies.events import StudyOpened
    from studies.settings import Study


Fact: TypeAlias = tuple[str, str]
"""A label, empty to go on with the one before, and a text."""

CLASSES = 12
SKIPPED = 5
IMBALANCE = 1.5
"""How often the largest class has the images of the smallest before that is reported."""


def of_space(space: "Space") -> list[Fact]:
    """How large the space is, and what is compared."""
    better = "higher" if METRICS[space.metric] == "maximize" else "lower"
    size = plural(len(flatten(space)), "parameter")
    if isinstance(space.model, KerasTunerModel):
        size += f" and the hyperparameters of {space.model.name}, found while it is built"
    else:
        size += f", {_combinations(combinations(space))}"
    return [("space", f"{size}; {space.metric}, {better} is better")]


def of_search(study: "Study") -> list[Fact]:
    """How the space is searched."""
    limit = f", at most {duration(float(study.timeout))}" if study.timeout else ""
    how = f"sampler {study.sampler}, pruner {study.pruner}, seed {study.seed}"
    return [("search", f"{plural(study.trials, 'trial')}, {how}{limit}")]


def of_baseline(space: "Space", hyperparameters: Mapping[str, Scalar]) -> list[Fact]:
    """The values of trial 0, and those of a hypermodel's hyperparameters."""
    values = [f"{name} {scalar(value)}" for name, value in {**baseline(space), **hyperparameters}.items()]
    return [("baseline", ", ".join(values) or "a space without parameters is one trial")]


def of_data(dataset: "Dataset") -> list[Fact]:
    """How many images of which shape, for each class, and which files were left out."""
    shape = "x".join(str(side) for side in dataset.image_shape)
    splits = (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test))
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in splits)
    facts = [("data", f"{plural(len(dataset.classes), 'class')}, images {shape}: {sizes}")]
    notices = [("note", clean(notice)) for notice in dataset.notices]
    return [*facts, *_of_classes(dataset), *_of_imbalance(dataset), *of_skipped(dataset.skipped), *notices]


def of_study(event: "StudyOpened") -> list[Fact]:
    """Where the study is kept, how far it is, and what trains."""
    progress = event.progress
    state = f"goes on, {progress.done} of {plural(progress.trials, 'trial')} done" if event.resumed else "is new"
    notices = [("note", clean(notice)) for notice in event.notices]
    storage = clean(masked(event.storage))
    return [("device", clean(event.device)), ("study", f"{clean(event.name)} {state}"), ("storage", storage), *notices]


def of_export(trial: int | None) -> str:
    """What is done at the end; without time to retrain, with the weights of a trial."""
    doing = "testing, writing and comparing the model"
    return doing if trial is None else f"{doing} with the weights of trial {trial} (no time to retrain)"


def of_skipped(skipped: "Sequence[Skipped]") -> list[Fact]:
    """The first few of the files that were left out, and why."""
    if not skipped:
        return []
    shown = [("", f"{clean(one.path)}: {clean(one.reason)}") for one in skipped[:SKIPPED]]
    more = len(skipped) - len(shown)
    rest = [("", f"… and {plural(more, 'more file')}")] if more > 0 else []
    return [("skipped", plural(len(skipped), "file")), *shown, *rest]


def _combinations(count: float) -> str:
    return plural(int(count), "combination") if count < 1e15 else "endless combinations"


def _of_classes(dataset: "Dataset") -> list[Fact]:
    names = [_cut(clean(name)) for name in dataset.classes[:CLASSES]]
    splits = (dataset.train, dataset.validation, dataset.test)
    counts = [list(split.counts(dataset.classes).values()) for split in splits]
    width = max((len(name) for name in names), default=0)
    facts = [("", f"{'':{width}}  {'train':>9} {'validation':>10} {'test':>9}")]
    for index, name in enumerate(names):
        train, validation, test = (count[index] for count in counts)
        facts.append(("", f"{name:{width}}  {train:>9,} {validation:>10,} {test:>9,}"))
    more = len(dataset.classes) - len(names)
    return [*facts, *([("", f"… and {plural(more, 'more class')}")] if more > 0 else [])]


def _of_imbalance(dataset: "Dataset") -> list[Fact]:
    """What a model would score that always predicts the largest class, where classes differ in size."""
    counts = dataset.train.counts(dataset.classes)
    largest, smallest = max(counts, key=counts.__getitem__), min(counts.values())
    if counts[largest] < IMBALANCE * smallest:
        return []
    splits = (("validation", dataset.validation), ("test", dataset.test))
    scores = [
        f"{split.counts(dataset.classes)[largest] / len(split):.4f} on {name}" for name, split in splits if len(split)
    ]
    name = repr(_cut(clean(largest)))
    return [("balance", f"unequal classes: always predicting {name} has an accuracy of {' and '.join(scores)}")]


def _cut(name: str, width: int = 30) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"
