"""Writes the model card, which describes an exported model, its test results and its use."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from studies.export.card_code import evaluation_code, usage_code
from studies.export.formats import FORMATS
from studies.training.scores import SCORES

_LIMITS = (
    "- The model always predicts one of its classes, even for an image that shows none of them.\n"
    "- The scores hold for images like the test images; they can be much lower for images from other sources.\n"
    "- The probabilities are not calibrated."
)

_MEASURES = {"f1": "F1", "auc": "AUC", "top_5_accuracy": "top-5 accuracy"}
_PICTURES = {
    "samples.png": "training images with their classes",
    "confusion_matrix.png": "confusion matrix of the test images",
    "mistakes.png": "misclassified test images with the highest confidence",
    "curves.png": "loss and metric by epoch of the best trial and the baseline",
}


def model_card(metrics: Mapping[str, Any], form: Mapping[str, Any], pictures: Collection[str] = ()) -> str:
    """Return the model card in Markdown.

    Args:
        metrics: Content of `metrics.json`; missing parts are omitted from the card.
        form: Content of `labels.json`: `labels`, `image_shape` and `resize`.
        pictures: File names of the plots next to the card.
    """
    samples, confusion, mistakes, curves = (_picture(name, pictures) for name in _PICTURES)
    sections = (
        _opening(metrics, form["labels"]),
        samples,
        _input(form),
        _test(metrics.get("test")),
        confusion,
        mistakes,
        _origin(metrics),
        curves,
        _use(form),
        f"## Limits\n\n{_LIMITS}",
        _versions(metrics),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _picture(name: str, pictures: Collection[str]) -> str:
    return f"![{_PICTURES[name].capitalize()}]({name})" if name in pictures else ""


def _opening(metrics: Mapping[str, Any], labels: Sequence[str]) -> str:
    name = metrics.get("study", "model")
    classes = "\n".join(f"{index}. {_cell(label)}" for index, label in enumerate(labels))
    return f"# {name}\n\nAn image classifier for {len(labels)} classes, made with `search`.\n\n{classes}"


def _input(form: Mapping[str, Any]) -> str:
    height, width, channels = form["image_shape"]
    colour = "grey" if channels == 1 else "colour" if channels == 3 else f"{channels} channels"
    output = "the probability of the second class" if len(form["labels"]) == 2 else "a probability for each class"
    return (
        f"## Input and output\n\nImages of {height} x {width} pixels ({colour}), values 0 to 255 as integers or "
        f"floats, shape (n, {height}, {width}, {channels}). Rescaling is part of the model. Images of other sizes "
        f"are resized with `{form['resize']}`; `read_pixels` below reads any image file as in training. "
        f"The output is {output}."
    )


def _test(test: Mapping[str, Any] | None) -> str:
    if not test:
        return "## Test\n\nNot yet tested: the search was still running."
    rows = [(_MEASURES.get(name, name), test.get(name)) for name in SCORES]
    images = f" on {test['images']} images" if "images" in test else ""
    text = f"## Test\n\nMeasured once{images} that the search never used.{_certainty(test)}\n\n"
    text += _table(("metric", "value"), [(name, f"{value:.4f}") for name, value in rows if value is not None])
    return text + "".join(f"\n\n{part}" for part in (_per_class(test), _confusion(test)) if part)


def _certainty(test: Mapping[str, Any]) -> str:
    interval = test.get("accuracy_interval")
    if not interval:
        return ""
    return f" The accuracy on such images is between {interval[0]:.3f} and {interval[1]:.3f} with 95% confidence."


def _per_class(test: Mapping[str, Any]) -> str:
    rows = [
        (
            _cell(scores["label"]),
            *(f"{scores[key]:.3f}" for key in ("precision", "recall", "f1")),
            str(scores["images"]),
        )
        for scores in test.get("classes", ())
    ]
    return _table(("class", "precision", "recall", "F1", "images"), rows) if rows else ""


def _confusion(test: Mapping[str, Any]) -> str:
    labels = [_cell(scores["label"]) for scores in test.get("classes", ())]
    if not 2 <= len(labels) <= 12:
        return ""
    rows = [(label, *map(str, row)) for label, row in zip(labels, test["confusion_matrix"], strict=True)]
    return "Images by true class (rows) and predicted class (columns):\n\n" + _table(("", *labels), rows)


def _origin(metrics: Mapping[str, Any]) -> str:
    lines = list(_origin_lines(metrics))
    best = metrics.get("best") or {}
    parameters = [(f"`{name}`", f"`{value}`") for name, value in best.get("params", {}).items()]
    table = "\n\n" + _table(("parameter", "value"), parameters) if parameters else ""
    return "## How it was found\n\n" + "\n".join(lines) + table if lines or table else ""


def _origin_lines(metrics: Mapping[str, Any]) -> Iterator[str]:
    if trials := metrics.get("trials"):
        counts = ", ".join(f"{count} {state}" for state, count in trials.items())
        yield f"- Study `{metrics.get('study')}`, optimizing `{metrics.get('metric')}`; trials: {counts}."
    if best := metrics.get("best"):
        yield f"- Best trial: trial {best['number']}, {_number(best['value'])} in epoch {best['epoch']}."
    baseline = (metrics.get("baseline") or {}).get("value")
    if baseline is not None:
        yield f"- Baseline (all defaults): {_number(baseline)}."
    yield f"- {_weights(metrics.get('weights'))}"


def _weights(weights: Mapping[str, Any] | None) -> str:
    """Return a sentence on the origin of the exported weights."""
    retrained = "The best trial's recipe (`recipe.json`) was retrained on the training and validation images"
    if not weights or (weights["from"] == "retraining" and weights["complete"]):
        return f"{retrained}."
    if weights["from"] == "retraining":
        return f"{retrained}. It is **not finished**: the time limit stopped it in epoch {weights['epochs'] + 1}."
    if weights["complete"]:
        return (
            f"The weights are those of trial {weights['trial']} after epoch {weights['epoch']}, trained only on the "
            "training images: there was no time to retrain its recipe (`recipe.json`) with the validation images."
        )
    return (
        f"The weights are those of trial {weights['trial']}, which is **not finished**: the time limit stopped it "
        "within its first epoch. Its recipe is in `recipe.json`."
    )


def _use(form: Mapping[str, Any]) -> str:
    usage = "\n\n".join(each.usage for each in FORMATS.values() if each.usage)
    return (
        "## Use\n\nOn the command line, with the path of this folder:\n\n"
        "```console\nsearch predict FOLDER photo.jpg\nsearch evaluate FOLDER labelled_images/\n```\n\n"
        f"In Python with Keras and Pillow, run in this folder:\n\n```python\n{usage_code(form)}```\n\n"
        "The model is saved uncompiled; to use `evaluate`, compile it first, with integer labels:\n\n"
        f"```python\n{evaluation_code(form)}```\n\n{usage}"
    )


def _versions(metrics: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in metrics.get("versions", {}).items())
    differences = ", ".join(
        f"{name} {export['max_abs_difference']:.1e}"
        if "max_abs_difference" in export
        else f"{name} {export['skipped']}"
        for name, export in metrics.get("exports", {}).items()
    )
    text = f"## Versions\n\n{versions}." if versions else "## Versions"
    return f"{text}\n\nMaximum difference from the trained model: {differences}." if differences else text


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Escape a class name for Markdown; it may contain any character of a folder name."""
    return re.sub(r"([\\|<*`\[])", r"\\\1", " ".join(str(text).split()))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
