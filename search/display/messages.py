"""What a run says about its space, data and study: pairs of a label and a text, the same on every kind of output."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from search.formatting import escape_text, format_count, format_duration, format_value, redact
from spaces import KerasTunerModel, baseline, combinations, flatten
from spaces.parameters import Scalar
from spaces.training import METRICS

if TYPE_CHECKING:
    from spaces.space import Space
    from studies.events import DataReady, StudyOpened
    from studies.settings import Study


Line: TypeAlias = tuple[str, str]
"""A label, empty to go on with the one before, and a text."""

CLASSES = 12
SKIPPED = 5
IMBALANCE = 1.5
"""How often the largest class has the images of the smallest before that is reported."""


def space_lines(space: "Space") -> list[Line]:
    """How large the space is, and what is compared."""
    better = "higher" if METRICS[space.metric] == "maximize" else "lower"
    size = format_count(len(flatten(space)), "parameter")
    if isinstance(space.model, KerasTunerModel):
        size += f" and the hyperparameters of {space.model.name}, found while it is built"
    else:
        size += f", {_combinations(combinations(space))}"
    return [("space", f"{size}; {space.metric}, {better} is better")]


def search_lines(study: "Study") -> list[Line]:
    """How the space is searched."""
    limit = f", at most {format_duration(float(study.timeout))}" if study.timeout else ""
    how = f"sampler {study.sampler}, pruner {study.pruner}, seed {study.seed}"
    return [("search", f"{format_count(study.trials, 'trial')}, {how}{limit}")]


def baseline_lines(space: "Space", hyperparameters: Mapping[str, Scalar]) -> list[Line]:
    """The values of trial 0, and those of a hypermodel's hyperparameters."""
    values = [f"{name} {format_value(value)}" for name, value in {**baseline(space), **hyperparameters}.items()]
    return [("baseline", ", ".join(values) or "a space without parameters is one trial")]


def data_lines(event: "DataReady") -> list[Line]:
    """How many images of which shape, for each class, and which files were left out."""
    shape = "x".join(str(side) for side in event.image_shape)
    sizes = ", ".join(f"{name} {sum(counts):,}" for name, counts in event.images.items())
    facts = [("data", f"{format_count(len(event.classes), 'class')}, images {shape}: {sizes}")]
    notices = [("note", escape_text(notice)) for notice in event.notices]
    return [*facts, *_of_classes(event), *_of_imbalance(event), *skipped_lines(event.skipped), *notices]


def study_lines(event: "StudyOpened") -> list[Line]:
    """Where the study is kept, how far it is, and what trains."""
    progress = event.progress
    state = f"goes on, {progress.done} of {format_count(progress.trials, 'trial')} done" if event.resumed else "is new"
    notices = [("note", escape_text(notice)) for notice in event.notices]
    storage = escape_text(redact(event.storage))
    return [
        ("device", escape_text(event.device)),
        ("study", f"{escape_text(event.name)} {state}"),
        ("storage", storage),
        *notices,
    ]


def export_lines(trial: int | None) -> str:
    """What is done at the end; without time to retrain, with the weights of a trial."""
    doing = "testing, writing and comparing the model"
    return doing if trial is None else f"{doing} with the weights of trial {trial} (no time to retrain)"


def skipped_lines(skipped: Sequence[tuple[str, str]]) -> list[Line]:
    """The first few of the files that were left out, and why."""
    if not skipped:
        return []
    shown = [("", f"{escape_text(path)}: {escape_text(reason)}") for path, reason in skipped[:SKIPPED]]
    more = len(skipped) - len(shown)
    rest = [("", f"… and {format_count(more, 'more file')}")] if more > 0 else []
    return [("skipped", format_count(len(skipped), "file")), *shown, *rest]


def _combinations(count: float) -> str:
    return format_count(int(count), "combination") if count < 1e15 else "endless combinations"


def _of_classes(event: "DataReady") -> list[Line]:
    names = [_cut(escape_text(name)) for name in event.classes[:CLASSES]]
    width = max((len(name) for name in names), default=0)
    facts = [("", f"{'':{width}}  {'train':>9} {'validation':>10} {'test':>9}")]
    for name, train, validation, test in zip(names, *event.images.values(), strict=False):
        facts.append(("", f"{name:{width}}  {train:>9,} {validation:>10,} {test:>9,}"))
    more = len(event.classes) - len(names)
    return [*facts, *([("", f"… and {format_count(more, 'more class')}")] if more > 0 else [])]


def _of_imbalance(event: "DataReady") -> list[Line]:
    """What a model would score that always predicts the largest class, where classes differ in size."""
    train = event.images["train"]
    largest = max(range(len(train)), key=train.__getitem__)
    if train[largest] < IMBALANCE * min(train):
        return []
    judged = [(name, event.images[name]) for name in ("validation", "test")]
    scores = [f"{counts[largest] / sum(counts):.4f} on {name}" for name, counts in judged if sum(counts)]
    name = repr(_cut(escape_text(event.classes[largest])))
    return [("balance", f"unequal classes: always predicting {name} has an accuracy of {' and '.join(scores)}")]


def _cut(name: str, width: int = 30) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"
